"""What claims measure on: the lab of the embedded zoo, or the one that a project brings."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from energylens.plugin.session import ClaimSession

if TYPE_CHECKING:
    from energylens.store import Store


def store_of(session: ClaimSession) -> "Store":
    """The store that --store names, once per process."""
    from energylens.lab import open_store

    return open_store(session.options.store)


def zoo_lab(session: ClaimSession, store: "Store") -> Any:
    """Networks and SAEs of the zoo, and the user's own checkpoints."""
    from energylens.lab import Lab

    return Lab(store, session.own_checkpoints, session.note_artifact)


def lab_of(config: pytest.Config, session: ClaimSession) -> Any:
    """What the first project to answer `pytest_energylens_lab` measures on. Its store tells what is taken out."""
    from energylens.plugin.witnessed import WitnessedStore

    store = WitnessedStore(store_of(session).url, session.note_artifact)
    return config.hook.pytest_energylens_lab(config=config, store=store)


@contextmanager
def one_torch_thread(session: ClaimSession, lab: Any) -> Iterator[None]:
    """Measurements have the same bits in one process and in two workers. What uses no torch does not import it."""
    from energylens.lab import Lab

    if not isinstance(lab, Lab) and "torch" not in sys.modules:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    session.run.record_note("environment", "torch_threads", torch.get_num_threads())
    yield
    torch.set_num_threads(before)
