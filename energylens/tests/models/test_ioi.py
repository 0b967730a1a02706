import itertools
import json
import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from energylens.errors import InputError
from energylens.models.tasks import IGNORED, ioi_templates, task_from_json
from energylens.models.tasks.ioi import IOI, PAD

TASK = IOI(n_test=64)
NAMES = set(ioi_templates.NAMES)
seeds = st.integers(0, 2**31)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sentences(examples) -> list[list[str]]:
    """Words of each sentence, the last one from its target."""
    found = []
    for tokens, targets in zip(*examples, strict=True):
        length = int((targets != IGNORED).sum())
        assert torch.equal(tokens[1:length], targets[: length - 1])
        assert (tokens[length:] == PAD).all()
        assert (targets[length:] == IGNORED).all()
        found.append(TASK.words(torch.cat([tokens[:length], targets[length - 1 : length]])))
    return found


def met(examples) -> set[frozenset[str]]:
    """Pairs of names that stand in one sentence."""
    return {
        frozenset(pair)
        for sentence in sentences(examples)
        for pair in itertools.combinations(NAMES & set(sentence), 2)
    }


def pairs_of(tokens: torch.Tensor) -> set[frozenset[str]]:
    return {frozenset(TASK.words(pair)) for pair in tokens}


def betting_on(choose):
    """A forward pass that bets 9 on choose(words up to the position) at every position: a slow loop."""

    def forward(tokens: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(*tokens.shape, TASK.d_vocab)
        for row, line in enumerate(tokens):
            words = TASK.words(line)
            for pos in range(len(words)):
                bet = choose([word for word in words[: pos + 1] if word in NAMES])
                if bet is not None:
                    logits[row, pos, TASK.ids([bet])] = 9.0
        return logits

    return forward


def once(names: list[str]) -> str | None:
    """The last name that stands once, if another stands twice."""
    counts = Counter(names)
    singles = [name for name in names if counts[name] == 1]
    return singles[-1] if singles and 2 in counts.values() else None


def twice(names: list[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count == 2), None)


def test_the_documented_sizes():
    assert (TASK.d_vocab, TASK.n_ctx, TASK.n_answers, TASK.readout) == (164, 46, 48, None)
    assert len(set(ioi_templates.VOCABULARY)) == 164
    longest = [
        max(len(template.split()) for template in templates)
        for templates in (
            ioi_templates.DISTRACTORS + ioi_templates.NAMING_DISTRACTORS,
            ioi_templates.OPENINGS,
            ioi_templates.ENDINGS,
        )
    ]
    # BOS, two fillers and all but the answer.
    assert 1 + 8 + 5 + sum(longest) - 1 == TASK.n_ctx
    assert 2 * len(ioi_templates.OPENINGS) * len(ioi_templates.ENDINGS) == 60
    train, held_out = TASK.name_pairs(0)
    assert (len(train), len(held_out)) == (948, 180)


def test_a_known_sentence():
    sentence = "BOS when Ada and Boris went to the park , Boris gave the book to"
    tokens = TASK.ids(sentence.split())
    assert tokens[2] == 0
    assert " ".join(TASK.words(tokens)) == sentence


@given(seeds, st.integers(0, 50), st.sampled_from(["train", "held-out"]))
@settings(deadline=None, max_examples=25)
def test_prompts_are_what_they_say(seed, split_seed, side):
    prompts = TASK.prompts(16, generator(seed), side, split_seed=split_seed)
    split = TASK.name_pairs(split_seed)
    allowed = pairs_of(split.train if side == "train" else split.held_out)
    assert torch.equal(prompts.mask, prompts.tokens != PAD)
    for row in range(16):
        words = TASK.words(prompts.tokens[row])
        end, io_pos, s1_pos, s2_pos = (
            int(where[row]) for where in (prompts.end, prompts.io_pos, prompts.s1_pos, prompts.s2_pos)
        )
        io, s = TASK.words(torch.stack([prompts.io[row], prompts.s[row]]))
        assert words.count(io) == 1
        assert [place for place, word in enumerate(words) if word == s] == [s1_pos, s2_pos]
        assert words.index(io) == io_pos < s2_pos < end
        assert words[0] == "BOS"
        assert words[end] in ("to", "for")
        assert words[end + 1 :] == ["PAD"] * (TASK.n_ctx - end - 1)
        assert frozenset((io, s)) in allowed


def test_no_training_sentence_holds_a_held_out_pair():
    split = TASK.name_pairs(7)
    trained = met(TASK.batch(split.train, 8000, generator(0)))
    assert trained <= pairs_of(split.train)
    assert len(trained) == len(split.train)
    assert met(TASK.split(0.84, 7)[1]) & pairs_of(split.held_out), "the check sees what it should not find"


def test_rates_are_as_documented():
    n, found = 20_000, Counter()
    for sentence in sentences(TASK.batch(TASK.name_pairs(0).train, n, generator(1))):
        names = [word for word in sentence[:-1] if word in NAMES]
        answered = sentence[-1] in NAMES
        abc = answered and len(set(names)) == len(names)
        found["distractor"] += "." in sentence
        found["naming"] += len(set(names)) == 3 + abc
        found["other"] += not answered
        found["abc"] += abc
        found["first, given abc"] += abc and sentence[-1] == names[-3]
    for kind, p in (("distractor", 0.4), ("naming", 0.12), ("other", 0.12), ("abc", 0.12)):
        # Five standard deviations of a binomial count.
        assert found[kind] == pytest.approx(n * p, abs=5 * math.sqrt(n * p * (1 - p))), kind
    half = found["abc"] / 2
    assert found["first, given abc"] == pytest.approx(half, abs=5 * math.sqrt(half / 2))


def test_genuine_prompts_are_the_sixty_templates_filled_in():
    templates = {
        f"{opening} {ending.removesuffix(' {answer}')}"
        for opening in ioi_templates.OPENINGS
        for ending in ioi_templates.ENDINGS
    }
    slots = dict.fromkeys(ioi_templates.PLACES, "{place}") | dict.fromkeys(ioi_templates.OBJECTS, "{object}")
    slots |= dict.fromkeys((*ioi_templates.FILLERS, "PAD", "BOS"), "")
    prompts, found = TASK.prompts(3000, generator(2), "train", split_seed=0), set()
    for tokens, io_pos, s1_pos in zip(prompts.tokens, prompts.io_pos, prompts.s1_pos, strict=True):
        sentence = " ".join(TASK.words(tokens)).split(" . ")[-1].split()
        names = iter(("{A}", "{B}", "{S}"))
        emptied = [next(names) if word in NAMES else slots.get(word, word) for word in sentence]
        found.add((" ".join(filter(None, emptied)), bool(io_pos < s1_pos)))
    assert found == {(template, abba) for template in templates for abba in (True, False)}
    assert len(found) == 60


@given(seeds)
@settings(deadline=None, max_examples=25)
def test_abc_puts_three_new_names_and_changes_nothing_else(seed):
    prompts = TASK.prompts(16, generator(seed), split_seed=0)
    corrupted = TASK.abc(prompts, generator(seed + 1))
    for row in range(16):
        before, after = TASK.words(prompts.tokens[row]), TASK.words(corrupted[row])
        changed = [place for place in range(TASK.n_ctx) if before[place] != after[place]]
        places = sorted(int(where[row]) for where in (prompts.io_pos, prompts.s1_pos, prompts.s2_pos))
        fresh = {after[place] for place in changed}
        assert changed == places
        assert len(fresh) == 3
        assert fresh <= NAMES - set(before)


@given(seeds)
@settings(deadline=None, max_examples=25)
def test_swapping_changes_one_name_and_the_answer(seed):
    prompts = TASK.prompts(16, generator(seed), split_seed=0)
    swapped = TASK.swapped(prompts)
    row = torch.arange(16)
    assert ((swapped != prompts.tokens).sum(1) == 1).all()
    assert torch.equal(swapped[row, prompts.s2_pos], prompts.io)
    logits = betting_on(once)(swapped)[row, prompts.end]
    assert torch.equal(logits.argmax(1), prompts.s)


def test_naming_who_stands_once_scores_fully_and_naming_s_not_at_all():
    _, held_out = TASK.split(0.84, 0)
    right, wrong, silent = (
        TASK.scores(betting_on(choose), None, held_out) for choose in (once, twice, lambda names: None)
    )
    assert (right["test_accuracy"], right["io_over_s"], right["logit_diff"]) == (1.0, 1.0, 9.0)
    assert right["answer_loss_nats"] == pytest.approx(math.log1p(163 * math.exp(-9)), rel=1e-4)
    assert (wrong["test_accuracy"], wrong["io_over_s"], wrong["logit_diff"]) == (0.0, 0.0, -9.0)
    assert silent["io_over_s"] == silent["logit_diff"] == 0
    assert silent["test_loss_nats"] == pytest.approx(2 * math.log(164))


def test_mix_is_every_next_word_and_the_last_one_again():
    examples = TASK.batch(TASK.name_pairs(0).train, 5, generator(3))
    logits = torch.randn(5, TASK.n_ctx, TASK.d_vocab, generator=generator(4))
    words, last = [], []
    for row in range(5):
        asked = [pos for pos in range(TASK.n_ctx) if examples.targets[row, pos] != IGNORED]
        nats = [-logits[row, pos].log_softmax(0)[examples.targets[row, pos]] for pos in asked]
        words, last = words + nats, [*last, nats[-1]]
    expected = torch.stack(words).mean() + torch.stack(last).mean()
    assert torch.allclose(TASK.loss(logits, examples), expected)
    noise = logits + (examples.tokens == PAD)[..., None] * torch.randn(TASK.d_vocab, generator=generator(5))
    noise[torch.arange(5), (examples.targets != IGNORED).sum(1) - 1] = 0
    assert not torch.allclose(TASK.loss(noise, examples), expected), "the answer counts"


def test_the_held_out_sentences_are_fixed_and_not_those_of_the_training_stream():
    first, again, other = (TASK.split(0.84, seed)[1].tokens for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    prompts = TASK.prompts(64, generator(3), split_seed=3)
    assert not torch.equal(first, prompts.tokens)


def test_json_round_trip():
    assert task_from_json(json.loads(json.dumps(TASK.to_json()))) == TASK


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: IOI(0), "got 0"),
        (lambda: IOI.from_json({"name": "ioi", "names": 3}), "no field names"),
        (lambda: TASK.name_pairs(0, 1.0), "got 1.0"),
        (lambda: TASK.split(0.0, 0), "got 0.0"),
        (lambda: TASK.prompts(4, generator(0), "test", split_seed=0), "'test'"),
        (lambda: TASK.prompts(0, generator(0), split_seed=0), "got 0"),
        (lambda: TASK.batch(TASK.name_pairs(0).train, None, generator(0)), "None"),
        (lambda: TASK.batch(TASK.name_pairs(0, 0.02).train, 512, generator(0)), "too few"),
        (lambda: TASK.ids(["Ada", "Zeus"]), "'Zeus'"),
        (lambda: TASK.words(torch.tensor([[1]])), "one row"),
        (lambda: TASK.words(torch.tensor([164])), "164"),
    ],
)
def test_requests_that_mean_nothing_are_refused(call, named):
    with pytest.raises((InputError, TypeCheckError), match=named):
        call()
