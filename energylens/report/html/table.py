"""The table of verdicts that a notebook shows."""

from typing import TYPE_CHECKING

from energylens.report.figures.style import COLOURS

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = {
    "claim": "claim", "model": "model", "variant": "variant", "word": "verdict", "qualifiers": "", "part": "part",
    "estimate": "estimate", "low": "from", "high": "to", "region": "holds when", "reported": "reported",
    "reason": "why",
}  # fmt: skip
"""Columns of a frame of `Checked`, with their headings. Empty columns are left out."""


def html_table(frame: "pd.DataFrame") -> str:
    """HTML of `Checked.to_frame()`, words in their colours, text escaped."""
    told = [name for name in _SHOWN if name in frame and (frame[name].astype(str) != "").any()]
    shown = frame[told].rename(columns=_SHOWN)
    styled = shown.style.hide(axis="index").format(precision=3, escape="html", na_rep="")
    if "verdict" in shown:
        styled = styled.map(_coloured, subset=["verdict"])
    return str(styled.to_html())


def _coloured(word: str) -> str:
    return f"color: {COLOURS.get(word, 'inherit')}; font-weight: bold"
