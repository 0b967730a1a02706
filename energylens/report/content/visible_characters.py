"""Visible signs for characters that print nothing, so that the reader sees what a token holds."""

import unicodedata

LINE_BREAK, TAB, BLANK, OTHER = "↵", "→", "␣", "□"


def visible(text: str) -> str:
    """One line: line breaks are ↵, tabs →, other spaces a plain space.

    □ stands for what has no shape of its own: control, formatting, private and unassigned characters, surrogates.
    """
    return "".join(map(_visible, text))


def _visible(char: str) -> str:
    if char == "\t":
        return TAB
    category = unicodedata.category(char)
    if char == "\n" or category in ("Zl", "Zp"):
        return LINE_BREAK
    if category == "Zs":
        return " "
    return OTHER if category.startswith("C") else char
