import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylens.errors import InputError
from energylens.models.network import Network
from energylens.models.tasks.induction import Induction
from energylens.models.transformer import Transformer
from energylens.models.wired import WireInduction
from energylens.store import key_of
from energylens.store.recipe import no_progress

RECIPE = WireInduction(seed=3)
HEADS = [(layer, head) for layer in range(2) for head in range(4)]


@pytest.fixture(scope="module")
def wired() -> Network:
    return Network.from_artifact(RECIPE.build([], no_progress))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def run(network: Network, tokens, head=None, z=0.0) -> torch.Tensor:
    """Logits, with one head's output replaced by z."""
    if head is None:
        return network.bridge(tokens)

    def replace(activation, hook):
        patched = activation.clone()
        patched[:, :, head[1]] = z
        return patched

    return network.bridge.run_with_hooks(tokens, fwd_hooks=[(f"blocks.{head[0]}.attn.hook_z", replace)])


def scores(network: Network, head=None) -> dict[str, float]:
    held_out = RECIPE.task.split(1.0, 0)[1]
    return RECIPE.task.scores(lambda tokens: run(network, tokens, head), None, held_out)


def test_it_repeats_what_it_saw(wired):
    found = scores(wired)
    assert found["test_accuracy"] == 1
    assert found["repeat_loss_nats"] < 0.005


def test_it_answers_as_looking_up_does(wired):
    tokens, period = RECIPE.task.sequences(16, generator(0))
    answers = run(wired, tokens).argmax(-1)
    for row, pos in RECIPE.task.repeats(period).nonzero().tolist():
        (earlier,) = [place for place in range(pos) if tokens[row, place] == tokens[row, pos]]
        assert answers[row, pos] == tokens[row, earlier + 1]


def test_each_circuit_head_attends_where_it_was_wired_to(wired):
    (_, h0), (_, h1) = RECIPE.circuit
    tokens, period = RECIPE.task.sequences(16, generator(1))
    row, pos = RECIPE.task.repeats(period).nonzero().T
    for layer, target, circuit_head in ((0, pos - 1, h0), (1, pos - period[row] + 1, h1)):
        hook = f"blocks.{layer}.attn.hook_pattern"
        pattern = wired.run([hook], tokens, slice(None))[hook]
        score = pattern[row, :, pos, target].mean(0)
        assert score[circuit_head] > 0.99
        assert all(score[head] < 0.2 for head in range(4) if head != circuit_head)


@pytest.mark.parametrize("head", HEADS)
def test_without_a_circuit_head_nothing_is_left_and_the_others_do_nothing(wired, head):
    intact, found = scores(wired), scores(wired, head)
    if head in RECIPE.circuit:
        assert found["test_accuracy"] < 0.05
        assert found["repeat_loss_nats"] > 3.5
    else:
        assert found["test_accuracy"] == 1
        assert found["repeat_loss_nats"] == pytest.approx(intact["repeat_loss_nats"], abs=1e-3)


@pytest.mark.parametrize(("corrupt", "seen"), [("key", (0, 1)), ("value", (1,))])
def test_patching_finds_the_circuit_where_the_corruption_reaches_it(wired, corrupt, seen):
    pairs, row = RECIPE.task.pairs(32, generator(2), corrupt), torch.arange(32)

    def logit_diff(logits):
        at_pos = logits[row, pairs.pos]
        return (at_pos[row, pairs.answer] - at_pos[row, pairs.wrong]).mean().item()

    hooks = [f"blocks.{layer}.attn.hook_z" for layer in range(2)]
    other = wired.run(hooks, pairs.corrupted, slice(None))
    clean, corrupted = (logit_diff(run(wired, tokens)) for tokens in (pairs.clean, pairs.corrupted))
    assert clean == pytest.approx(10, abs=0.1)
    assert corrupted == pytest.approx(-10, abs=0.1)
    for head in HEADS:
        patched = logit_diff(run(wired, pairs.clean, head, other[hooks[head[0]]][:, :, head[1]]))
        share = (clean - patched) / (clean - corrupted)
        assert share == pytest.approx(float(head in [RECIPE.circuit[layer] for layer in seen]), abs=0.01)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.integers(1, 6), st.integers(5, 9), st.integers(10, 20), st.integers(18, 30))
def test_every_seed_and_size_works_in_plain_torch_too(seed, n_heads, period, d_vocab, n_ctx):
    recipe = WireInduction(seed, Induction(d_vocab, n_ctx, 2, period, n_test=8), n_heads)
    network = Transformer(recipe.config, seed=0)
    tensors = recipe.build([], no_progress).tensors
    network.load_state_dict({name: torch.tensor(array) for name, array in tensors.items()}, strict=True)
    held_out = recipe.task.split(1.0, seed)[1]
    with torch.no_grad():
        found = recipe.task.scores(lambda tokens: network(tokens, None), None, held_out)
    assert found["test_accuracy"] == 1
    assert found["repeat_loss_nats"] < 0.01


def test_seeds_place_the_circuit_in_every_head_and_never_share_a_key():
    placed = {WireInduction(seed).circuit for seed in range(200)}
    assert placed == {((0, h0), (1, h1)) for h0 in range(4) for h1 in range(4)}
    assert len({key_of(WireInduction(seed)) for seed in range(5)}) == 5


def test_the_artifact_names_its_circuit():
    artifact = RECIPE.build([], no_progress)
    assert artifact.meta["circuit"] == [list(head) for head in RECIPE.circuit]
    assert artifact.meta["name"] == RECIPE.name
    again = RECIPE.build([], no_progress)
    assert all((artifact.tensors[key] == again.tensors[key]).all() for key in artifact.tensors)
    assert not any(artifact.tensors[key].any() for key in artifact.tensors if key.endswith("bias"))


@pytest.mark.parametrize("changes", [{"seed": -1}, {"seed": 0, "n_heads": 0}])
def test_a_network_that_could_not_be_wired_is_refused(changes):
    with pytest.raises(InputError, match="WireInduction"):
        WireInduction(**changes)
