"""Each thing that can differ between two runs is told as itself, and as nothing else."""

import copy

import pytest

from energylens.harness.compare.causes import Kind
from energylens.harness.compare.diff import Status, diff

SOURCES = {
    "claims/test_mean.py": {"hash": "a", "imports": ["lib/means.py"]},
    "claims/test_gate.py": {"hash": "b", "imports": []},
    "lib/means.py": {"hash": "c", "imports": ["lib/deep.py"]},
    "lib/deep.py": {"hash": "d", "imports": ["lib/means.py"]},
    "lib/other.py": {"hash": "e", "imports": []},
}


def artifact(label, seed, **changes):
    return {
        "label": label, "kind": "network", "recipe": {"class": "Train", "steps": 800, "seed": seed},
        "data": {"fingerprint": "f" * 64}, "code": "code", "inputs": [], "payload": f"bits {seed}",
        "built_with": {"torch": "2.12", "machine": "x86_64"},
    } | changes  # fmt: skip


def claim(name, gates=()):
    return {
        "id": name,
        "declaration": {"region": "value: ≥ 1", "seeds": "0, 1", "gates": ", ".join(gates)},
        "gates": [{"claim": gate, "on": None} for gate in gates],
    }


def verdict(name, model="dice", word="HOLDS", estimate=2.0, **changes):
    part = {
        "part": "value",
        "word": word,
        "estimate": estimate,
        "low": estimate - 0.1,
        "high": estimate + 0.1,
    }
    return {
        "claim": name, "model": model, "variant": "", "word": word, "reason": "", "qualifiers": [], "parts": [part],
        "own_checkpoint": False,
        "seeds": [0, 1], "data": "text", "basis": {
            "artifacts": ["key0", "key1"], "sources": ["claims/test_mean.py"], "code": "whole",
        },
    } | changes  # fmt: skip


def run():
    """Two claims, the first with a gate, and what they rest on."""
    return {
        "started": "2026-01-01T00:00:00+00:00",
        "provenance": {
            "commit": "1" * 40, "dirty": False, "python": "3.12", "cpu": "some", "packages": {"torch": "2.12"},
            "artifacts": {"key0": "net seed 0"},
        },
        "claims": [claim("toy.mean", gates=["toy.gate"]), claim("toy.gate"), claim("toy.other")],
        "verdicts": [verdict("toy.mean"), verdict("toy.other", model="cards")],
        "basis": {
            "artifacts": {"key0": artifact("net seed 0", 0), "key1": artifact("net seed 1", 1)},
            "sources": copy.deepcopy(SOURCES),
        },
    }  # fmt: skip


def flipped(change=lambda new: None, old=run):
    """A run and another whose first verdict is another one, after `change` made of it what it likes."""
    new = run()
    new["verdicts"][0] |= {"word": "REFUTED"}
    new["verdicts"][0]["parts"][0] |= {"word": "REFUTED", "estimate": 0.0, "low": -0.1, "high": 0.1}
    change(new)
    found = {f"{change.claim}/{change.model}": change for change in diff(old(), new)}
    return found["toy.mean/dice"]


def told(change):
    return [(cause.kind, cause.detail) for cause in change.causes]


def test_the_same_run_has_no_changes():
    assert {change.status for change in diff(run(), run())} == {Status.SAME}


def test_where_nothing_differs_a_flip_is_not_explained():
    change = flipped()
    assert change.status == Status.FLIP
    assert told(change) == [
        (Kind.NOT_EXPLAINED, "same code, same recipe, same data, same environment, same seeds")
    ]


def remade(new, **built_with):
    new["basis"]["artifacts"]["key1"] |= {"payload": "other bits"}
    new["basis"]["artifacts"]["key1"]["built_with"] |= built_with


def test_bits_that_came_out_otherwise_are_named_but_explain_nothing():
    change = flipped(remade)
    assert [cause.kind for cause in change.causes] == [Kind.NOT_EXPLAINED]
    assert "other bits" in change.causes[0].detail
    assert change.causes[0].where == ("net seed 1",)


def edit_code(new, file):
    new["basis"]["sources"][file]["hash"] = "edited"
    new["verdicts"][0]["basis"]["code"] = "other"


def new_recipe(new, **fields):
    """All artifacts under new keys, as with any change to their recipes."""
    old = new["basis"]["artifacts"]
    new["basis"]["artifacts"] = {f"new {key}": found | copy.deepcopy(fields) for key, found in old.items()}
    for found in new["basis"]["artifacts"].values():
        found["recipe"] = {**found["recipe"], "seed": int(found["label"][-1])}
    new["verdicts"][0]["basis"]["artifacts"] = ["new key0", "new key1"]


