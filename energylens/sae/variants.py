"""The kinds of sparse autoencoder under one roof: the methods that the package brings, one file each in `methods`.

Code that enters keys of artifacts imports from those files, not from here: else every key would cover every method.
"""

from energylens.sae.methods.base import Method as Variant
from energylens.sae.methods.matched_relu import MatchedReLU
from energylens.sae.methods.relu import ReLU
from energylens.sae.methods.topk import TopK

__all__ = ["MatchedReLU", "ReLU", "TopK", "Variant"]
