import copy

import pytest

from energylens.harness.compare.diff import diff
from energylens.report.terminal.changes import changes_text
from energylens.tests.harness.compare.test_diff import edit_code, run


def show(change, base=run):
    new = base()
    change(new)
    return changes_text(diff(base(), new), ("a.json", "HEAD~1"), (base(), new))


def test_no_change_is_two_lines_and_a_count():
    text = show(lambda new: None)
    assert text.splitlines()[0].startswith("A: a.json; measured 2026-01-01 00:00 UTC; commit 111111111")
    assert text.splitlines()[-1] == "2 verdicts: 2 same"
    assert "What differs" not in text


def flip(new):
    new["verdicts"][0] |= {"word": "REFUTED", "qualifiers": ["by chance too"]}
    new["verdicts"][0]["parts"][0] |= {"word": "REFUTED", "estimate": 0.5}
    edit_code(new, "lib/deep.py")


def test_a_flip_shows_both_verdicts_numbers_and_causes():
    text = show(flip)
    row = next(line for line in text.splitlines() if line.startswith("toy.mean"))
    for told in ("dice", "HOLDS 2 [1.9, 2.1]", "REFUTED, by chance too 0.5 [1.9, 2.1]", "flip", "code"):
        assert told in row
    assert "  code          lib/deep.py\n                concerns toy.mean dice" in text
    assert text.endswith("2 verdicts: 1 flip, 1 same")


def test_numbers_have_the_digits_that_tell_them_apart():
    text = show(lambda new: new["verdicts"][0]["parts"][0].update(estimate=2.00004))
    assert "HOLDS 2 [1.9, 2.1]" in text
    assert "HOLDS 2.00004 [1.9, 2.1]" in text


def test_of_several_parts_those_that_changed_have_lines_of_their_own():
    def two_parts():
        made = run()
        for each in made["verdicts"]:
            first = each["parts"][0]
            each["parts"] = [first | {"part": "one"}, first | {"part": "two"}]
        return made

    text = show(lambda new: new["verdicts"][0]["parts"][1].update(estimate=0.5), two_parts)
    lines = [line.split() for line in text.splitlines()]
    assert ["toy.mean", "dice", "HOLDS", "HOLDS", "moved", "not", "explained"] in lines
    assert any(line[:2] == ["two", "HOLDS"] for line in lines)
    assert not any(line[:1] == ["one"] for line in lines)


def test_rows_of_one_run_alone_show_what_it_says():
    text = show(lambda new: new["verdicts"].pop(0))
    row = next(line for line in text.splitlines() if line.startswith("toy.mean"))
    assert "HOLDS 2 [1.9, 2.1]" in row
    assert "vanished" in row


def test_a_cause_of_many_verdicts_names_some():
    def change(new):
        for i in range(5):
            new["verdicts"].append(copy.deepcopy(new["verdicts"][0]) | {"model": f"m{i}"})

    def move(new):
        change(new)
        for each in new["verdicts"][2:6]:
            each["parts"][0]["estimate"] = 3.0
        new["verdicts"][6]["seeds"] = [0]
        new["verdicts"][6]["word"] = "REFUTED"

    old, new = run(), run()
    change(old)
    move(new)
    text = changes_text(diff(old, new), ("a", "b"), (old, new))
    assert "concerns 4 verdicts: toy.mean m0; toy.mean m1; toy.mean m2; …" in text
    assert "  seed          0, 1 -> 0\n                concerns toy.mean m4" in text


@pytest.mark.parametrize("hostile", ["\x1b[31mred", "two\nlines", "\u202eright to left"])
def test_nothing_that_a_file_says_reaches_the_terminal_as_control(hostile):
    def hostile_run():
        made = run()
        made["verdicts"][0] |= {"model": hostile}
        made["verdicts"][0]["parts"] = [part | {"part": hostile} for part in made["verdicts"][0]["parts"] * 2]
        made["provenance"]["commit"] = hostile
        return made

    text = show(lambda new: new["verdicts"][0].update(word="NOT RUN", reason=hostile), hostile_run)
    assert "not run" in text
    assert not {"\x1b", "\u202e"} & set(text)
    assert "two\nlines" not in text
