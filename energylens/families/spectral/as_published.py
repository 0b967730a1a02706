"""The key gap exactly as published, errors included, so that both numbers can stand side by side.

Source: the study of spectral gaps and steering (github.com/FF-GardenFn/kernel-ridge-steering), `implementation/
krr_steering_main.py`. It does not measure what its name promises; the corrected measure is in
`energylens.metrics.spectral`.
"""

import math

from jaxtyping import Bool, Float
from torch import Tensor

from energylens.metrics.spectral import key_singular_values, pooled

KEY_RIDGE, KEY_EPSILON = 1e-2, 1e-8


def key_gap(
    K: Float[Tensor, "prompt head pos d_head"], mask: Bool[Tensor, "prompt pos"]
) -> Float[Tensor, " head"]:
    """Published gap per head, (l1 - l2) / (l1 + 1e-8): l = eigenvalues of K_c K_c^T / d_head + 1e-2 I.

    K_c: the counted keys of all prompts, pooled and centred. The source writes K K^T / d; its code divides [tokens
    d_head] keys by their last dimension, so d is d_head. l_i = s_i^2 / d_head + 1e-2 from the singular values
    of K_c. Errors: the ridge makes the gap depend on the scale of the keys, it is `spectral.key_gap` times about
    (s1^2 / d_head) / l1, so weak keys look unstable and keys that do not vary get 0, the most unstable; and it is
    not gauge invariant. NaN where fewer than two positions count.
    """
    keys, counts = pooled(K, mask)
    eigenvalues = key_singular_values(keys, counts, centred=True).square() / K.shape[-1] + KEY_RIDGE
    first, second = eigenvalues.unbind(-1)
    return ((first - second) / (first + KEY_EPSILON)).masked_fill(counts.sum() < 2, math.nan)