@pytest.mark.parametrize(
    ("change", "kind", "detail"),
    [
        (lambda new: edit_code(new, "claims/test_mean.py"), Kind.CODE, "claims/test_mean.py"),
        (lambda new: edit_code(new, "lib/deep.py"), Kind.CODE, "lib/deep.py"),
        (lambda new: new_recipe(new, code="other"), Kind.CODE, "what Train runs"),
        (lambda new: new_recipe(new, recipe={"class": "Train", "steps": 1000}), Kind.RECIPE, "steps 800 -> 1000"),
        (
            lambda new: new_recipe(new, data={"fingerprint": "0" * 64}), Kind.DATA,
            "fingerprint ffffffffffff -> 000000000000",
        ),
        (lambda new: new["verdicts"][0].update(data="another text"), Kind.DATA, "text -> another text"),
        (lambda new: new["provenance"].update(cpu="another"), Kind.ENVIRONMENT, "cpu some -> another"),
        (lambda new: new["provenance"]["packages"].update(torch="2.13"), Kind.ENVIRONMENT, "torch 2.12 -> 2.13"),
        (lambda new: remade(new, torch="2.13"), Kind.ENVIRONMENT, "built with torch 2.12 -> 2.13"),
        (lambda new: new["verdicts"][0].update(seeds=[0]), Kind.SEED, "0, 1 -> 0"),
        (
            lambda new: new["claims"][1]["declaration"].update(region="value: ≥ 3"), Kind.DECLARATION,
            "gate toy.gate: region: 'value: ≥ 1' -> 'value: ≥ 3'",
        ),
    ],
)  # fmt: skip
def test_what_differs_is_told_and_nothing_else(change, kind, detail):
    found = flipped(change)
    assert found.status == Status.FLIP
    assert told(found) == [(kind, detail)]


def test_all_that_differs_is_told_in_order():
    def everything(new):
        edit_code(new, "lib/means.py")
        new_recipe(new, recipe={"class": "Train", "steps": 1000})
        new["provenance"] |= {"python": "3.13", "commit": "2" * 40, "dirty": True}
        new["verdicts"][0] |= {"data": "other", "seeds": [0, 1, 2]}

    kinds = [cause.kind for cause in flipped(everything).causes]
    assert kinds == [Kind.SEED, Kind.DATA, Kind.RECIPE, Kind.CODE, Kind.ENVIRONMENT]


@pytest.mark.parametrize(
    "change",
    [
        lambda new: new["basis"]["sources"]["lib/other.py"].update(hash="edited"),
        lambda new: new["provenance"].update(commit="2" * 40, dirty=True),
        lambda new: new["claims"][2]["declaration"].update(region="value: ≥ 3"),
        lambda new: new["basis"]["artifacts"].update(key2=artifact("net seed 2", 2)),
    ],
)
def test_what_the_verdict_does_not_rest_on_is_no_cause(change):
    assert [cause.kind for cause in flipped(change).causes] == [Kind.NOT_EXPLAINED]


def test_a_recipe_for_several_artifacts_is_told_once_with_all_of_them():
    (cause,) = flipped(lambda new: new_recipe(new, recipe={"class": "Train", "steps": 1000})).causes
    assert cause.where == ("net seed 0", "net seed 1")


@pytest.mark.parametrize("label", ["network", "net of 1000 steps, seed {}"])
def test_artifacts_whose_labels_do_not_tell_are_paired_by_class_and_fields(label):
    def change(new):
        new_recipe(new, recipe={"class": "Train", "steps": 1000})
        for seed, found in enumerate(new["basis"]["artifacts"].values()):
            found["label"] = label.format(seed)
        new["verdicts"][0]["basis"]["artifacts"].reverse()

    def unlabelled():
        made = run()
        for found in made["basis"]["artifacts"].values():
            found["label"] = "network"
        return made

    for old in (run, unlabelled):
        assert told(flipped(change, old)) == [(Kind.RECIPE, "steps 800 -> 1000")]


def test_an_artifact_that_one_run_alone_used_is_named():
    def change(new):
        new["basis"]["artifacts"]["key9"] = artifact("a dictionary", 0)
        new["verdicts"][0]["basis"]["artifacts"].append("key9")

    (cause,) = flipped(change).causes
    assert (cause.kind, cause.detail, cause.where) == (Kind.RECIPE, "not used before", ("a dictionary",))


