import pytest
import torch

from energylens.models.muon import Float32Muon, orthogonalised

SHAPES = [(8, 8), (6, 20), (20, 6)]


def matrices(seed, shapes=SHAPES):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_vectors_stay_and_singular_values_come_near_one(shape):
    (matrix,) = matrices(0, [shape])
    U, _, Vh = torch.linalg.svd(matrix, full_matrices=False)
    found = U.T @ orthogonalised(matrix) @ Vh.T
    values = found.diagonal()
    assert torch.allclose(found, torch.diag(values), atol=1e-4)
    assert ((values > 0.5) & (values < 1.5)).all()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_scale_of_a_gradient_does_not_matter_and_nothing_stays_nothing(scale):
    (matrix,) = matrices(1, [(6, 9)])
    assert torch.allclose(orthogonalised(scale * matrix), orthogonalised(matrix), atol=1e-4)
    assert torch.equal(orthogonalised(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_updates_are_those_of_torch_up_to_the_rounding_of_bfloat16():
    """Over several steps, so that momentum counts; a wrong momentum or learning rate is far outside the tolerance."""
    ours, theirs, wrong = ([m.clone().requires_grad_() for m in matrices(2)] for _ in range(3))
    optimisers = [
        Float32Muon(ours, lr=0.02, momentum=0.95),
        torch.optim.Muon(theirs, lr=0.02, momentum=0.95, weight_decay=0.0),
        Float32Muon(wrong, lr=0.02, momentum=0.5),
    ]
    for step in range(5):
        for parameters, optimiser in zip((ours, theirs, wrong), optimisers, strict=True):
            for parameter, gradient in zip(parameters, matrices(10 + step), strict=True):
                parameter.grad = gradient.clone()
            optimiser.step()
    moved = [(a - start).norm() for a, start in zip(theirs, matrices(2), strict=True)]
    for a, b, c, far in zip(ours, theirs, wrong, moved, strict=True):
        assert (a - b).norm() < 0.03 * far
        assert (c - b).norm() > 0.1 * far


def test_a_matrix_without_gradient_stays():
    one, other = (m.requires_grad_() for m in matrices(3, [(4, 4), (4, 4)]))
    before = other.detach().clone()
    one.grad = torch.ones(4, 4)
    Float32Muon([one, other], lr=0.1, momentum=0.9).step()
    assert torch.equal(other, before)
