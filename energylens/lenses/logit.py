"""The lenses of a network: its own final norm and unembedding, at any residual."""

import torch

from energylens.errors import InputError
from energylens.metrics.lens import LayerNorm, Lens
from energylens.models.network import Network


def logit_lens(network: Network) -> Lens:
    """norm(x) W_U + b_U with the network's own final LayerNorm.

    Errors: InputError for a network whose final norm is no LayerNorm.
    """
    bridge, state = network.bridge, network.bridge.state_dict()
    kind = (bridge.cfg.normalization_type or "none").upper()
    W_U = state["unembed.weight"].mT.contiguous()
    b_U = state.get("unembed.bias", torch.zeros_like(W_U[0]))
    if kind == "NONE":
        return Lens(None, W_U, b_U)
    if kind not in ("LN", "LNPRE") or bridge.cfg.final_rms:
        raise InputError(
            f"the lens of {network.name} needs a final LayerNorm, it has {kind!r}, final_rms={bridge.cfg.final_rms}"
        )
    gain = state.get("ln_final.weight", torch.ones_like(W_U[:, 0]))
    bias = state.get("ln_final.bias", torch.zeros_like(W_U[:, 0]))
    return Lens(LayerNorm(gain, bias, bridge.cfg.eps), W_U, b_U)
