import json
from pathlib import Path

import pytest

from energylens.errors import InputError
from energylens.harness.compare.history import HISTORY, append_history, history_line, is_news, read_history
from energylens.harness.results import describe_claim
from energylens.tests.harness.helpers import declare


def verdict(model="dice", word="HOLDS", estimate=0.123456789, **changes):
    part = {"part": "value", "word": word, "estimate": estimate, "low": "-Infinity", "high": 1.0}
    return {
        "claim": "toy.mean", "model": model, "variant": "", "word": word, "qualifiers": [], "parts": [part],
        "own_checkpoint": False,
    } | changes  # fmt: skip


def results(*verdicts, **provenance):
    return {
        "started": "2026-01-02T03:04:05+00:00",
        "provenance": {"commit": "abc", "dirty": False, "packages": {"torch": "2.12"}, "cpu": "some"}
        | provenance,
        "claims": [{"id": "toy.mean", "declaration_hash": "0123456789abcdef"}],
        "verdicts": verdicts or [verdict()],
    }


def test_a_line_has_what_its_module_says():
    line = history_line(results(verdict(), verdict("cards", qualifiers=["by chance too"])))
    assert (line["at"], line["commit"], line["dirty"]) == ("2026-01-02T03:04:05+00:00", "abc", False)
    row = {
        "word": "HOLDS",
        "declaration": "01234567",
        "parts": {"value": [0.123457, -float("inf"), 1.0, "HOLDS"]},
    }
    assert line["rows"] == {
        "toy.mean/dice": row, "toy.mean/cards": {**row, "qualifiers": ["by chance too"]},
    }  # fmt: skip


def test_what_was_not_judged_and_a_users_own_checkpoints_are_left_out():
    rows = history_line(
        results(
            verdict("a"), verdict("b", "NOT RUN"), verdict("c", "ERROR"), verdict("d", own_checkpoint=True)
        )
    )["rows"]
    assert list(rows) == ["toy.mean/a"]


def test_the_environment_is_versions_and_machine_and_not_the_commit():
    def digest(**provenance):
        return history_line(results(**provenance))["environment"]

    assert digest() == digest(commit="def", dirty=True, artifacts={"key": "label"})
    assert len({digest(), digest(cpu="another"), digest(packages={"torch": "2.13"})}) == 3


def test_lines_are_added(tmp_path):
    path = tmp_path / "reports" / HISTORY
    line = history_line(results(verdict(estimate="NaN")))
    for _ in range(2):
        append_history(path, line)
    found = read_history(path)
    assert len(path.read_text().splitlines()) == len(found) == 2
    assert found[0]["rows"]["toy.mean/dice"]["parts"]["value"] == ["NaN", "-Infinity", 1.0, "HOLDS"]
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_lines_before(tmp_path, monkeypatch):
    path = tmp_path / HISTORY
    append_history(path, history_line(results()))
    before = path.read_bytes()

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        append_history(path, history_line(results()))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_last_line_without_its_end_stays_a_line(tmp_path):
    path = tmp_path / HISTORY
    path.write_text(json.dumps(history_line(results()) | {"at": "2026"}))
    append_history(path, history_line(results()))
    assert [run["at"][:4] for run in read_history(path)] == ["2026", "2026"]


def test_runs_are_read_in_order_of_time(tmp_path):
    path = tmp_path / HISTORY
    for at in ("2026-03", "2026-01", "2026-02"):
        append_history(path, history_line(results()) | {"at": at})
    assert [run["at"] for run in read_history(path)] == ["2026-01", "2026-02", "2026-03"]
    assert read_history(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("text", ["<<<<<<< HEAD", "[]", '{"at": "2026"}', ""])
def test_a_damaged_line_is_named(tmp_path, text):
    path = tmp_path / HISTORY
    append_history(path, history_line(results()))
    path.write_text(path.read_text() + text + "\n")
    with pytest.raises(InputError, match=r"history\.jsonl, line 2 is no"):
        read_history(path)


def test_a_run_of_two_hundred_verdicts_stays_below_40_kb(tmp_path):
    path = tmp_path / HISTORY
    verdicts = [
        verdict(f"a-model-of-some-length-{i}", variant="some-variant", estimate=-0.123456789e-5)
        for i in range(208)
    ]
    append_history(path, history_line(results(*verdicts)))
    assert path.stat().st_size < 40_000


def test_the_measure_is_no_part_of_the_declaration_in_a_history():
    found = results()
    lines = [
        history_line(found | {"claims": [describe_claim(declare(), Path("/"), measure)]})
        for measure in ("", "a", "b")
    ]
    assert lines[0]["rows"] == lines[1]["rows"] == lines[2]["rows"]


def test_a_run_is_news_unless_it_repeats_the_last_one():
    line = history_line(results(verdict("a"), verdict("b", estimate="NaN")))
    again = json.loads(json.dumps(line | {"at": "2027", "commit": "def", "dirty": True}))
    other = history_line(results(verdict("a", estimate=0.12), verdict("b", estimate="NaN")))
    assert is_news(line, [], ())
    assert not is_news(again, [other, line], ())
    assert is_news(line, [line, other], ())
    assert is_news(line | {"environment": "other"}, [line], ())
    assert not is_news(other, [line], {"toy.mean"})
    assert is_news(history_line(results(verdict("a", "REFUTED"), verdict("b"))), [line], {"toy.mean"})
