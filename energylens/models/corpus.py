"""Text that every CPython ships, as tokens for language models: a recipe, and the reader of its artifact.

Importing this module imports neither torch nor the tokeniser.
"""

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Int, Int32, Int64

from energylens.errors import InputError
from energylens.models.documents import (
    SHARES,
    SPLITS,
    families,
    overlaps,
    python_documents,
    python_fingerprint,
    quoted_in,
    split_of,
)
from energylens.store.recipe import Artifact, Progress, Recipe

if TYPE_CHECKING:
    import tokenizers

BOS = 0
"""The one special token, "<bos>". No text encodes to it: a task puts it before a window."""

BOS_STRING = "<bos>"
HELD_OUT = "held-out"
"""The held-out splits together."""

N_BYTES = 256


@dataclass(frozen=True)
class PythonText(Recipe):
    """Help topics and standard library of the running Python (see `energylens.models.documents`), as tokens.

    Byte-level BPE with `d_vocab` tokens (BOS and all 256 bytes among them), trained on the training documents
    alone. Another Python version has another fingerprint, and so another key. Topics that a longer one repeats
    are left out; related documents stand on the same side of the split.
    Tensors: tokens int32, all documents one after the other; offsets int64 [n_documents + 1], where each begins
    and the last ends; n_bytes int64 [n_documents], of its UTF-8. meta: fingerprint, python, tokenizer (JSON of
    `tokenizers`), names and splits [n_documents], quoted {left out: where it is repeated}, bytes (in total).
    Errors: InputError if d_vocab can't hold the bytes; at build, if the running Python's text has another
    fingerprint.
    """

    kind: ClassVar[str] = "corpus"
    d_vocab: int = 2048
    fingerprint: str = field(default_factory=python_fingerprint)

    def __post_init__(self) -> None:
        if self.d_vocab <= N_BYTES:
            raise InputError(f"d_vocab must hold {N_BYTES} bytes and {BOS_STRING}, got {self.d_vocab!r}")

    def label(self) -> str:
        """The short name shown while it is made."""
        return f"text of Python, {self.d_vocab} tokens"

    def build(self, inputs: Sequence[Artifact], progress: Progress) -> Artifact:
        """Split the documents, train the tokeniser on the training side, encode all."""
        if self.fingerprint != python_fingerprint():
            raise InputError(
                f"the text of this Python ({platform.python_version()}) has the fingerprint "
                f"{python_fingerprint()}, the recipe asks for {self.fingerprint!r}"
            )
        texts = python_documents()
        found = overlaps(texts)
        quoted = quoted_in(texts, found)
        names = [name for name in texts if name not in quoted]
        family = families(names, found)
        splits = [split_of(family[name]) for name in names]
        training = (texts[name] for name, split in zip(names, splits, strict=True) if split == "train")
        tokenizer = train_bpe(training, self.d_vocab)
        encoded = tokenizer.encode_batch_fast([texts[name] for name in names])
        n_bytes = [len(texts[name].encode()) for name in names]
        tensors = {
            "tokens": np.concatenate([np.asarray(one.ids, dtype=np.int32) for one in encoded]),
            "offsets": np.cumsum([0, *(len(one.ids) for one in encoded)], dtype=np.int64),
            "n_bytes": np.array(n_bytes, dtype=np.int64),
        }
        meta = {
            "fingerprint": self.fingerprint,
            "python": platform.python_version(),
            "tokenizer": tokenizer.to_str(),
            "names": names,
            "splits": splits,
            "quoted": quoted,
            "bytes": sum(n_bytes),
        }
        return Artifact(tensors, meta)


