"""No name leads out of the store, the run's folder, or the report: keys, kinds, claims, models, variants, nulls."""

import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energylens import Null
from energylens.errors import DeclarationError, InputError, StoreError
from energylens.harness.declare.cases import Case
from energylens.harness.run_folder import RunFolder
from energylens.models.checkpoint import match_checkpoints
from energylens.models.zoo import ZOO_NAMES
from energylens.report import write_badges, write_report
from energylens.store import Artifact, Recipe, Store, key_of
from energylens.store.key import checked_name
from energylens.store.manifest import _digest
from energylens.tests.harness.helpers import declare, nothing
from energylens.tests.report.helpers.example import example_results
from energylens.tests.store.recipes import Everything, Noise

LONG = "x" * 5000
EVIL = [
    "../x", "..", ".", "", "/", "/etc/passwd", "a/../../x", "a/b", "\\..\\x", "C:\\x", "a\0b", "a\nb", "a\n",
    "\u2025/x", "\uff0e\uff0e\uff0fx", "\u2215x", "\u202e..", "%2e%2e%2fx", "~", "~root/x", "$HOME", ".hidden", "-rf",
    "a b", LONG, "nul\0", "\u0430bc", "Claim", "a..b", "a.", "file:///etc/passwd", "s3://bucket/x", "*", "con:",
]  # fmt: skip
"""Names that somebody might hope to leave a folder with, or that are no name for a file everywhere."""

PLAIN = r"[A-Za-z0-9][A-Za-z0-9._-]*"
"""What the name of one's own network may be."""

ANY = st.text() | st.text("./\\a0\0\n~:-") | st.sampled_from(EVIL)


def _files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


@dataclass(frozen=True)
class Named(Recipe):
    """Its label and one of its fields are somebody's text."""

    kind: ClassVar[str] = "named"
    name: str

    def build(self, inputs, progress):
        return Artifact({"x": np.zeros(1)}, {"name": self.name})

    def label(self) -> str:
        return self.name


@pytest.mark.parametrize("name", sorted({*EVIL} - {LONG}))
def test_a_kind_that_is_no_plain_word_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.setattr(Named, "kind", name)
    store = Store(tmp_path / "store")
    for use in (store.get, store.find, key_of, lambda recipe: store.put(recipe, Artifact({}))):
        with pytest.raises(InputError, match="lower case letters"):
            use(Named("x"))
    assert _files(tmp_path) == set()


def test_a_kind_that_is_too_long_is_refused_by_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(Named, "kind", LONG)
    with pytest.raises(StoreError, match="File name too long"):
        Store(tmp_path / "store").get(Named("x"))
    assert _files(tmp_path) == set()


@given(ANY)
def test_what_may_become_a_folder_is_one_plain_word(name):
    try:
        checked_name(name, "kind")
    except InputError:
        return
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", name)
    assert Path("/root", name).resolve().parent == Path("/root")


@pytest.mark.parametrize("name", EVIL)
def test_texts_in_a_recipe_stay_texts(name, tmp_path):
    store, recipe = Store(tmp_path / "store"), Named(name)
    assert store.get(recipe).meta["name"] == store.find(recipe).meta["name"] == name
    (entry,) = store.ls()
    assert (entry.label, entry.key) == (name, key_of(recipe))
    artifact = Path("store", "named", key_of(recipe)[:2], key_of(recipe))
    lock = Path("store", "locks", f"{key_of(recipe)}.lock")
    made = {artifact / "payload.safetensors", artifact / "manifest.json", lock}
    assert _files(tmp_path) == made | {parent for path in made for parent in path.parents} - {Path()}


@given(st.builds(Everything, name=ANY))
def test_a_key_is_hexadecimal_whatever_the_recipe_says(recipe):
    assert re.fullmatch(r"[0-9a-f]{64}", key_of(recipe))


@pytest.mark.parametrize("key", ["../../../x", "/etc/passwd", "0" * 64])
def test_a_manifest_cannot_lead_anywhere(key, tmp_path):
    # Forged with a right checksum: the folder's own name counts, what the manifest says of it must agree.
    store = Store(tmp_path / "store")
    store.get(Noise(1))
    (path,) = tmp_path.rglob("manifest.json")
    forged = {**json.loads(path.read_text()), "key": key}
    del forged["manifest_sha256"]
    path.write_text(json.dumps(forged | {"manifest_sha256": _digest(forged)}))
    assert store.ls() == []
    assert "another artifact" in store.verify()[0].problem
    before = _files(tmp_path)
    assert store.gc({key}) != []
    assert _files(tmp_path) < before


