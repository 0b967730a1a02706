import subprocess
import sys

import pytest

from energylens.errors import InputError
from energylens.lenses.site import SITES, site_hook


@pytest.mark.parametrize(
    ("n_layers", "middle", "late"), [(2, 0, 1), (3, 0, 2), (4, 1, 3), (5, 1, 4), (6, 2, 5)]
)
def test_as_many_blocks_before_the_middle_as_after_it_or_one_more_after(n_layers, middle, late):
    hooks = [site_hook(n_layers, site) for site in ("middle", "late")]
    assert hooks == [f"blocks.{layer}.hook_resid_post" for layer in (middle, late)]


def test_one_block_has_an_end_and_no_middle():
    assert site_hook(1, "late") == "blocks.0.hook_resid_post"
    with pytest.raises(InputError, match="of 1 block has no middle"):
        site_hook(1, "middle")


def test_another_site_is_refused_by_name():
    assert SITES == ("middle", "late")
    with pytest.raises(InputError, match="middle, late, received 'early'"):
        site_hook(4, "early")


def test_importing_sites_and_recipes_imports_no_torch():
    code = "import sys, energylens.lenses.site, energylens.lenses.tuned; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
