"""Estimates over time: the example run, with a history that its verdicts never had."""

import copy

import pytest

from energylens.harness.compare.history import history_line
from energylens.report import write_report
from energylens.report.content.entries import entries
from energylens.report.content.timeline import RUNS_DRAWN, TURNS_LISTED, history_section, tracks_of
from energylens.report.figures.history import FEW, history_figure
from energylens.report.figures.style import GREY, INK, styled
from energylens.tests.report.helpers.example import only, whole_report

CLAIM, ROW = "fourier.grokked-circuit", "fourier.grokked-circuit/modadd-1l"


@pytest.fixture
def line(results):
    provenance = {"commit": "c" * 40, "dirty": False, "packages": {}}
    return history_line(results | {"started": "2026-01-01T10:00:00+00:00", "provenance": provenance})


def runs(line, *words, row=ROW):
    """One run a day; the verdict of a row is each of these words, and its estimate rises by .01."""
    made = []
    for day, word in enumerate(words, 1):
        run = copy.deepcopy(line) | {"at": f"2026-01-{day:02}T10:00:00+00:00"}
        run["rows"][row]["word"] = word
        for part in run["rows"][row]["parts"].values():
            part[:] = [x + day / 100 for x in part[:3]] + [word]
        made.append(run)
    return made


def entry_of(results, name=CLAIM):
    return next(entry for entry in entries(results) if entry.id == name)


def draw(results, history, name=CLAIM):
    with styled():
        return history_figure("fourier", [entry_of(results, name)], history)


def rings(figure):
    """Colour and place of every ring."""
    lines = [line for axes in figure.axes for line in axes.lines if line.get_markersize() == 7]
    return [(line.get_markeredgecolor(), float(line.get_xdata()[0])) for line in lines]


def test_flips_and_drift_are_ringed_where_they_happened(results, line):
    figure = draw(results, runs(line, "HOLDS", "HOLDS", "REFUTED", "INCONCLUSIVE"))
    assert [colour for colour, _ in rings(figure)] == [INK, GREY]
    assert [round(x) for _, x in rings(figure)] == [2, 3]
    assert rings(draw(results, runs(line, "HOLDS", "HOLDS"))) == []


def test_a_run_that_lacks_the_verdict_is_a_gap_and_no_flip(results, line):
    history = runs(line, "HOLDS", "HOLDS", "HOLDS")
    del history[1]["rows"][ROW]
    track = tracks_of(entry_of(results), "value", history)[0]
    assert list(track.marks) == [0, 2]
    assert not track.turns


def test_estimates_rise_from_left_to_right_inside_the_panel(results, line):
    figure = draw(results, runs(line, *["HOLDS"] * 5))
    axes = figure.axes[0]
    joined = next(line for line in axes.lines if len(line.get_xdata()) == 5)
    assert list(joined.get_ydata()) == sorted(joined.get_ydata())
    low, high = axes.get_ylim()
    assert low < min(joined.get_ydata()) < max(joined.get_ydata()) < high
    assert low < 0.93 < high
    assert "0.93" in [tick.get_text() for tick in axes.get_yticklabels()]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1 Jan", "5 Jan"]


def test_an_amended_declaration_is_a_dotted_line_before_its_run(results, line):
    history = runs(line, "HOLDS", "HOLDS", "HOLDS")
    for run in history[2:]:
        run["rows"][ROW]["declaration"] = "another"
    dotted = [
        each for each in draw(results, history).axes[0].lines if each.get_linestyle() not in ("-", "None")
    ]
    assert [float(each.get_xdata()[0]) for each in dotted] == [1.5]
    assert history_section([entry_of(results)], history, [])["turns"] is None


def test_every_part_has_a_panel_and_many_verdicts_lose_their_intervals(results, line):
    two = draw(results, [line, line], "stability.decoupled")
    assert len(two.axes) == 2
    many = draw(results, [line, line], "fourier.r2-below-5pct")
    assert len(entry_of(results, "fourier.r2-below-5pct").verdicts) > FEW
    upright = [
        each for each in many.axes[0].lines if len({*each.get_xdata()}) == 1 and len(each.get_xdata()) == 2
    ]
    assert not upright


def test_a_panel_without_any_number_says_so(results, line):
    history = [copy.deepcopy(line) for _ in range(2)]
    for run in history:
        for key, row in run["rows"].items():
            if key.startswith(CLAIM):
                row["word"] = "INVALID"
                row["parts"]["value"] = ["NaN", "NaN", "NaN", "INCONCLUSIVE"]
    assert "INVALID:\nno estimate" in [text.get_text() for text in draw(results, history).axes[0].texts]


def test_one_run_is_no_history_to_draw(results, line):
    assert history_figure("fourier", [entry_of(results)], [line]) is None
    assert history_figure("fourier", [entry_of(results)], []) is None


def test_of_a_long_history_the_last_runs_are_drawn(results, line):
    figure = draw(results, [line] * (RUNS_DRAWN + 5))
    assert max(len(each.get_xdata()) for each in figure.axes[0].lines) == RUNS_DRAWN
    assert f"the last {RUNS_DRAWN} of {RUNS_DRAWN + 5} full runs" in figure.texts[0].get_text()


def test_the_section_lists_what_turned_the_latest_first(results, line):
    history = runs(line, "HOLDS", "REFUTED", "INCONCLUSIVE")
    history[1]["rows"][ROW]["declaration"] = "another"
    section = history_section([entry_of(results)], history, [])
    last, first = section["turns"].splitlines()[2:]
    assert "REFUTED → INCONCLUSIVE" in last
    assert "drift" in last
    assert all(text in first for text in ("2026-01-02 10:00", "HOLDS → REFUTED", "flip", "amended"))
    assert f"[{CLAIM}](#{CLAIM})" in first


def test_more_turns_than_are_listed_are_counted(results, line):
    history = runs(line, *["HOLDS", "REFUTED"] * TURNS_LISTED)
    section = history_section([entry_of(results)], history, [])
    assert section["not_listed"] == TURNS_LISTED - 1
    assert section["turned"] == f"{2 * TURNS_LISTED - 1} verdicts changed"


def write(results, folder, history):
    write_report(only(results, CLAIM), folder, history)
    return whole_report(folder)


def test_the_report_shows_the_history_and_its_figure(results, line, tmp_path):
    text = write(results, tmp_path, runs(line, "HOLDS", "REFUTED"))
    section = text.split("# History")[1].split("\n# ")[0]
    assert "2 full runs from 2026-01-01 10:00 to 2026-01-02 10:00 UTC" in section
    assert "1 verdict changed" in section
    assert "(../figures/history_fourier.svg)" in section
    assert (tmp_path / "figures" / "history_fourier.svg").exists()


def test_with_one_run_the_report_says_so_and_without_any_nothing(results, line, tmp_path):
    text = write(results, tmp_path, [line])
    assert "There is one full run so far, of 2026-01-01 10:00 UTC" in text
    assert not list(tmp_path.glob("figures/history*"))
    assert "# History" not in write(results, tmp_path, [])


def test_a_history_that_is_gone_leaves_no_figure(results, line, tmp_path):
    write(results, tmp_path, [line, line])
    assert list(tmp_path.glob("figures/history*"))
    write(results, tmp_path, [])
    assert not list(tmp_path.glob("figures/history*"))
