"""The texts that every CPython ships: help topics and the standard library's top-level modules.

A document is a help topic or a module. This module reads them, fingerprints them, and says which of them repeat
each other and on which side of the split each stands. It uses the standard library alone.
"""

import hashlib
import sys
import sysconfig
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from energylens.errors import InputError

SALT = "energylens-885"
"""Chosen by sizes alone: on Python 3.10 to 3.13 each held-out split gets 7 to 14 % of the bytes of each kind."""

SHARES = MappingProxyType({"discovery": 0.1, "confirmation": 0.1})
"""Held-out splits and the share of documents each takes in expectation; the rest is "train"."""

SPLITS = ("train", *SHARES)

SHINGLE_WORDS = 13
RELATED, QUOTED = 0.1, 0.9
"""Shares of a document's shingles found in another from which the two are related, and one quotes the other."""

Overlaps: TypeAlias = Mapping[tuple[str, str], tuple[float, float]]
"""See `overlaps`."""


@cache
def python_documents() -> Mapping[str, str]:
    """Text by name, sorted by name: "topic:for" of `pydoc_data.topics`, "module:ast" of the library's folder.

    Modules are the *.py files that `sys.stdlib_module_names` lists: no packages, and not `_sysconfigdata_*` or
    `sitecustomize`, which describe one installation and not one Python. Errors: InputError for a Python that
    ships without its sources or help topics, or naming the file that can't be read.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise InputError(f"{_python()} ships without its help topics: {error}") from error
    folder = Path(sysconfig.get_path("stdlib"))
    paths = [path for path in folder.glob("*.py") if path.stem in sys.stdlib_module_names]
    if not paths:
        raise InputError(f"{_python()} has no sources of the standard library in {folder}")
    texts = {f"topic:{name}": text for name, text in topics.items()}
    texts |= {f"module:{path.stem}": _read(path) for path in paths}
    return MappingProxyType(dict(sorted(texts.items())))


def _python() -> str:
    return f"this Python ({sys.version.split()[0]}, {sys.executable})"


def _read(path: Path) -> str:
    """Source text with the encoding that it declares, line ends as newlines."""
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise InputError(f"the source of {path.stem!r} can't be read from {path}: {error}") from error


def fingerprint_of(texts: Mapping[str, str]) -> str:
    """sha256, as hex, over the sha256 of every name and text, in order of name."""
    parts = (part for name in sorted(texts) for part in (name, texts[name]))
    digests = (hashlib.sha256(part.encode("utf-8", "surrogatepass")).digest() for part in parts)
    return hashlib.sha256(b"".join(digests)).hexdigest()


@cache
def python_fingerprint() -> str:
    """`fingerprint_of` the running interpreter's documents."""
    return fingerprint_of(python_documents())


def split_of(name: str) -> str:
    """The split that a document's family name decides, whatever other documents there are.

    The salted sha256 of the name, as a number in [0, 1), falls into the share of a held-out split or into "train".
    """
    position = int(hashlib.sha256(f"{SALT}:{name}".encode()).hexdigest()[:13], 16) / 16**13
    end = 0.0
    for split, share in SHARES.items():
        end += share
        if position < end:
            return split
    return "train"


def overlaps(texts: Mapping[str, str]) -> Overlaps:
    """For each pair of documents with a shingle in common, by name: the share of each one's shingles that is.

    Source of the 13-word shingles: Brown et al. 2020 (arXiv:2005.14165), appendix C.
    """
    of = {name: set(_shingles(text)) for name, text in sorted(texts.items())}
    owners: dict[int, list[str]] = defaultdict(list)
    for name, found in of.items():
        for shingle in found:
            owners[shingle].append(name)
    common = Counter(pair for names in owners.values() for pair in combinations(names, 2))
    return {(a, b): (n / len(of[a]), n / len(of[b])) for (a, b), n in sorted(common.items())}


def _shingles(text: str) -> Iterator[int]:
    """Hash of every run of SHINGLE_WORDS words; of all words, where there are fewer."""
    words = text.split()
    for start in range(max(1, len(words) - SHINGLE_WORDS + 1)):
        yield hash(tuple(words[start : start + SHINGLE_WORDS]))


def quoted_in(texts: Mapping[str, str], found: Overlaps) -> dict[str, str]:
    """{document: a longer one that repeats it}: at least QUOTED of its shingles stand in the other.

    Many help topics are sections of another one (`for` of `compound`). Of equal texts, the first by name stays.
    """
    quoted: dict[str, str] = {}
    for (a, b), (of_a, of_b) in found.items():
        shorter, longer, share = (a, b, of_a) if len(texts[a]) < len(texts[b]) else (b, a, of_b)
        if share >= QUOTED:
            quoted.setdefault(shorter, longer)
    return quoted


def families(names: Iterable[str], found: Overlaps) -> dict[str, str]:
    """{document: first name of its family}. Related documents share a family, and so a split.

    Two documents are related if at least RELATED of either one's shingles stand in the other; transitive.
    """
    family = {name: name for name in names}
    for (a, b), shares in found.items():
        if a in family and b in family and max(shares) >= RELATED:
            first, second = sorted((family[a], family[b]))
            family = {name: first if label == second else label for name, label in family.items()}
    return family
