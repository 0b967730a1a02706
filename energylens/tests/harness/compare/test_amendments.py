import pytest

from energylens import AtLeast
from energylens.errors import InputError
from energylens.harness.compare.amendments import add_amendments, amendments_of, read_amendments
from energylens.harness.compare.ledger import updated
from energylens.tests.harness.compare.test_ledger import LARGE, SMALL, results, with_measure

RUN = {"started": "2026-01-02T03:04:05+00:00", "provenance": {"commit": "c" * 40}}


def line(claim="toy.mean", at="2026-01-01", rows=None, changed=("measure",), commit="c"):
    rows = (
        {"toy.mean/dice": {"before": None, "after": {"verdict": "HOLDS", "estimates": {}}}}
        if rows is None
        else rows
    )
    return {"at": at, "commit": commit, "claim": claim, "changed": list(changed), "rows": rows}


def test_a_run_tells_the_amended_rows_that_it_rewrites():
    ledger = updated({}, with_measure(results(LARGE), "aaaa"), complete=True)
    (found,) = amendments_of(with_measure(results(SMALL), "bbbb") | RUN, ledger)
    assert (found["at"], found["commit"], found["claim"]) == (RUN["started"], "c" * 40, "toy.mean")
    assert found["changed"] == ["measure"]
    row = found["rows"]["toy.mean/dice"]
    assert (row["before"]["verdict"], row["after"]["verdict"]) == ("HOLDS", "REFUTED")
    assert row["before"]["estimates"]["value"][0] == 2.0
    assert abs(row["after"]["estimates"]["value"][0]) < 1e-9


@pytest.mark.parametrize("now", ["aaaa", "bbbb"])
def test_what_is_not_amended_is_not_told(now):
    """A flip is none, nor is an edit of the measure that left every number."""
    ledger = updated({}, with_measure(results(LARGE), "aaaa"), complete=True)
    values = SMALL if now == "aaaa" else LARGE
    assert amendments_of(with_measure(results(values), now) | RUN, ledger) == []
    assert amendments_of(with_measure(results(values), now) | RUN, {}) == []


def test_an_edited_declaration_that_moved_nothing_is_told_without_rows():
    ledger = updated({}, results(LARGE), complete=True)
    (found,) = amendments_of(results(LARGE, holds_when=AtLeast(0.5)) | RUN, ledger)
    assert found["changed"] == ["region: 'value: ≥ 1' -> 'value: ≥ 0.5'"]
    assert found["rows"] == {}


def test_lines_are_added_once_and_in_order_of_time(tmp_path):
    path = tmp_path / "reports" / "amendments.jsonl"
    assert read_amendments(path) == add_amendments(path, []) == []
    assert not path.exists()
    late, early = line(at="2026-03-01"), line("toy.other", "2026-02-01")
    add_amendments(path, [late, early])
    assert [each["claim"] for each in read_amendments(path)] == ["toy.other", "toy.mean"]
    text = path.read_text()
    add_amendments(path, [line(at="2026-04-01", commit="d")])
    assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_edits_that_moved_nothing_are_told_apart_by_what_changed(tmp_path):
    path = tmp_path / "amendments.jsonl"
    assert len(add_amendments(path, [line(rows={}, changed=[text]) for text in ("a", "b", "a")])) == 3
    assert len(add_amendments(path, [line(rows={}, changed=[text]) for text in ("a", "b", "c")])) == 4


def test_nan_is_written_as_text_and_the_same_line_is_known_again(tmp_path):
    path = tmp_path / "amendments.jsonl"
    after = {"verdict": "INCONCLUSIVE", "estimates": {"value": [float("nan"), -float("inf"), 1.0]}}
    for _ in range(2):
        add_amendments(path, [line(rows={"toy.mean/dice": {"before": None, "after": after}})])
    (kept,) = read_amendments(path)
    assert kept["rows"]["toy.mean/dice"]["after"]["estimates"]["value"] == ["NaN", "-Infinity", 1.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<<<<<<< HEAD", "line 1 is not JSON"),
        ("{}", "line 1 is no amendment"),
        ("[1]", "line 1 is no amendment"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, text, said):
    path = tmp_path / "amendments.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"amendments\.jsonl, {said}"):
        read_amendments(path)


def test_an_edit_that_moved_controls_alone_is_added_once_however_it_was_found(tmp_path):
    """A run and the git history tell other times and commits, and the same digests."""

    def line(after, changed=("measure",), at="2026-01-02"):
        row = {"verdict": "HOLDS", "estimates": {"value": [1, 0, 2]}}
        pair = {"before": row, "after": row, "controls": ["aaaa", after]}
        return {
            "at": at,
            "commit": at,
            "claim": "toy.a",
            "changed": list(changed),
            "rows": {"toy.a/dice": pair},
        }

    path = tmp_path / "amendments.jsonl"
    add_amendments(path, [line("bbbb")])
    assert len(add_amendments(path, [line("bbbb", at="2026-01-03"), line("cccc")])) == 2
    declared = line("dddd", ["nulls: 'a' -> 'b'"])
    add_amendments(path, [declared | {"rows": {}}])
    assert len(add_amendments(path, [declared])) == 3
