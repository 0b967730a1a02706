"""Muon in float32, for processors that do not multiply bfloat16 in hardware.

torch.optim.Muon orthogonalises its updates in bfloat16 whatever the weights are. Where that is emulated, it takes three
quarters of a training step (measured with AVX2 alone, two layers of 128 dimensions).
"""

from collections.abc import Iterable

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration, with a steep start: singular values end near 1, between about .7 and 1.2."""

ITERATIONS = 5
SMALLEST_NORM = 1e-7


class Float32Muon(torch.optim.Optimizer):
    """torch.optim.Muon (Nesterov momentum, no weight decay) with all of its arithmetic in float32.

    b <- m b + (1 - m) g;  w <- w - lr sqrt(max(1, rows / columns)) NS(g + m (b - g)), one matrix w with gradient g at a
    time; NS is `orthogonalised`. Source: Jordan et al. 2024 (kellerjordan.github.io/posts/muon).
    """

    def __init__(self, matrices: Iterable[Tensor], lr: float, momentum: float) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._update(matrix, matrix.grad, group["lr"], group["momentum"])

    def _update(self, matrix: Tensor, gradient: Tensor, lr: float, momentum: float) -> None:
        buffer = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(gradient))
        buffer.lerp_(gradient, 1 - momentum)
        rows, columns = matrix.shape
        step = lr * max(1.0, rows / columns) ** 0.5
        matrix.sub_(orthogonalised(gradient.lerp(buffer, momentum)), alpha=step)


def orthogonalised(matrix: Tensor) -> Tensor:
    """Nearly U V^T of the matrix U S V^T, by ITERATIONS steps X <- a X + (b G + c G^2) X of Newton-Schulz, G = X X^T.

    X starts as the matrix over its Frobenius norm, its shorter side first.
    """
    a, b, c = COEFFICIENTS
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / wide.norm().clamp(min=SMALLEST_NORM)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if matrix.shape[0] > matrix.shape[1] else x
