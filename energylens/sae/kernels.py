"""Names of the kernels that train SAEs. Knows no torch and no numba: recipes can be made without them."""

from importlib.util import find_spec
from typing import Literal, TypeAlias

Kernel: TypeAlias = Literal["sparse", "dense"]
"""How SAEs train: on the latents that fire (`energylens.sae.sparse`), or by dense products."""


def fastest_kernel() -> Kernel:
    """Name the sparse kernel where numba is installed (`pip install energylens[fast]`), else the dense one."""
    return "sparse" if find_spec("numba") else "dense"