@pytest.mark.parametrize("name", EVIL)
def test_gc_deletes_nothing_outside(name, tmp_path):
    store = Store(tmp_path / "store")
    store.get(Noise(1))
    (tmp_path / "x").write_text("mine")
    store.gc({name})
    assert (tmp_path / "x").read_text() == "mine"
    assert store.ls() == []


@pytest.mark.parametrize("name", EVIL)
def test_a_claim_id_that_is_no_file_name_is_refused(name):
    with pytest.raises(DeclarationError, match="an id is lower case words"):
        declare(id=name)


@given(ANY)
def test_an_id_that_is_accepted_names_a_file(name):
    try:
        declare(id=name)
    except DeclarationError:
        return
    assert re.fullmatch(r"[a-z0-9.-]{1,100}", name)
    assert Path("/reports/badges", f"{name}.json").resolve().parent == Path("/reports/badges")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return example_results(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("name", EVIL)
def test_a_report_on_an_evil_claim_writes_nothing(name, results, tmp_path):
    # results.json may come from anywhere: `energylens report FILE`.
    with pytest.raises(InputError, match="can't name a file"):
        write_report({**results, "claims": [{**results["claims"][0], "id": name}]}, tmp_path / "reports")
    assert _files(tmp_path) == set()


def test_models_variants_and_nulls_of_any_name_stay_in_the_report(results, tmp_path):
    text = json.dumps(results)
    for word, evil in (("modadd-1l", "../../../x"), ("topk", "/etc/passwd"), ("untrained", "..\\..\\x")):
        assert f'"{word}"' in text
        text = text.replace(f'"{word}"', json.dumps(evil))
    written = write_report(json.loads(text), tmp_path / "reports")
    written += write_badges(json.loads(text), tmp_path / "badges")
    assert len(written) > 20
    for path in written:
        name = path.relative_to(tmp_path).as_posix().removeprefix("reports/")
        assert re.fullmatch(
            r"(VALIDATION\.md|badge\.(json|svg)|(figures|families|about|badges)/[a-z0-9._-]+)", name
        )
    assert _files(tmp_path) == {path.relative_to(tmp_path) for path in written} | {
        Path("reports"), Path("badges"), *(Path("reports", name) for name in ("figures", "families", "about")),
    }  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(model=ANY, variant=ANY, null=ANY)
def test_measurements_of_any_name_stay_in_the_run_s_folder(model, variant, null, tmp_path_factory):
    folder = tmp_path_factory.mktemp("all")
    run = RunFolder(folder / "run")
    case = Case(declare(), model, variant, 0, null)
    run.measured(case, lambda: nothing(0))
    run.record_note("error", f"{model}/{variant}", {"text": null})
    assert len(run.cases()) == 1
    for path in _files(folder):
        assert re.fullmatch(r"run(/(cases|verdicts|notes)(/[a-z0-9.]+)?)?", path.as_posix())
    shutil.rmtree(folder)


@given(ANY)
def test_a_null_s_name_has_no_separators(name):
    try:
        Null(name, "why", measure=nothing)
    except DeclarationError:
        return
    assert not set(name) & set("/\\:\0\n ~")


@pytest.mark.parametrize("name", [name for name in EVIL if not re.fullmatch(PLAIN, name)])
def test_a_checkpoint_s_name_has_no_separators(name, tmp_path):
    with pytest.raises(InputError, match="wants NAME=PATTERN"):
        match_checkpoints(f"{name}={tmp_path}")


@given(ANY)
def test_a_checkpoint_s_name_that_is_accepted_is_one_plain_word(name):
    # Nothing matches the pattern, so what is accepted ends with that error.
    with pytest.raises(InputError) as refused:
        match_checkpoints(f"{name}=/nowhere/at/all")
    if "no checkpoint matches" in str(refused.value):
        word = name.partition("=")[0]
        assert Path("/root", word).resolve().parent == Path("/root")
        assert word not in ZOO_NAMES


def test_what_is_accepted_is_used_as_it_is(results: dict[str, Any], tmp_path):
    # The counter-check: an ordinary claim does get its files.
    claimed = replace(declare(), id="toy.mean")
    assert claimed.id == "toy.mean"
    names = {path.name for path in write_badges(results, tmp_path)}
    assert {f"{claim['id']}.json" for claim in results["claims"]} <= names
