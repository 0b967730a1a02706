import pytest
import torch

from energylens.errors import EnergylensError, InputError
from energylens.interventions import HookWithoutEffect, intervening
from energylens.interventions.runners.bridged import BridgedRunner
from energylens.tests.interventions.helpers import bridge, native, pretrained, prompts, with_hooks

TOKENS, _ = prompts(3)
Z = "blocks.1.attn.hook_z"


def attached(net):
    return [name for name, point in net.hook_dict.items() if point.has_hooks()]


@pytest.mark.parametrize("kind", ["rotary", "gpt2"])
def test_runs_with_the_hook_and_leaves_nothing_behind(kind):
    with intervening(bridge(kind), {Z: lambda z: 0 * z}) as run:
        patched = run(TOKENS)
        torch.testing.assert_close(run(TOKENS[:1]), patched[:1], atol=1e-5, rtol=1e-5)
    assert torch.equal(patched, with_hooks(bridge(kind), TOKENS, {Z: lambda z: 0 * z}))
    assert not torch.allclose(patched, bridge(kind)(TOKENS), atol=1e-3)
    assert attached(bridge(kind)) == []


def test_an_edit_that_the_model_does_not_read_back():
    edits = {"blocks.0.attn.hook_attn_scores": lambda scores: scores - 1}
    for net in (bridge("rotary"), bridge("grouped-keys")):
        with (
            pytest.raises(HookWithoutEffect, match="changed its activation, and the logits stayed the same"),
            intervening(net, edits) as run,
        ):
            run(TOKENS)
        with intervening(net, {"blocks.0.attn.hook_pattern": lambda pattern: pattern.roll(1, 1)}) as run:
            run(TOKENS)


@pytest.mark.parametrize("same", [lambda z: z, lambda z: z.clone()])
def test_a_hook_that_returns_what_it_was_given(same):
    with (
        pytest.raises(HookWithoutEffect, match=f"hook '{Z}' returned the activation that it was given"),
        intervening(bridge("rotary"), {Z: same}) as run,
    ):
        run(TOKENS)


def test_each_of_several_hooks_must_act_by_itself():
    hooks = {Z: lambda z: 2 * z, "blocks.2.attn.hook_attn_scores": lambda scores: 2 * scores}
    with (
        pytest.raises(HookWithoutEffect, match=r"'blocks.2.attn.hook_attn_scores' changed its activation"),
        intervening(bridge("rotary"), hooks) as run,
    ):
        run(TOKENS)
    with intervening(
        bridge("rotary"), {Z: lambda z: 2 * z, "blocks.2.hook_mlp_out": torch.zeros_like}
    ) as run:
        run(TOKENS)


def test_a_hook_that_never_fires():
    with (
        pytest.raises(HookWithoutEffect, match=r"'blocks.0.attn.hook_rot_q' exists but never fired"),
        intervening(bridge("rotary"), {"blocks.0.attn.hook_rot_q": torch.zeros_like}) as run,
    ):
        run(TOKENS)
    with (
        pytest.raises(HookWithoutEffect, match="because use_hook_mlp_in is False"),
        intervening(bridge("rotary"), {"blocks.0.hook_mlp_in": torch.zeros_like}) as run,
    ):
        run(TOKENS)


def test_nothing_ran():
    with (
        pytest.raises(HookWithoutEffect, match="nothing ran inside the block"),
        intervening(bridge("rotary"), {Z: abs}),
    ):
        pass


def test_unknown_name():
    with (
        pytest.raises(
            InputError, match=r"no hook point 'blocks.1.attn.hook_zz'; the nearest are .*blocks.1.attn.hook_z"
        ),
        intervening(bridge("rotary"), {"blocks.1.attn.hook_zz": abs}),
    ):
        pass


def test_changes_in_place_and_wrong_shapes():
    with (
        pytest.raises(InputError, match="in place"),
        intervening(bridge("rotary"), {Z: lambda z: z.mul_(2)}) as run,
    ):
        run(TOKENS)
    with (
        pytest.raises(InputError, match="returned shape"),
        intervening(bridge("rotary"), {Z: lambda z: z[0]}) as run,
    ):
        run(TOKENS)
    assert attached(bridge("rotary")) == []


def test_any_exit_removes_the_hooks():
    with pytest.raises(ZeroDivisionError), intervening(bridge("rotary"), {Z: lambda z: 1 / 0}) as run:
        run(TOKENS)
    assert attached(bridge("rotary")) == []


def test_compatibility_mode_calls_a_hook_once():
    net, calls = pretrained("gpt2"), []
    net.enable_compatibility_mode()

    def halve(z):
        calls.append(z.shape)
        return z / 2

    with intervening(net, {Z: halve}) as run:
        run(TOKENS)
    assert len(calls) == 1


class TestTheExecutorOnHooks:
    def run(self, net):
        read = torch.full((3, 1), 7)
        return BridgedRunner(net).run(TOKENS, None, read)

    def test_a_bridge_whose_z_is_not_read_back(self, monkeypatch):
        net = native()
        deaf = net.blocks[1].attn.o.original_component
        monkeypatch.setattr(deaf, "forward", lambda z: torch.ones(*z.shape[:2], 16))
        with pytest.raises(HookWithoutEffect, match=r"hook_in' does not change the logits of this bridge"):
            self.run(net)

    def test_training_mode(self):
        net = pretrained("gpt2").train()
        with pytest.raises(InputError, match=r"training mode.*bridge.eval"):
            self.run(net)

    def test_blocks_are_given_back(self):
        net = pretrained("pythia")
        runner = BridgedRunner(net)
        run = runner.run(TOKENS, None, torch.full((3, 1), 7))
        assert runner._resumes
        assert runner._skips
        with pytest.raises(ZeroDivisionError):
            runner._forward(run, 1, {"blocks.2.attn.hook_z": lambda z: 1 / 0}, 2)
        assert all("forward" not in block.original_component.__dict__ for block in net.blocks)
        assert attached(net) == []

    def test_a_bridge_that_cannot_resume(self, monkeypatch):
        net = bridge("gpt2")
        whole = self.run(net)
        monkeypatch.setattr(type(net), "_setup_start_at_layer", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            self.run(net)
        error = NotImplementedError("no")

        def refuse(*args):
            raise error

        monkeypatch.setattr(type(net), "_setup_start_at_layer", refuse)
        runner = BridgedRunner(net)
        run = runner.run(TOKENS, None, torch.full((3, 1), 7))
        assert not runner._resumes
        torch.testing.assert_close(run.logits, whole.logits)


def test_errors_are_energylens_errors():
    assert issubclass(HookWithoutEffect, EnergylensError)