def train_bpe(texts: Iterable[str], d_vocab: int) -> "tokenizers.Tokenizer":
    """Byte-level BPE over GPT-2's word pattern; the same texts give the same merges with any number of threads.

    Errors: InputError if the texts are too few for d_vocab tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=d_vocab,
        special_tokens=[BOS_STRING],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() != d_vocab:
        raise InputError(f"the text yields {tokenizer.get_vocab_size()} tokens, not d_vocab {d_vocab}")
    tokenizer.encode_special_tokens = True
    return tokenizer


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents as tokens, each whole in one split: "train", "discovery" or "confirmation".

    "held-out" is discovery and confirmation together: no network or SAE is trained on it. Documents are numbered
    0 .. n - 1 in the order of `names`. Fields as in the artifact of PythonText.
    """

    fingerprint: str
    names: tuple[str, ...]
    splits: tuple[str, ...]
    tokens: Int32[np.ndarray, " tokens"]
    n_bytes: Int64[np.ndarray, " documents"]
    offsets: Int64[np.ndarray, " documents+1"]
    tokenizer: "tokenizers.Tokenizer" = field(repr=False)

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> "Corpus":
        """The corpus that PythonText stored."""
        from tokenizers import Tokenizer

        meta = artifact.meta
        tokenizer = Tokenizer.from_str(meta["tokenizer"])
        tokenizer.encode_special_tokens = True
        return cls(
            fingerprint=meta["fingerprint"],
            names=tuple(meta["names"]),
            splits=tuple(meta["splits"]),
            tokenizer=tokenizer,
            **{name: np.asarray(artifact.tensors[name]) for name in ("tokens", "offsets", "n_bytes")},
        )

    def indices(self, split: str) -> list[int]:
        """Numbers of a split's documents. Errors: InputError for no such split."""
        if split not in (*SPLITS, HELD_OUT):
            raise InputError(f"a split is one of {', '.join((*SPLITS, HELD_OUT))}, got {split!r}")
        wanted = tuple(SHARES) if split == HELD_OUT else (split,)
        return [index for index, of in enumerate(self.splits) if of in wanted]

    def document(self, index: int) -> Int32[np.ndarray, " tokens"]:
        """Tokens of one document; no BOS among them."""
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    def documents(self, split: str) -> list[tuple[str, Int32[np.ndarray, " _"]]]:
        """(name, tokens) of a split's documents."""
        return [(self.names[index], self.document(index)) for index in self.indices(split)]

    def encode(self, text: str) -> Int32[np.ndarray, " tokens"]:
        """Tokens of a text, without BOS; a literal "<bos>" in it is text like any other."""
        return np.asarray(self.tokenizer.encode(text).ids, dtype=np.int32)

    def decode(self, ids: Int[np.ndarray, " tokens"] | Sequence[int]) -> str:
        """Text of tokens; BOS is left out. Exact, but for a character that is cut: its bytes become U+FFFD.

        Errors: InputError for ids outside the vocabulary.
        """
        wanted = np.asarray(ids, dtype=np.int64)
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < self.d_vocab:
            raise InputError(f"tokens are 0 .. {self.d_vocab - 1}, got {wanted.min()} .. {wanted.max()}")
        return self.tokenizer.decode(wanted.tolist(), skip_special_tokens=True)

    @property
    def d_vocab(self) -> int:
        """Number of different tokens, BOS included."""
        return self.tokenizer.get_vocab_size()

    @cached_property
    def token_strings(self) -> tuple[str, ...]:
        """Every token as text, by id, for people: U+FFFD stands for part of a character."""
        return (BOS_STRING, *(self.tokenizer.decode([token]) for token in range(1, self.d_vocab)))

    @cached_property
    def token_bytes(self) -> Int64[np.ndarray, " d_vocab"]:
        """UTF-8 bytes that every token stands for, by id; 0 for BOS. Byte-level BPE spells a byte by one letter."""
        vocabulary = self.tokenizer.get_vocab()
        spelled = sorted(vocabulary, key=vocabulary.__getitem__)
        return np.array([0, *map(len, spelled[BOS + 1 :])], dtype=np.int64)

    def bytes_per_token(self, split: str) -> float:
        """Bytes over tokens of a split's documents."""
        indices = self.indices(split)
        return float(self.n_bytes[indices].sum() / np.diff(self.offsets)[indices].sum())
