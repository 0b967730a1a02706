import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from energylens.errors import InputError
from energylens.models.corpus import BOS, HELD_OUT, Corpus
from energylens.models.tasks.base import Examples, Task
from energylens.models.tasks.text import N_HELD_OUT, Text, TextOnCorpus
from energylens.store import Artifact

LENGTHS = {
    "train": [4, 3, 9, 30, 0, 2],
    "discovery": [4, 40, 3, 11],
    "confirmation": [9, 8],
}
"""Tokens per document; with n_ctx = 4, those of 0, 2 and 3 hold no window."""

SPLITS = [split for split, lengths in LENGTHS.items() for _ in lengths]
SIZES = [length for lengths in LENGTHS.values() for length in lengths]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def real(python_text):
    return Text().with_data(python_text)


@pytest.fixture(scope="module")
def small(python_text):
    """Documents whose token 100 * number + position + 1 says where it stands."""
    tokens = [100 * document + pos + 1 for document, size in enumerate(SIZES) for pos in range(size)]
    tensors = {
        "tokens": np.array(tokens, dtype=np.int32),
        "offsets": np.cumsum([0, *SIZES], dtype=np.int64),
        "n_bytes": np.array(SIZES, dtype=np.int64),
    }
    names = [f"topic:{i}" for i in range(len(SIZES))]
    meta = {**python_text.meta, "names": names, "splits": SPLITS}
    return Text(n_ctx=4).with_data(Artifact(tensors, meta))


def place(token):
    """(document, position) of a token of the small corpus."""
    return divmod(token - 1, 100)


def assert_windows(examples, documents):
    """Each window is BOS and a run of one of these documents, and predicts the run from its first token."""
    assert torch.equal(examples.tokens[:, 1:], examples.targets[:, :-1])
    assert (examples.tokens[:, 0] == BOS).all()
    assert (examples.targets != BOS).all()
    for targets in examples.targets.tolist():
        document, start = place(targets[0])
        assert document in documents
        assert [place(token) for token in targets] == [(document, start + i) for i in range(len(targets))]


# The task as such


def test_both_are_tasks(small):
    assert isinstance(Text(), Task)
    assert isinstance(small, Task)
    assert (small.n_ctx, small.d_vocab, small.n_answers, small.readout) == (4, 2048, 2048, None)


def test_importing_it_does_not_import_torch():
    code = "import sys, energylens.models.tasks.text; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"


@given(st.builds(Text, st.integers(2, 4096), st.integers(2, 10**6), st.none() | st.text("0123456789abcdef")))
def test_json_round_trip(task):
    fields = json.loads(json.dumps(task.to_json()))
    assert fields["name"] == "text"
    assert Text.from_json(fields) == task
    assert Text.from_json({"name": "text"}) == Text()


def test_the_bound_task_says_which_corpus_it_was_trained_on(real, python_text):
    written = Text.from_json(real.to_json())
    assert type(written) is Text
    assert written == Text(fingerprint=python_text.meta["fingerprint"])
    assert written.with_data(python_text).fingerprint == real.fingerprint


@pytest.mark.parametrize(
    "fields",
    [{"n_ctx": 1}, {"n_ctx": True}, {"d_vocab": 2.5}, {"d_vocab": "9"}, {"fingerprint": 3}, {"p": 7}],
)
def test_fields_that_make_no_task_are_refused(fields):
    (value,) = fields.values()
    with pytest.raises(InputError, match=str(value) if "p" not in fields else "no field p"):
        Text.from_json({"name": "text", **fields})


@pytest.mark.parametrize(
    ("task", "complaint"),
    [(Text(d_vocab=4096), "2048 tokens.*4096"), (Text(fingerprint="0" * 8), "the task 00000000")],
)
def test_another_corpus_is_refused(task, complaint, python_text):
    with pytest.raises(InputError, match=complaint):
        task.with_data(python_text)


def test_without_a_corpus_there_is_nothing_to_train_on():
    for use in (lambda: Text().split(1.0, 0), lambda: Text().with_data(None)):
        with pytest.raises(InputError, match="PythonText"):
            use()


# Training windows


