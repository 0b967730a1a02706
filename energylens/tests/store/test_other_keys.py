"""What is added or edited beside a recipe leaves its key: a copy of the package is changed and asked for all keys."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import energylens
from energylens.tests.one_file import METHOD, TASK

PACKAGE = Path(energylens.__file__).parent
CLAIMS = PACKAGE.parent / "claims"

ASK = '''
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import energylens
from energylens.harness.declare.cases import cases_of
from energylens.harness.declare.catalogue import load_claims
from energylens.harness.compare.ledger import Mode
from energylens.models.checkpoint import LoadCheckpoint, UntrainedCheckpoint
from energylens.models.tasks import TASKS
from energylens.run.needs import recipes_needed
from energylens.run.options import Options
from energylens.run.project import Zoo
from energylens.run.session import Session
from energylens.sae.methods.table import METHODS
from energylens.sae.recipe import TrainSAEs
from energylens.store import key_of

here = Path.cwd()
assert Path(energylens.__file__).is_relative_to(here)


def used(recipe):
    """Names of the tasks and methods that a recipe rests on."""
    own = {part.name for part in (getattr(recipe, "task", None), getattr(recipe, "variant", None)) if part}
    return own.union(*map(used, recipe.inputs()))


def with_inputs(recipe):
    yield recipe
    for each in recipe.inputs():
        yield from with_inputs(each)


declared = load_claims(here / "claims")
options = Options((), None, "nowhere", Mode.CHECK, None, here / "claims", here / "none.toml", here / "reports")
with TemporaryDirectory() as folder:
    session = Session(options, here, Path(folder), Zoo(), {each.claim.id: each for each in declared.values()})
    claims = [each.claim for each in declared.values() if each.claim.tier == "cpu"]
    cases = [case for claim in claims for case in cases_of(claim, session.seeds_by_model(claim))]
    needed = list(recipes_needed(session, cases))
checkpoints = [LoadCheckpoint("mine", 0, "0" * 64, "1" * 64, TASKS[name](), "/somewhere") for name in ("ioi", "modadd")]
needed += [TrainSAEs(UntrainedCheckpoint(each), "hook", METHODS["topk"]()) for each in checkpoints]
found = dict.fromkeys(each for recipe in needed for each in with_inputs(recipe))
print(json.dumps([sorted(METHODS), sorted(TASKS), [[sorted(used(each)), key_of(each)] for each in found]]))
'''


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A folder with a copy of the package and of the claims."""
    if not CLAIMS.is_dir():
        pytest.skip("an installed copy has no claims")
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, root / "energylens", ignore=shutil.ignore_patterns("__pycache__", "tests"))
    shutil.copytree(CLAIMS, root / "claims", ignore=shutil.ignore_patterns("__pycache__"))
    return root


def asked(root):
    """(methods, tasks, [names that a recipe rests on, its key]): the recipes of all cpu claims and two checkpoints."""
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def edit(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_only_what_uses_a_task_or_a_method_changes_its_key_with_it(copy):
    sae, tasks = copy / "energylens" / "sae" / "methods", copy / "energylens" / "models" / "tasks"
    methods_before, tasks_before, before = asked(copy)
    names = [set(used) for used, _ in before]
    everything = {"ioi", "induction", "modadd", "text", "topk", "relu", "matched-relu"}
    assert set.union(*names) == everything
    assert len(before) > 250

    (sae / "near_largest.py").write_text(METHOD)
    (tasks / "first_token.py").write_text(TASK)
    edit(tasks / "ioi_templates.py", '"it rained all morning ."', '"it rained every morning ."')
    methods, found, after = asked(copy)
    assert set(methods) - set(methods_before) == {"near-largest"}
    assert set(found) - set(tasks_before) == {"first-token"}
    changed = [one != other for one, other in zip(before, after, strict=True)]
    assert changed == ["ioi" in used for used in names]

    edit(sae / "relu.py", "return pre_acts.relu()", "return 1 * pre_acts.relu()")
    edit(tasks / "modadd.py", 'OPERANDS = ("a", "b", "c")', 'OPERANDS = ("a", "b", "c", "d")')
    again = asked(copy)[2]
    changed = [one != other for one, other in zip(after, again, strict=True)]
    assert changed == [bool(used & {"relu", "modadd"}) for used in names]
