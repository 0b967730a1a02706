"""Words and sentence templates of the indirect-object task, and sentences drawn from them.

A template is a line of words; a word in braces is a slot: {A} and {B} are the names in the order in which they
come first, {S} is who acts, {C} is somebody else, {answer} is whom it is done for. Importing this module does
not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from energylens.errors import InputError

if TYPE_CHECKING:
    import torch


def _words(line: str) -> tuple[str, ...]:
    return tuple(line.split())


NAMES = _words(
    "Ada Boris Clara David Elsa Felix Greta Hugo Irene Jakob Karin Leo Maria Noah Olga Peter "
    "Quentin Rosa Simon Tina Ursula Victor Wanda Xaver Yara Zeno Alice Bruno Celia Dario Emma Frank "
    "Gina Hans Ines Julia Kurt Lena Marco Nina Oscar Paula Ralf Sara Tom Ute Vera Walter"
)
"""The answers: token i is NAMES[i]."""

PAD, BOS = "PAD", "BOS"

PLACES = _words("park school market office kitchen garden harbour museum station library bakery")
OBJECTS = _words("book ring letter basket lamp drink coat map key flower watch")
FILLERS = _words(
    "well so then later today perhaps indeed still quite anyway meanwhile suddenly finally often yesterday "
    "usually slowly quietly really now maybe soon"
)

DISTRACTORS = (
    "it rained all morning .",
    "the bus was late again .",
    "nobody said anything about the weather .",
    "the radio played an old song .",
    "every shop in the street was closed .",
)
"""Sentences that come first and have nothing to do with the rest."""

NAMING_DISTRACTORS = (
    "{C} was ill that day .",
    "nobody had seen {C} all morning .",
    "the song from {C} about the weather was old .",
    "every shop was waiting for {C} .",
)
"""The same with a third name."""

OPENINGS = (
    "when {A} and {B} went to the {place} ,",
    "after {A} met {B} at the {place} ,",
    "while {A} was sitting next to {B} in the {place} ,",
    "{A} saw {B} near the {place} and",
    "because {A} had worked with {B} in the {place} ,",
    "{A} and {B} left the {place} together and",
)

ENDINGS = (
    "{S} gave the {object} to {answer}",
    "{S} decided at once to hand the {object} right back to {answer}",
    "{S} wanted to send a {object} to {answer}",
    "{S} bought a {object} for {answer}",
    "{S} kept the {object} for {answer}",
)
"""Endings that ask for a name. Six openings, five endings, {A} or {B} as the answer: 60 templates."""

OTHER_ENDINGS = (
    "{S} fell asleep",
    "{S} lost the {object}",
    "{S} ran to the {place}",
    "{S} began to sing",
    "{S} wanted to sit down",
    "{S} bought a {object} at the {place}",
)
"""Endings whose last word is no name."""

SLOTS = ("{A}", "{B}", "{S}", "{C}", "{place}", "{object}", "{answer}")

_TEMPLATES = " ".join((*DISTRACTORS, *NAMING_DISTRACTORS, *OPENINGS, *ENDINGS, *OTHER_ENDINGS))
_USED = dict.fromkeys(word for word in _words(_TEMPLATES) if word not in SLOTS)
VOCABULARY = (*NAMES, PAD, BOS, *dict.fromkeys((*PLACES, *OBJECTS, *FILLERS, *_USED)))
"""Every word there is; a word's token is its place here."""
TOKEN = {word: token for token, word in enumerate((*VOCABULARY, *SLOTS))}
"""Tokens of the words, then stand-ins for the slots."""
ABSENT = -1

MAX_FILLER, MAX_MIDDLE = 8, 5
P_DISTRACTOR, P_NAMING = 0.4, 0.3
P_ABC, P_OTHER = 0.12, 0.12


class Sentences(NamedTuple):
    """n sentences as templates and what fills them.

    layout [n, longest]: tokens and slots (TOKEN), then ABSENT; fills [n, slots] in the order of SLOTS; io_first
    [n]: whether the name that is asked for came before the other.
    """

    layout: torch.Tensor
    fills: torch.Tensor
    io_first: torch.Tensor

    def filled(self) -> torch.Tensor:
        """Tokens [n, longest], ABSENT after the last word."""
        slots = self.layout - len(VOCABULARY)
        return self.fills.gather(1, slots.clamp(min=0)).where(slots >= 0, self.layout)

    def fill(self, slot: str) -> torch.Tensor:
        """What stands in a slot, [n]."""
        return self.fills[:, SLOTS.index(slot)]

    def pos(self, slot: str) -> torch.Tensor:
        """Where a slot stands that every sentence has, [n]."""
        return (self.layout == TOKEN[slot]).int().argmax(1)