def test_training_windows_are_all_windows_of_training_documents_equally_often(small):
    train, _ = small.split(1.0, 0)
    drawn = small.batch(train, 20_000, generator())
    assert_windows(drawn, range(6))
    starts, counts = np.unique(drawn.targets[:, 0].numpy(), return_counts=True)
    windows = {(d, s) for d, size in enumerate(LENGTHS["train"]) for s in range(size - 3)}
    assert {place(int(token)) for token in starts} == windows
    expected = 20_000 / len(windows)
    assert ((counts - expected) ** 2 / expected).sum() < len(windows) + 5 * math.sqrt(2 * len(windows))


def test_windows_cut_from_the_stream_would_be_noticed(small):
    train, _ = small.split(1.0, 0)
    starts = torch.arange(len(train.tokens) - 3)
    targets = train.tokens[starts[:, None] + torch.arange(4)]
    crossing = Examples(torch.cat([torch.zeros(len(starts), 1).long(), targets[:, :-1]], 1), targets)
    with pytest.raises(AssertionError):
        assert_windows(crossing, range(6))


def test_training_never_sees_a_held_out_document(real):
    train, held_out = real.split(1.0, 0)
    kept = [tokens for _, tokens in real.corpus.documents("train") if len(tokens) >= real.n_ctx]
    assert np.array_equal(train.tokens.numpy(), np.concatenate(kept))
    stream = train.tokens.numpy().astype(np.int32).tobytes()
    windows = [row.numpy().astype(np.int32).tobytes() for row in held_out.targets]
    assert not any(window in stream for window in windows)
    assert train.tokens[1000:1128].numpy().astype(np.int32).tobytes() in stream


def test_the_split_is_the_corpuss_and_not_the_seeds(real):
    (first_train, first), (other_train, other) = real.split(1.0, 0), real.split(1.0, 1)
    assert torch.equal(first.tokens, other.tokens)
    assert torch.equal(first_train.tokens, other_train.tokens)
    assert first.tokens.shape == first.targets.shape == (N_HELD_OUT, 128)
    with pytest.raises(InputError, match=r"got 0\.8"):
        real.split(0.8, 0)


