import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from energylens.errors import InputError
from energylens.models import samples
from energylens.models.samples import deal, sample_of, sampled
from energylens.models.tasks import IOI, Induction, ModularAddition, Text
from energylens.store import Artifact

INDUCTION = Induction(d_vocab=20, n_ctx=24, min_period=6, max_period=10, n_test=8)
EVERY = range(5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(tokens):
    return {tuple(row) for row in tokens.tolist()}


def drawn_by(task, seed):
    """All that is drawn of a task by one generator, in small and large numbers."""
    made = generator(seed)
    if isinstance(task, IOI):
        both = [task.prompts(n, made, side, split_seed=3) for n in (8, 200) for side in ("train", "held-out")]
        return set().union(*(rows(one.tokens) for one in both))
    pairs = [task.pairs(n, made, corrupt=corrupt).clean for n in (8, 200) for corrupt in ("key", "value")]
    return set().union(rows(task.sequences(100, made).tokens), *map(rows, pairs))


@pytest.mark.parametrize("task", [INDUCTION, IOI(n_test=8)], ids=["induction", "ioi"])
def test_no_prompt_is_in_two_samples_whoever_draws_it(task):
    found = [
        drawn_by(sampled(task, sample), seed=9) | drawn_by(sampled(task, sample), 10) for sample in EVERY
    ]
    assert min(map(len, found)) > 400
    assert len(set().union(*found)) == sum(map(len, found))
    of = [sample_of(torch.tensor(sorted(prompts)), 5).unique().tolist() for prompts in found]
    assert of == [[0], [1], [2], [3], [4]]


def test_prompts_of_a_sample_are_prompts_of_the_task():
    pairs = IOI().name_pairs(3)
    prompts = sampled(IOI(), 2).prompts(100, generator(), "held-out", split_seed=3)
    met = {frozenset(pair) for pair in zip(prompts.io.tolist(), prompts.s.tolist(), strict=True)}
    assert len(prompts.tokens) == 100
    assert met <= {frozenset(pair.tolist()) for pair in pairs.held_out}
    asked = sampled(INDUCTION, 2).pairs(100, generator(), corrupt="key")
    at = torch.arange(100)
    assert asked.clean.shape == (100, 24)
    assert torch.equal(asked.clean[at, asked.pos + 1], asked.answer)
    assert not torch.equal(asked.clean, asked.corrupted)


def test_a_sample_is_the_same_for_the_same_generator():
    first, again, other = (sampled(INDUCTION, 1).sequences(9, generator(seed)).tokens for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not rows(first) & rows(other)


@given(
    st.lists(st.lists(st.integers(0, 2047), min_size=3, max_size=3), min_size=1, max_size=20),
    st.integers(1, 9),
)
def test_equal_rows_are_of_one_sample_wherever_they_stand(tokens, of):
    found = sample_of(torch.tensor(tokens), of)
    assert ((found >= 0) & (found < of)).all()
    turned = sample_of(torch.tensor(tokens[::-1]), of)
    assert torch.equal(found, turned.flip(0))


def test_samples_are_about_equally_large():
    counts = torch.bincount(sample_of(INDUCTION.sequences(5000, generator()).tokens, 5), minlength=5)
    assert counts.sum() == 5000
    assert (counts - 1000).abs().max() < 5 * (5000 * 0.2 * 0.8) ** 0.5


def test_what_belongs_to_the_network_is_asked_on_all_held_out_inputs():
    for task in (INDUCTION, IOI(n_test=8)):
        whole = task.split(0.84, 4)[1].tokens
        assert all(torch.equal(sampled(task, sample).split(0.84, 4)[1].tokens, whole) for sample in EVERY)
        assert sampled(task, 1).to_json() == task.to_json()


def test_all_inputs_are_one_sample():
    task = ModularAddition(p=7)
    assert sampled(task, 0) is task


@pytest.mark.parametrize(("task", "sample"), [(ModularAddition(p=7), 1), (INDUCTION, 5), (INDUCTION, -1)])
def test_there_is_no_such_sample(task, sample):
    with pytest.raises(InputError, match=f"has samples 0 to {task.samples - 1}, received {sample}"):
        sampled(task, sample)


def test_a_task_without_samples_here_is_named():
    class Other(Induction):
        name = "other"

    task = Other()
    with pytest.raises(
        InputError, match="no samples for the task 'other'; there are for induction, ioi, text"
    ):
        sampled(task, 0)


def test_a_task_with_too_few_prompts_says_so(monkeypatch):
    monkeypatch.setattr(samples, "sample_of", lambda tokens, of: torch.zeros(len(tokens), dtype=torch.int64))
    assert len(sampled(INDUCTION, 0).sequences(4, generator()).tokens) == 4
    with pytest.raises(InputError, match="800 prompts held 0 of sample 1, 4 were asked for"):
        sampled(INDUCTION, 1).sequences(4, generator())


@given(st.dictionaries(st.integers(0, 99), st.integers(1, 300), min_size=10, max_size=60), st.integers(2, 5))
def test_every_document_is_dealt_once_and_samples_are_alike(sizes, of):
    dealt = deal(sizes, of)
    assert sorted(document for sample in dealt for document in sample) == sorted(sizes)
    numbers = [len(sample) for sample in dealt]
    assert max(numbers) - min(numbers) <= 1
    windows = [sum(sizes[document] for document in sample) for sample in dealt]
    assert max(windows) - min(windows) <= max(sizes.values())
    assert dealt == deal(sizes, of)


def test_too_few_documents_are_not_dealt():
    with pytest.raises(InputError, match="5 samples need 10 documents with a window at least, there are 9"):
        deal(dict.fromkeys(range(9), 3), 5)


@pytest.fixture(scope="module")
def text(python_text):
    """Fifteen documents for each held-out split, whose token 100 * document + place + 1 stands at that place."""
    splits = ["train"] * 2 + ["discovery", "confirmation"] * 15
    tokens = [100 * i + place + 1 for i in range(len(splits)) for place in range(20)]
    tensors = {
        "tokens": np.array(tokens, dtype=np.int32),
        "offsets": np.arange(0, len(tokens) + 1, 20, dtype=np.int64),
        "n_bytes": np.full(len(splits), 20, dtype=np.int64),
    }
    names = [f"topic:{i}" for i in range(len(splits))]
    corpus = Artifact(tensors, {**python_text.meta, "names": names, "splits": splits})
    return Text(n_ctx=4, d_vocab=python_text.meta.get("d_vocab", 2048)).with_data(corpus)


def documents_in(windows):
    return set(windows.documents.tolist())


@pytest.mark.parametrize("split", ["discovery", "confirmation", "held-out"])
def test_every_held_out_document_is_read_in_one_sample(text, split):
    dealt = [sampled(text, sample) for sample in EVERY]
    found = [documents_in(task.windows(split)) for task in dealt]
    assert set().union(*found) == documents_in(text.windows(split))
    assert sum(map(len, found)) == len(documents_in(text.windows(split)))
    assert len(set(map(len, found))) == 1
    drawn = [documents_in(task.held_out_windows(8, generator(), split)) for task in dealt]
    assert all(some <= own for some, own in zip(drawn, found, strict=True))


def test_training_text_and_competence_are_those_of_the_network(text):
    task = sampled(text, 3)
    assert torch.equal(task.windows("train").tokens, text.windows("train").tokens)
    assert all(torch.equal(*both) for both in zip(task.split(1.0, 0)[1], text.split(1.0, 0)[1], strict=True))
    assert task.to_json() == text.to_json()


def test_documents_need_their_text():
    with pytest.raises(InputError, match="documents are dealt when the task has its text"):
        sampled(Text(n_ctx=4), 0)
