import pytest

from energylens.lab.memory import REMEMBERED, Memory
from energylens.models.zoo import zoo

A, B = zoo("modadd-1l", 0), zoo("modadd-1l", 1)


def test_a_value_is_computed_once_and_tells_what_it_rests_on_whenever_it_is_asked_for():
    memory, told, computed = Memory(), [], []

    def inner():
        memory.note(A, told.append)
        return 1

    def outer():
        computed.append(1)
        memory.note(B, told.append)
        return memory.remember("inner", inner, told.append) + 1

    for _ in range(3):
        told.clear()
        assert memory.remember("outer", outer, told.append) == 2
        assert set(told) == {A, B}
    assert computed == [1]
    told.clear()
    assert memory.remember("inner", inner, told.append) == 1
    assert told == [A]


def test_what_fails_is_not_remembered_and_leaves_nothing_behind():
    memory, told = Memory(), []

    def fails():
        memory.note(A, told.append)
        raise ValueError("no weights")

    with pytest.raises(ValueError, match="no weights"):
        memory.remember("key", fails, told.append)
    assert memory.remember("key", lambda: 3, told.append) == 3
    assert told == []
    memory.note(B, told.append)
    assert told == [B]


def test_the_oldest_goes_first():
    memory, computed = Memory(), []
    for key in [*range(REMEMBERED + 1), 1, 0]:
        memory.remember(key, lambda key=key: computed.append(key), print)
    assert computed == [*range(REMEMBERED + 1), 0]