def test_batches_follow_their_generator(real):
    train, _ = real.split(1.0, 0)
    first, again, other = (real.batch(train, 16, generator(seed)).tokens for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    with pytest.raises(InputError, match="got None"):
        real.batch(train, None, generator())


# Held-out windows


@pytest.mark.parametrize("split", ["train", "discovery", "confirmation", HELD_OUT])
def test_windows_lie_end_to_end_and_say_where(small, split):
    found = small.windows(split)
    documents = [i for i, of in enumerate(SPLITS) if of == split or (split == HELD_OUT and of != "train")]
    assert_windows(Examples(found.tokens, found.targets), documents)
    expected = [(i, s) for i in documents for s in range(0, SIZES[i] - 3, 4)]
    assert list(zip(found.documents.tolist(), found.starts.tolist(), strict=True)) == expected
    assert [place(token) for token in found.targets[:, 0].tolist()] == expected


@given(st.integers(1, 12), st.integers(0, 1000), st.sampled_from(["discovery", HELD_OUT]))
def test_every_document_gives_a_window_before_any_gives_two(small, n, seed, split):
    every = small.windows(split)
    found = small.held_out_windows(n, generator(seed), split)
    assert_windows(Examples(found.tokens, found.targets), set(every.documents.tolist()))
    places = list(zip(found.documents.tolist(), found.starts.tolist(), strict=True))
    assert len(set(places)) == n
    held = torch.bincount(every.documents)
    taken = torch.bincount(found.documents, minlength=len(held))
    turns = int(taken.max())
    assert (taken >= held.clamp(max=turns - 1)).all()


def test_long_documents_are_no_likelier_than_short_ones(small):
    first = [small.held_out_windows(1, generator(seed), "discovery") for seed in range(900)]
    documents, counts = np.unique([int(one.documents) for one in first], return_counts=True)
    assert documents.tolist() == [6, 7, 9]
    assert np.abs(counts / 900 - 1 / 3).max() < 0.06
    starts = {int(one.starts) for one in first if int(one.documents) == 7}
    assert starts == set(range(0, 40, 4))


def test_all_windows_can_be_drawn_and_no_more(small):
    n = len(small.windows("confirmation").tokens)
    found = small.held_out_windows(n, generator(), "confirmation")
    assert sorted(found.targets[:, 0].tolist()) == sorted(
        small.windows("confirmation").targets[:, 0].tolist()
    )
    for wrong in (n + 1, 0):
        with pytest.raises(InputError, match=f"hold {n} windows, got n = {wrong}"):
            small.held_out_windows(wrong, generator(), "confirmation")


def test_the_training_split_is_not_held_out(small):
    with pytest.raises(InputError, match="'train' is not held out"):
        small.held_out_windows(1, generator(), "train")
    with pytest.raises(InputError, match="'test'"):
        small.held_out_windows(1, generator(), "test")


def test_discovery_and_confirmation_never_mix(real):
    discovery, confirmation = (
        real.held_out_windows(200, generator(), split) for split in ("discovery", "confirmation")
    )
    assert not set(discovery.documents.tolist()) & set(confirmation.documents.tolist())
    for split, found in (("discovery", discovery), ("confirmation", confirmation)):
        assert {real.corpus.splits[i] for i in found.documents.tolist()} == {split}
        index, start = int(found.documents[0]), int(found.starts[0])
        assert found.targets[0].tolist() == real.corpus.document(index)[start : start + 128].tolist()


def test_a_context_longer_than_every_document_is_refused(python_text):
    with pytest.raises(InputError, match="n_ctx = 200000"):
        Text(n_ctx=200_000).with_data(python_text).split(1.0, 0)


# Loss and scores


def test_scores_equal_a_slow_count(real):
    train, held_out = real.split(1.0, 0)
    table = torch.randn(2048, 2048, generator=generator())
    scores = real.scores(lambda tokens: table[tokens], train, held_out)
    nats, hits, n_bytes = 0.0, 0, 0
    for inputs, targets in zip(held_out.tokens, held_out.targets, strict=True):
        log_p = table[inputs].double().log_softmax(-1)
        nats -= sum(float(log_p[i, token]) for i, token in enumerate(targets.tolist()))
        hits += int((log_p.argmax(-1) == targets).sum())
        n_bytes += int(real.corpus.token_bytes[targets.numpy()].sum())
    n = held_out.targets.numel()
    assert scores["test_loss_nats"] == pytest.approx(nats / n, rel=1e-6)
    assert scores["test_accuracy"] == hits / n
    assert scores["bits_per_byte"] == pytest.approx(nats / math.log(2) / n_bytes, rel=1e-6)


def test_bytes_are_those_of_the_text_itself(small, python_text):
    corpus = Corpus.from_artifact(python_text)
    ids = torch.tensor(corpus.encode("x = 1  # na\u00efve\n"), dtype=torch.int64)[None]
    examples = Examples(torch.zeros_like(ids), ids)
    scores = small.scores(lambda tokens: torch.zeros(*tokens.shape, 2048), small.split(1.0, 0)[0], examples)
    assert scores["bits_per_byte"] == pytest.approx(ids.numel() * 11 / len("x = 1  # na\u00efve\n".encode()))


def test_who_knows_nothing_pays_eleven_bits_and_who_knows_all_pays_none(real):
    train, held_out = real.split(1.0, 0)
    answers = dict(zip(map(tuple, held_out.tokens.tolist()), held_out.targets, strict=True))

    def knows(tokens):
        targets = torch.stack([answers[tuple(row)] for row in tokens.tolist()])
        return 100.0 * torch.nn.functional.one_hot(targets, 2048)

    nothing = real.scores(lambda tokens: torch.zeros(*tokens.shape, 2048), train, held_out)
    assert nothing["test_loss_nats"] == pytest.approx(math.log(2048))
    assert real.scores(knows, train, held_out) == {
        "test_loss_nats": pytest.approx(0, abs=1e-6),
        "test_accuracy": 1.0,
        "bits_per_byte": pytest.approx(0, abs=1e-6),
    }


def test_the_loss_is_the_mean_over_positions():
    logits = torch.randn(3, 5, 11, generator=generator())
    targets = torch.randint(11, (3, 5), generator=generator())
    expected = torch.stack([cross_entropy(logits[i], targets[i]) for i in range(3)]).mean()
    task = Text(n_ctx=5, d_vocab=11)
    torch.testing.assert_close(task.loss(logits, Examples(targets, targets)), expected)
    assert isinstance(task, Text)
    assert not isinstance(task, TextOnCorpus)
