"""Write the report of a run: VALIDATION.md, figures, badges. A pure function of results.json, history and trust."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from energylens.harness.json_values import replace_file
from energylens.report.badge import badge, badge_svg, claim_badge
from energylens.report.document import document, picture_names
from energylens.report.replication import REPLICATION_FIGURE, replication_figure
from energylens.report.trust import TRUST_FIGURE
from energylens.report.view import JSON, Entry, entries, families, forest_name, history_name

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
    "badges": ("*.json", "*.svg"),
}


def write_report(
    results: JSON,
    folder: Path,
    history: Sequence[JSON] = (),
    trust: JSON | None = None,
    amendments: Sequence[JSON] = (),
) -> list[Path]:
    """Write or refresh the report in `folder` and return its files.

    history: the full runs so far, this one included. trust: what `energylens trust` measured, section by section.
    amendments: edits of declarations and measures, which the section on the history lists.

    Everything is rendered before the first file is touched, each file is replaced atomically, VALIDATION.md
    after what it links to, and pictures and badges of vanished claims are removed last: a run that is
    interrupted leaves a readable report.
    """
    found = entries(results)
    trust = trust or {}
    pictures = _pictures(found, history, trust)
    files = pictures | _badges(results, found)
    files["VALIDATION.md"] = document(
        results, found, picture_names(pictures), history, trust, amendments
    ).encode()
    for name, content in files.items():
        replace_file(folder / name, content)
    written = [folder / name for name in files]
    _remove_stale(folder, keep=written)
    return written


def _pictures(found: list[Entry], history: Sequence[JSON], trust: JSON) -> dict[str, bytes]:
    """File name and content of every figure."""
    from energylens.report.forest import claim_figure, forest
    from energylens.report.history import history_figure
    from energylens.report.power import power_curves
    from energylens.report.series import series_figure
    from energylens.report.style import encode, styled

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


def _badges(results: JSON, found: Iterable[Entry]) -> dict[str, bytes]:
    shields = {"badge": badge(results)} | {f"badges/{entry.id}": claim_badge(entry) for entry in found}
    files: dict[str, bytes] = {}
    for name, shield in shields.items():
        files[f"{name}.json"] = _json(shield)
        files[f"{name}.svg"] = badge_svg(shield).encode()
    return files


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _remove_stale(folder: Path, keep: Iterable[Path]) -> None:
    kept = set(keep)
    for name, patterns in _OWNED.items():
        for pattern in patterns:
            for path in set((folder / name).glob(pattern)) - kept:
                path.unlink()
