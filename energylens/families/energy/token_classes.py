"""Word, number and regex: the class of every token of the corpus's modules, from Python's own `tokenize`.

Labels come from the source text alone, never from anything a network computes. Importing this module does not
import torch.
"""

import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int8, Int64

from energylens.errors import InputError
from energylens.models.corpus import Corpus
from energylens.models.documents import python_documents

CLASSES = ("word", "number", "regex")
WORD, NUMBER, REGEX = range(len(CLASSES))
UNLABELLED = -1

METACHARACTERS = frozenset("\\^$*+?{}[]|()")
"""Characters that make a raw string a pattern. A dot does not: every file name has one."""

FUNCTIONS = frozenset(
    {"compile", "search", "match", "fullmatch", "split", "findall", "finditer", "sub", "subn"}
)
"""Functions of module `re` whose first argument is a pattern."""

MODULE = "module:"


class Span(NamedTuple):
    """Characters [start, end) of a source text, and the class (a number in CLASSES) that they belong to."""

    start: int
    end: int
    label: int


class _Piece(NamedTuple):
    kind: int
    start: int
    end: int
    text: str


@dataclass
class _Strings:
    """State of the code before a string, which decides whether the string is a regex."""

    before: tuple[str, ...] = ()
    last: int = tokenize.NEWLINE
    is_docstring: bool = False
    is_argument: bool = False

    def is_pattern(self, text: str) -> bool:
        """Whether this string is a regex. Strings that follow each other are one, and share their role."""
        if self.last != tokenize.STRING:
            *_, dot, module, of, function, opens = ("", "", "", "", "", *self.before)
            self.is_docstring = self.last == tokenize.NEWLINE
            calls_re = dot != "." and (module, of, opens) == ("re", ".", "(")
            self.is_argument = calls_re and function in FUNCTIONS
        prefix = text[: min(text.find(quote) for quote in "'\"" if quote in text)]
        raw = "r" in prefix.lower() and not METACHARACTERS.isdisjoint(text)
        return self.is_argument or (raw and not self.is_docstring)

    def after(self, piece: _Piece) -> None:
        """The state after one more piece of code."""
        self.before, self.last = (*self.before, piece.text)[-5:], piece.kind


def spans(source: str) -> list[Span]:
    """Words, numbers and regexes of a source text, in order; comments, operators and other strings are none.

    word: NAME tokens, keywords among them. number: NUMBER tokens. regex: STRING tokens that are the first
    argument of re.compile, re.match ... (FUNCTIONS), or raw strings (a prefix with r) that contain a metacharacter
    and don't begin a statement, as docstrings do. A replacement such as r"\\1" counts as well. The whole string is
    the regex, with quotes, prefix and, in a verbose pattern, its comments. An f-string is one string on every
    Python: from 3.12 on `tokenize` takes it apart, and the names inside would be words.
    Errors: InputError for a text that is empty or that Python can't read.
    """
    if not source.strip():
        raise InputError(f"a document without code has no words, received {source[:40]!r}")
    found, strings = [], _Strings()
    for piece in _pieces(source):
        if piece.kind == tokenize.NAME:
            found.append(Span(piece.start, piece.end, WORD))
        elif piece.kind == tokenize.NUMBER:
            found.append(Span(piece.start, piece.end, NUMBER))
        elif piece.kind == tokenize.STRING and strings.is_pattern(piece.text):
            found.append(Span(piece.start, piece.end, REGEX))
        strings.after(piece)
    return found


def byte_labels(source: str) -> Int8[np.ndarray, " bytes"]:
    """Class of every UTF-8 byte, UNLABELLED outside spans; blanks are -2, inside spans as well."""
    label = np.full(len(source), UNLABELLED, dtype=np.int8)
    for start, end, of in spans(source):
        label[start:end] = of
    label[np.fromiter(map(str.isspace, source), dtype=bool, count=len(source))] = _BLANK
    code_points = np.frombuffer(source.encode("utf-32-le"), dtype=np.uint32)
    width = 1 + sum((code_points >= first).astype(np.int64) for first in (0x80, 0x800, 0x10000))
    return label.repeat(width)


def token_labels(source: str, token_bytes: Int64[np.ndarray, " tokens"]) -> Int8[np.ndarray, " tokens"]:
    """Class of every token of a text that was cut into `token_bytes` bytes each.

    The class that holds more than half of its bytes that are not blank; UNLABELLED where none does.
    Errors: InputError if the bytes don't add up to the text, or as of `spans`.
    """
    label = byte_labels(source)
    if int(token_bytes.sum()) != len(label):
        raise InputError(f"tokens of {int(token_bytes.sum())} bytes can't be a text of {len(label)} bytes")
    ends = token_bytes.cumsum()
    by_class = np.stack([_in_each(label == of, ends) for of in range(len(CLASSES))])
    most = 2 * by_class.max(0) > _in_each(label != _BLANK, ends)
    return np.where(most, by_class.argmax(0), UNLABELLED).astype(np.int8)


def document_labels(corpus: Corpus, index: int) -> Int8[np.ndarray, " tokens"]:
    """Class of every token of one module of the corpus.

    Errors: InputError for a document that is no module, or that the running Python's library has not.
    """
    name = corpus.names[index]
    if not name.startswith(MODULE):
        raise InputError(f"only modules are Python code with words, numbers and regexes, received {name!r}")
    return _cached_labels(name, corpus.token_bytes[corpus.document(index)].tobytes())


@cache
def _cached_labels(name: str, token_bytes: bytes) -> Int8[np.ndarray, " tokens"]:
    texts = python_documents()
    if name not in texts:
        raise InputError(f"the running Python's library has no {name!r}: the corpus is another Python's")
    found = token_labels(texts[name], np.frombuffer(token_bytes, dtype=np.int64))
    found.setflags(write=False)
    return found


_BLANK = -2


def _in_each(
    chosen: Bool[np.ndarray, " bytes"], ends: Int64[np.ndarray, " tokens"]
) -> Int64[np.ndarray, " tokens"]:
    """Number of chosen bytes in every token."""
    upto = np.concatenate([[0], chosen.cumsum()])[np.concatenate([[0], ends])]
    return np.diff(upto)


_SILENT = (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT)
_OPENS = {getattr(tokenize, f"{kind}STRING_START", None) for kind in "FT"} - {None}
_CLOSES = {getattr(tokenize, f"{kind}STRING_END", None) for kind in "FT"} - {None}


def _pieces(source: str) -> Iterator[_Piece]:
    """Tokens of a source text with their offsets; f-strings whole, comments and layout left out."""
    lines = [0, *accumulate(len(line) + 1 for line in source.split("\n"))]
    depth, first = 0, 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            start, end = (lines[row - 1] + column for row, column in (token.start, token.end))
            if token.type in _OPENS:
                depth, first = depth + 1, first if depth else start
            elif token.type in _CLOSES:
                depth -= 1
                if not depth:
                    yield _Piece(tokenize.STRING, first, end, source[first:end])
            elif not depth and token.type not in _SILENT:
                yield _Piece(token.type, start, end, token.string)
    except (tokenize.TokenError, SyntaxError) as error:
        raise InputError(f"this text is no Python that can be read, {error}: {source[:40]!r} ...") from error
