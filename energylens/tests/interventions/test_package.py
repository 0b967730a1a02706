import subprocess
import sys

import pytest

from energylens import interventions


def test_importing_the_package_imports_no_torch():
    program = "import sys; from energylens import interventions; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_every_name_is_there():
    assert all(getattr(interventions, name).__name__ == name for name in interventions.__all__)
    assert dir(interventions) == sorted(interventions.__all__)


def test_other_names():
    with pytest.raises(AttributeError, match=r"no attribute 'patch_head'; it has KL, .*patch_heads"):
        _ = interventions.patch_head
