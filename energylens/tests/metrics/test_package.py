import subprocess
import sys

import pytest

from energylens import metrics


def test_importing_the_package_does_not_import_torch():
    code = "import sys; from energylens import metrics; print('torch' in sys.modules, *dir(metrics))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    names = [
        "alignment",
        "association",
        "comoments",
        "energy",
        "fourier",
        "lens",
        "permutation",
        "reconstruction",
        "reliability",
        "reservoir",
        "spectral",
        "stability",
        "tuned_lens",
    ]
    assert out.split() == ["False", *names]


def test_submodules_load_on_first_use_and_unknown_names_are_refused():
    assert metrics.stability.pwmcc.__module__ == "energylens.metrics.stability"
    with pytest.raises(AttributeError, match="fourrier"):
        _ = metrics.fourrier
