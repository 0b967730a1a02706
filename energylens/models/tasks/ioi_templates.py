"""Words and sentence templates of the indirect-object task.

A template is a line of words; a word in braces is a slot: {A} and {B} are the names in the order in which they
come first, {S} is who acts, {C} is somebody else, {answer} is whom it is done for. Importing this module does
not import torch.
"""

NAMES = (
    "Ada Boris Clara David Elsa Felix Greta Hugo Irene Jakob Karin Leo Maria Noah Olga Peter "
    "Quentin Rosa Simon Tina Ursula Victor Wanda Xaver Yara Zeno Alice Bruno Celia Dario Emma Frank "
    "Gina Hans Ines Julia Kurt Lena Marco Nina Oscar Paula Ralf Sara Tom Ute Vera Walter"
).split()
"""The answers: token i is NAMES[i]."""

PAD, BOS = "PAD", "BOS"

PLACES = "park school market office kitchen garden harbour museum station library".split()
OBJECTS = "book ring letter basket lamp drink coat map key flower".split()
FILLERS = (
    "well so then later today perhaps indeed still quite anyway meanwhile suddenly finally often yesterday "
    "usually slowly quietly really now"
).split()

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
    "the song from {C} about the weather was very old .",
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

_TEXT = (*PLACES, *OBJECTS, *FILLERS) + tuple(
    word
    for template in (*DISTRACTORS, *NAMING_DISTRACTORS, *OPENINGS, *ENDINGS, *OTHER_ENDINGS)
    for word in template.split()
    if word not in SLOTS
)
VOCABULARY: tuple[str, ...] = (*NAMES, PAD, BOS, *dict.fromkeys(_TEXT))
"""Every word there is; a word's token is its place here."""