def test_artifacts_of_seeds_that_one_run_lacks_are_told_as_seeds():
    def change(new):
        new["verdicts"][0]["seeds"] = [0]
        new["verdicts"][0]["basis"]["artifacts"] = ["key0"]

    assert [cause.kind for cause in flipped(change).causes] == [Kind.SEED]


def test_a_file_of_the_older_form_is_read_and_says_what_it_does_not_tell():
    old = run()
    del old["basis"]
    for each in old["verdicts"]:
        del each["basis"], each["data"]
    new = run()
    new["verdicts"][0]["parts"][0]["estimate"] = 2.5
    new["provenance"]["cpu"] = "another"
    first = next(change for change in diff(old, new) if change.status == Status.MOVED)
    assert [cause.kind for cause in first.causes] == [Kind.ENVIRONMENT, Kind.NOT_RECORDED]
    assert "commit 111111111 -> 111111111" in first.causes[-1].detail


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("HOLDS", "REFUTED"), Status.FLIP),
        (("REFUTED", "INVALID"), Status.FLIP),
        (("HOLDS", "INCONCLUSIVE"), Status.DRIFT),
        (("INCONCLUSIVE", "REFUTED"), Status.DRIFT),
        (("HOLDS", "HOLDS"), Status.SAME),
        (("HOLDS", "NOT RUN"), Status.NOT_RUN),
        (("ERROR", "HOLDS"), Status.NOT_RUN),
        (("NOT RUN", "NOT RUN"), Status.SAME),
    ],
)
def test_words_compare_as_in_the_ledger(words, status):
    old, new = run(), run()
    for each, word in zip((old, new), words, strict=True):
        each["verdicts"][0]["word"] = word
    changes = diff(old, new)
    assert next(change.status for change in changes if change.claim == "toy.mean") == status


def test_numbers_count_as_the_same_in_six_digits():
    for estimate, status in ((2.0000001, Status.SAME), (2.00001, Status.MOVED)):
        new = run()
        new["verdicts"][0]["parts"][0]["estimate"] = estimate
        assert next(change.status for change in diff(run(), new) if change.claim == "toy.mean") == status


def test_nan_is_the_same_as_nan_and_a_qualifier_counts():
    old, new = run(), run()
    for each in (old, new):
        each["verdicts"][0]["parts"][0] |= {"estimate": "NaN", "low": "-Infinity", "high": "Infinity"}
    assert {change.status for change in diff(old, new)} == {Status.SAME}
    new["verdicts"][0]["qualifiers"] = ["by chance too"]
    assert diff(old, new)[0].status == Status.MOVED


def test_an_edited_declaration_alone_is_amended_with_its_diff():
    new = run()
    new["claims"][2]["declaration"] |= {"region": "value: ≥ 1.5", "seeds": "0, 1, 2"}
    change = diff(run(), new)[0]
    assert (change.claim, change.status) == ("toy.other", Status.AMENDED)
    assert told(change) == [
        (Kind.DECLARATION, "region: 'value: ≥ 1' -> 'value: ≥ 1.5'"),
        (Kind.DECLARATION, "seeds: '0, 1' -> '0, 1, 2'"),
    ]


def test_rows_that_appear_or_vanish_are_listed():
    new = run()
    new["verdicts"][0]["model"] = "coins"
    statuses = {(change.claim, change.model): change.status for change in diff(run(), new)}
    assert statuses == {
        ("toy.mean", "coins"): Status.APPEARED, ("toy.mean", "dice"): Status.VANISHED,
        ("toy.other", "cards"): Status.SAME,
    }  # fmt: skip


def test_what_a_run_did_not_select_is_no_change_and_what_could_not_run_says_why():
    new = run()
    new["verdicts"][0] |= {"word": "NOT RUN", "reason": "not selected in this run"}
    assert {change.status for change in diff(run(), new)} == {Status.NOT_SELECTED, Status.SAME}
    new["verdicts"][0]["reason"] = "no weights"
    assert told(diff(run(), new)[0]) == [(Kind.NOT_RUN, "no weights")]


def test_the_most_important_change_comes_first():
    old, new = run(), run()
    for each in (old, new):
        each["verdicts"] += [verdict("toy.other", model=str(i)) for i in range(2)]
    new["verdicts"][1]["parts"][0]["estimate"] = 2.5
    new["verdicts"][2]["word"] = "INCONCLUSIVE"
    new["verdicts"][3]["word"] = "REFUTED"
    assert [c.status for c in diff(old, new)] == [Status.FLIP, Status.DRIFT, Status.MOVED, Status.SAME]
