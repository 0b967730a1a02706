"""A new family is a package of `energylens.families` and a folder of claims, and touches nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import energylens

LAB = '''
from energylens.families import Part


class MoonPart(Part):
    """What moon claims ask of one network."""

    def phase(self, model, seed):
        """How many layers it has, by way of what the core hands out and remembers."""
        return self.lab.remember(("moon", model, seed), lambda: float(self.lab.network(model, seed).n_layers))


PART = MoonPart
'''

CLAIM = """
from energylens import AtLeast, Measurement, Null, claim
from energylens.lab import WIRED, needs_network


def no_moon(model, seed, lab):
    return Measurement(0.1 * seed)


@claim(
    "moon.phase", says="There are two layers.", source="-", holds_when=AtLeast(1.5), models=[WIRED], seeds=range(5),
    controls=[Null("no-moon", "a night without one", measure=no_moon)], needs=needs_network,
)
def test_phase(model, seed, lab):
    return Measurement(lab.moon.phase(model, seed))
"""

SABOTAGE = """
from energylens.trust.sabotage.broken_instruments import Sabotage
from energylens.trust.sabotage.trial import reads

SABOTAGES = [
    Sabotage("no-night", "The null reads two layers.", {"moon.phase:no_moon": reads(2.0)}, {"moon.phase": ["no-moon"]})
]
IN_TRUTH = {}
"""


def test_a_new_family_touches_nothing_else(tmp_path):
    package = tmp_path / "copy" / "energylens"
    shutil.copytree(
        Path(energylens.__file__).parent, package, ignore=shutil.ignore_patterns("tests", "__pycache__")
    )
    files = {
        package / "families" / "moon" / "__init__.py": '"""What moon claims ask."""',
        package / "families" / "moon" / "lab.py": LAB,
        tmp_path / "claims" / "moon" / "test_phase.py": CLAIM,
        tmp_path / "claims" / "moon" / "sabotage.py": SABOTAGE,
        tmp_path / "pytest.ini": "[pytest]\n",
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    environment = os.environ | {
        "PYTHONPATH": str(package.parent),
        "ENERGYLENS_STORE": str(tmp_path / "store"),
    }

    def run(*command):
        return subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    ran = run("-m", "pytest", "claims", "-m", "cpu", "-p", "no:cacheprovider", "--report-dir=reports")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (verdict,) = json.loads((tmp_path / "reports" / "results.json").read_text())["verdicts"]
    assert (verdict["word"], verdict["parts"][0]["estimate"]) == ("HOLDS", 2.0)
    code = (
        "from pathlib import Path; from energylens.families import names; "
        "from energylens.trust.sabotage.broken_instruments import read_tables; "
        "print(*names()); print([each.name for each in read_tables(Path('claims')).sabotages])"
    )
    families, sabotages = run("-c", code).stdout.splitlines()
    assert "moon" in families.split()
    assert sabotages == "['no-night']"
