import pytest
import torch

from energylens.errors import InputError
from energylens.interventions import all_heads, padded
from energylens.interventions.prompts import as_pair, as_tokens, check_heads


def test_padding():
    left, left_mask = padded([[1, 2, 3], [4]], 9)
    right, right_mask = padded([[1, 2, 3], [4]], 9, "right")
    assert left.tolist() == [[1, 2, 3], [9, 9, 4]]
    assert right.tolist() == [[1, 2, 3], [4, 9, 9]]
    assert left_mask.tolist() == [[True] * 3, [False, False, True]]
    assert right_mask.tolist() == [[True] * 3, [True, False, False]]
    with pytest.raises(InputError, match="no prompts"):
        padded([], 0)


def test_tokens():
    assert as_tokens([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    for wrong, message in [
        (torch.zeros(2, 3), r"must be integers \[prompt, pos\], got torch.float32 \(2, 3\)"),
        (torch.zeros(3, dtype=torch.long), r"got torch.int64 \(3,\)"),
        (torch.zeros(0, 3, dtype=torch.long), r"got torch.int64 \(0, 3\)"),
        ([[1], [2, 3], [4]], r"lengths \[1, 2\]; fill them up with `padded`"),
        ([], r"lengths \[\]"),
    ]:
        with pytest.raises(InputError, match=message):
            as_tokens(wrong)


def test_masks():
    tokens = torch.ones(2, 3, dtype=torch.long)
    with pytest.raises(InputError, match=r"mask must be bool \(2, 3\) like the tokens, got torch.int64"):
        as_tokens(tokens, tokens)
    empty = torch.tensor([[True, True, True], [False, False, False]])
    with pytest.raises(InputError, match="prompt 1 is padding from end to end"):
        as_tokens(tokens, empty)


def test_pairs_differ_where_there_are_tokens():
    clean, mask = torch.tensor([[1, 2], [3, 4]]), torch.tensor([[True, True], [True, False]])
    as_pair(clean, clean + 1, mask)
    with pytest.raises(InputError, match="in 1 of 2 rows, first row 1"):
        as_pair(clean, torch.tensor([[1, 3], [3, 5]]), mask)


def test_heads():
    assert all_heads(2, 2) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert check_heads({(1, 0)}, 2, 2) == [(1, 0)]
    for wrong in [(2, 0), (0, 2), (-1, 0)]:
        with pytest.raises(InputError, match=r"is out of range: layers 0 to 1, heads 0 to 1"):
            check_heads([wrong], 2, 2)
