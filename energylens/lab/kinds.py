"""Kinds of SAE by name: those that claims name, and every other method by its own name."""

from collections.abc import Mapping, Sequence
from zlib import crc32

from energylens.errors import InputError
from energylens.sae.methods.table import METHODS
from energylens.sae.variants import Variant


def of_kind(kind: str, kinds: Mapping[str, Variant]) -> Variant:
    """The kind of SAE of this name, or else the method of this name. Errors: InputError for neither."""
    if kind not in kinds and kind not in METHODS:
        raise InputError(f"unknown kind of SAE {kind!r}; known: {', '.join({**kinds, **METHODS})}")
    return kinds[kind] if kind in kinds else METHODS[kind]()


def place(name: str, known: Sequence[str]) -> int:
    """A number for random draws under a name: its place among known names, else a hash, hardly shared by two names."""
    return known.index(name) if name in known else len(known) + crc32(name.encode())
