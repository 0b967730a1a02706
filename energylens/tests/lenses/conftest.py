"""Fixtures: small real networks on text."""

from energylens.tests.helpers.text_networks import (
    as_artifact,
    make_network,
    network,
    one_thread,
    placed,
    placed_network,
    readings,
)

__all__ = ["as_artifact", "make_network", "network", "one_thread", "placed", "placed_network", "readings"]