def draw(
    n: int,
    pairs: torch.Tensor,
    may_meet: torch.Tensor,
    generator: torch.Generator,
    genuine: bool,
) -> Sentences:
    """n sentences about pairs [n_pairs, 2] of names, with others only where may_meet [names, names] allows.

    Genuine sentences have no third name as the subject and no other ending. Errors: InputError if n < 1 or if
    nobody may meet both names of a pair.
    """
    if n < 1:
        raise InputError(f"at least one sentence must be drawn, got {n}")
    io_first, abc = _chance(n, 0.5, generator), _chance(n, 0.0 if genuine else P_ABC, generator)
    fills = _fills(pairs, may_meet, io_first, abc, generator)
    # ABC sentences end with a name, so among the rest other endings are more frequent than among all.
    other_ending = _chance(n, 0.0 if genuine else P_OTHER / (1 - P_ABC), generator) & ~abc
    return Sentences(_layout(other_ending, generator), fills, io_first)


def _fills(
    pairs: torch.Tensor,
    may_meet: torch.Tensor,
    io_first: torch.Tensor,
    abc: torch.Tensor,
    generator: torch.Generator,
) -> torch.Tensor:
    """What stands in each of the SLOTS, [n, slots]."""
    import torch

    n = len(io_first)
    pair = pairs[torch.randint(len(pairs), (n,), generator=generator)]
    pair = pair.flip(1).where(_chance(n, 0.5, generator)[:, None], pair)
    friends = may_meet[pair].all(1)
    third = _somebody(friends, generator)
    other = _somebody(friends & may_meet[third], generator)
    io, s = (pair[:, i].where(io_first, pair[:, 1 - i]) for i in (0, 1))
    place, thing = (TOKEN[words[0]] + _one_of(words, n, generator) for words in (PLACES, OBJECTS))
    return torch.stack([*pair.T, third.where(abc, s), other, place, thing, io], dim=1)


def _layout(other_ending: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Distractor, filler, opening, filler and ending as tokens and slots, then ABSENT: [n, longest]."""
    import torch

    n = len(other_ending)
    naming = _one_of(NAMING_DISTRACTORS, n, generator) + len(DISTRACTORS)
    distractor = naming.where(_chance(n, P_NAMING, generator), _one_of(DISTRACTORS, n, generator)) + 1
    ending = _one_of(OTHER_ENDINGS, n, generator) + len(ENDINGS)
    ending = ending.where(other_ending, _one_of(ENDINGS, n, generator))
    parts = [
        torch.full((n, 1), TOKEN[BOS]),
        _table(("", *DISTRACTORS, *NAMING_DISTRACTORS))[
            distractor.where(_chance(n, P_DISTRACTOR, generator), 0)
        ],
        _filler(n, MAX_FILLER, generator),
        _table(OPENINGS)[_one_of(OPENINGS, n, generator)],
        _filler(n, MAX_MIDDLE, generator),
        _table((*ENDINGS, *OTHER_ENDINGS))[ending],
    ]
    gaps = torch.cat(parts, dim=1)
    # A stable sort moves what is absent to the end and keeps the words in order.
    return gaps.gather(1, (gaps == ABSENT).int().argsort(dim=1, stable=True))


def _chance(n: int, p: float, generator: torch.Generator) -> torch.Tensor:
    """True with probability p, [n]."""
    import torch

    return torch.rand(n, generator=generator) < p


def _one_of(words: Sequence[str], n: int, generator: torch.Generator) -> torch.Tensor:
    """Uniform indices of the words, [n]."""
    import torch

    return torch.randint(len(words), (n,), generator=generator)


def _somebody(candidates: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """One of each row's candidates, [n]."""
    if not candidates.any(1).all():
        raise InputError("nobody may meet both names of some pair: too few name pairs are for training")
    return candidates.float().multinomial(1, generator=generator)[:, 0]


def _filler(n: int, longest: int, generator: torch.Generator) -> torch.Tensor:
    """0 .. longest random words per row, [n, longest]."""
    import torch

    words = TOKEN[FILLERS[0]] + torch.randint(len(FILLERS), (n, longest), generator=generator)
    length = torch.randint(longest + 1, (n, 1), generator=generator)
    return words.where(torch.arange(longest) < length, ABSENT)


@cache
def _table(templates: tuple[str, ...]) -> torch.Tensor:
    """Templates as tokens and slots, padded with ABSENT."""
    import torch

    rows = [[TOKEN[word] for word in template.split()] for template in templates]
    return torch.tensor([row + [ABSENT] * (max(map(len, rows)) - len(row)) for row in rows])
