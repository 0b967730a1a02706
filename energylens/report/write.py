"""The report of a run, written to files: its pages, figures and badge, from results.json, history and trust alone."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from energylens.harness.json_values import replace_file
from energylens.harness.quiet import quiet
from energylens.report.badge import badge, badge_svg, claim_badge
from energylens.report.content.entries import JSON, Entry, entries, families, forest_name, history_name
from energylens.report.content.replication import REPLICATION_FIGURE
from energylens.report.content.trust import TRUST_FIGURE
from energylens.report.figures.replication import replication_figure
from energylens.report.markdown.document import picture_names
from energylens.report.markdown.pages import ABOUT, FAMILIES, pages

_OWNED = {
    "figures": (
        "forest.*",
        "forest_*.png",
        "forest_*.svg",
        "history_*.png",
        "history_*.svg",
        "trust_*.png",
        "trust_*.svg",
        "*_estimates.png",
        "*_estimates.svg",
        "*_series.png",
        "*_series.svg",
    ),
    FAMILIES: ("*.md",),
    ABOUT: ("*.md",),
}


def write_report(
    results: JSON,
    folder: Path,
    history: Sequence[JSON] = (),
    trust: JSON | None = None,
    amendments: Sequence[JSON] = (),
) -> list[Path]:
    """Write or refresh the report in `folder` and return its files.

    history: the full runs so far, this one included if it found anything new. trust: what `energylens trust` measured,
    by section. amendments: edits of declarations and measures, which the page on the history lists.

    The report tells only committed results, so that two equal runs give the same bytes. Everything is rendered before
    the first file is touched, each file is replaced atomically, VALIDATION.md after the files that it links to, and
    pages and pictures of vanished claims are removed last: an interrupted run leaves a readable report.
    """
    results, trust = quiet(results), trust or {}
    found = entries(results)
    pictures = _pictures(found, history, trust)
    files = pictures | shield_files({"badge": badge(results)})
    made = pages(results, found, picture_names(pictures), history, trust, amendments)
    files |= {name: text.encode() for name, text in made.items()}
    for name, content in files.items():
        replace_file(folder / name, content)
    written = [folder / name for name in files]
    _remove_stale(folder, _OWNED, keep=written)
    return written


def write_badges(results: JSON, folder: Path) -> list[Path]:
    """Write the badge of every claim, as JSON and SVG, and return the files; those of vanished claims are removed."""
    files = shield_files({entry.id: claim_badge(entry) for entry in entries(results)})
    for name, content in files.items():
        replace_file(folder / name, content)
    written = [folder / name for name in files]
    _remove_stale(folder, {".": ("*.json", "*.svg")}, keep=written)
    return written


def shield_files(shields: Mapping[str, JSON]) -> dict[str, bytes]:
    """File name and content of badges, by name: the endpoint of shields.io, and a picture."""
    files: dict[str, bytes] = {}
    for name, shield in shields.items():
        files[f"{name}.json"] = f"{json.dumps(shield, indent=1, ensure_ascii=False)}\n".encode()
        files[f"{name}.svg"] = badge_svg(shield).encode()
    return files


def _pictures(found: list[Entry], history: Sequence[JSON], trust: JSON) -> dict[str, bytes]:
    """File name and content of every figure."""
    from energylens.report.figures.claim_figure import series_figure
    from energylens.report.figures.forest import claim_figure, forest
    from energylens.report.figures.history import history_figure
    from energylens.report.figures.power import power_curves
    from energylens.report.figures.style import encode, styled

    drawn: dict[str, bytes] = {}
    with styled():
        figures = {forest_name(family): forest(of_family) for family, of_family in families(found).items()}
        figures |= {
            history_name(f): history_figure(f, members, history) for f, members in families(found).items()
        }
        figures |= {f"{entry.id}_estimates": claim_figure(entry) for entry in found}
        figures |= {f"{entry.id}_series": series_figure(entry) for entry in found}
        if "calibration" in trust:
            figures[TRUST_FIGURE] = power_curves(trust["calibration"]["numbers"]["power"])
        if "replication" in trust:
            figures[REPLICATION_FIGURE] = replication_figure(trust["replication"]["numbers"]["lines"])
        for name, figure in figures.items():
            if figure is not None:
                drawn |= {f"figures/{name}.{kind}": content for kind, content in encode(figure).items()}
    return drawn


def _remove_stale(folder: Path, owned: Mapping[str, Iterable[str]], keep: Iterable[Path]) -> None:
    kept = set(keep)
    for name, patterns in owned.items():
        for pattern in patterns:
            for path in set((folder / name).glob(pattern)) - kept:
                path.unlink()
