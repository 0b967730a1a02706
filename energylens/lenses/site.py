"""Sites of a network, at which energies and latents are taken. Importing this module does not import torch."""

from energylens.errors import InputError

SITES = ("middle", "late")
"""After the middle block, and after the last one, where the lens is the network's own readout."""


def site_hook(n_layers: int, site: str) -> str:
    """`blocks.L.hook_resid_post` of a site. Errors: InputError for an unknown one, or a middle of one block."""
    if site not in SITES:
        raise InputError(f"a site is one of {', '.join(SITES)}, received {site!r}")
    if site == "middle" and n_layers < 2:
        raise InputError(f"a network of {n_layers} block has no middle between blocks")
    layer = n_layers // 2 - 1 if site == "middle" else n_layers - 1
    return f"blocks.{layer}.hook_resid_post"
