"""Nothing that is read can run code: no module reads pickles, and a checkpoint or artifact that is one is refused."""

import ast
import hashlib
import io
import json
import os
import pickle
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import energylens
from energylens.errors import InputError
from energylens.harness.run_folder import RunFolder
from energylens.models.checkpoint import export_checkpoint, match_checkpoints
from energylens.store import DamagedArtifactWarning, Store, key_of
from energylens.store.manifest import _digest
from energylens.tests.models.helpers import network
from energylens.tests.store.recipes import Noise

ROOT = Path(energylens.__file__).parent
SOURCES = [
    path
    for folder in (ROOT, ROOT.parent / "claims", ROOT.parent / "benchmarks")
    for path in sorted(folder.rglob("*.py"))
    if "tests" not in path.relative_to(folder).parts
]
RUN_CODE = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
"""Modules that run code when they read."""

READ_PICKLES = {
    "torch.load",
    "torch.hub.load",
    "numpy.load",
    "pandas.read_pickle",
    "yaml.load",
    "eval",
    "exec",
}
"""Functions that can run code when they read; numpy's can be told not to."""


def _dangers(source: str) -> Iterator[str]:
    """What in a source can run code that it reads."""
    tree = ast.parse(source)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    short = {alias.asname: alias.name for node in imports for alias in node.names if alias.asname}
    for node in imports:
        base = f"{node.module}." if isinstance(node, ast.ImportFrom) and node.module else ""
        names = [base + alias.name for alias in node.names]
        yield from (name for name in names if name.partition(".")[0] in RUN_CODE or name in READ_PICKLES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            head, dot, rest = ast.unparse(node.func).partition(".")
            name = short.get(head, head) + dot + rest
            allowed = [ast.unparse(each.value) for each in node.keywords if each.arg == "allow_pickle"]
            if (name in READ_PICKLES and allowed != ["False"]) or any(value != "False" for value in allowed):
                yield name
            imported = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            if name.rpartition(".")[2] in ("__import__", "import_module") and RUN_CODE & {*imported}:
                yield name


def test_no_module_reads_pickles():
    assert len(SOURCES) > 100
    found = {
        str(path.relative_to(ROOT.parent)): list(_dangers(path.read_text(encoding="utf-8")))
        for path in SOURCES
    }
    assert {path: dangers for path, dangers in found.items() if dangers} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "import os, pickle as p", "from pickle import loads", "from torch import load",
        "def f():\n    import cloudpickle.fast", "torch.load(path)", "torch.load(path, weights_only=True)",
        "import numpy as np\nnp.load(path)", "numpy.load(path, allow_pickle=True)", "numpy.load(path, mmap_mode='r')",
        "numpy.load(path, allow_pickle=flag)", "import pandas as pd\npd.read_pickle(path)", "import joblib",
        "np.savez(path, allow_pickle=True, x=x)", "eval(text)", "exec(text)", "import torch as t\nt.load(path)",
        "importlib.import_module('pickle')",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(source):
    assert list(_dangers(source)) != []


@pytest.mark.parametrize(
    "source",
    [
        "np.load(path, allow_pickle=False)",
        "model.eval()",
        "json.loads(text)",
        "load_file(path)",
        "x = 'pickle'",
    ],
)
def test_the_search_finds_nothing_else(source):
    assert list(_dangers(source)) == []


class _Malicious:
    """Touches a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch '{self.mark}'",)


def _pickled(mark: Path) -> bytes:
    return pickle.dumps({"embed.weight": _Malicious(mark)})


def _torch_archive(mark: Path) -> bytes:
    """As torch.save writes it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", _pickled(mark))
        archive.writestr("archive/version", "3\n")
    return made.getvalue()


def _numpy_archive(mark: Path) -> bytes:
    made = io.BytesIO()
    np.savez(made, x=np.array([_Malicious(mark)], dtype=object), allow_pickle=True)
    return made.getvalue()


def _numpy_array(mark: Path) -> bytes:
    made = io.BytesIO()
    np.save(made, np.array([_Malicious(mark)], dtype=object), allow_pickle=True)
    return made.getvalue()


def _behind_a_header(mark: Path) -> bytes:
    """A sound safetensors header, and a pickle where the numbers should be, too short for them."""
    header = json.dumps(
        {"embed.weight": {"dtype": "F32", "shape": [15, 16], "data_offsets": [0, 960]}}
    ).encode()
    return len(header).to_bytes(8, "little") + header + _pickled(mark)


PAYLOADS = [_pickled, _torch_archive, _numpy_archive, _numpy_array, _behind_a_header]


@pytest.fixture
def mark(tmp_path):
    """A path that exists once malicious code has run."""
    path = tmp_path / "ran"
    yield path
    assert not path.exists(), "malicious code ran"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return export_checkpoint(network(), tmp_path_factory.mktemp("checkpoint") / "run-0")


def test_the_payloads_would_bite(tmp_path):
    mark = tmp_path / "ran"
    pickle.loads(_pickled(mark))
    assert mark.exists()
    for number, make in enumerate((_numpy_archive, _numpy_array)):
        mark = tmp_path / f"ran-{number}"
        (tmp_path / "file").write_bytes(make(mark))
        loaded = np.load(tmp_path / "file", allow_pickle=True)
        if number == 0:
            loaded["x"]
            loaded.close()
        assert mark.exists()


@pytest.mark.parametrize("make", PAYLOADS)
def test_a_malicious_checkpoint_is_refused(make, mark, checkpoint, tmp_path):
    folder = tmp_path / "run-0"
    folder.mkdir()
    (folder / "config.json").write_bytes((checkpoint / "config.json").read_bytes())
    (folder / "model.safetensors").write_bytes(make(mark))
    (recipe,) = match_checkpoints(f"mine={folder}")[1]
    store = Store(tmp_path / "store")
    with pytest.raises(InputError, match=r"model\.safetensors is not a safetensors file"):
        store.get(recipe)
    assert store.ls() == []


@pytest.mark.parametrize("make", PAYLOADS)
def test_a_malicious_payload_in_the_store_is_set_aside(make, mark, tmp_path):
    # With checksums that vouch for it: whoever can write the store can write those as well.
    store, recipe = Store(tmp_path / "store"), Noise(1)
    store.get(recipe)
    folder = tmp_path / "store" / "noise" / key_of(recipe)[:2] / key_of(recipe)
    content = make(mark)
    (folder / "payload.safetensors").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["manifest_sha256"]
    manifest |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"manifest_sha256": _digest(manifest)}))
    with pytest.warns(DamagedArtifactWarning, match="can't be loaded"):
        found = store.get(recipe)
    np.testing.assert_array_equal(found.tensors["x"], np.random.default_rng(1).normal(size=4))


def test_malicious_arrays_of_a_run_are_refused(mark, tmp_path):
    from energylens.harness.declare.cases import Case
    from energylens.tests.harness.helpers import declare, nothing

    case = Case(declare(), "dice", "", 0)
    RunFolder(tmp_path).measured(case, lambda: nothing(0))
    (record,) = (tmp_path / "cases").glob("*.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"has_arrays": True}))
    record.with_suffix(".npz").write_bytes(_numpy_archive(mark))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        RunFolder(tmp_path).measured(case, lambda: nothing(0))


ELSEWHERE = {
    "weights": "/etc/passwd",
    "model_path": "../other/model.safetensors",
    "trust_remote_code": True,
    "auto_map": {"AutoModel": "evil.Model"},
}


def test_a_config_cannot_point_elsewhere(checkpoint, tmp_path):
    # What it says beside model and task is not read.
    folder = tmp_path / "run-0"
    folder.mkdir()
    for name in ("model.safetensors", "config.json"):
        (folder / name).write_bytes((checkpoint / name).read_bytes())
    document = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(document | ELSEWHERE))
    (recipe,) = match_checkpoints(f"mine={folder}")[1]
    built = Store(tmp_path / "store").get(recipe)
    assert built.meta["config"] == document["model"]
    (plain,) = match_checkpoints(f"mine={checkpoint}")[1]
    expected = Store(tmp_path / "store").get(plain)
    assert {name: array.tobytes() for name, array in built.tensors.items()} == {
        name: array.tobytes() for name, array in expected.tensors.items()
    }


@pytest.mark.parametrize(
    "model",
    [{"__reduce__": "os.system"}, {"weights": "/etc/passwd"}, {"auto_map": {"AutoModel": "evil.Model"}}],
)
def test_unknown_fields_of_a_model_are_refused(model, checkpoint, tmp_path):
    folder = tmp_path / "run-0"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes((checkpoint / "model.safetensors").read_bytes())
    document = json.loads((checkpoint / "config.json").read_text())
    document["model"] |= model
    (folder / "config.json").write_text(json.dumps(document))
    (recipe,) = match_checkpoints(f"mine={folder}")[1]
    with pytest.raises(InputError, match=r"config\.json: transformer_lens refuses this model"):
        Store(tmp_path / "store").get(recipe)


def test_a_config_that_names_a_remote_tokenizer_fetches_nothing(checkpoint, tmp_path):
    folder = tmp_path / "run-0"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes((checkpoint / "model.safetensors").read_bytes())
    document = json.loads((checkpoint / "config.json").read_text())
    document["model"] |= {
        "tokenizer_name": "nobody/evil",
        "model_name": "nobody/evil",
        "trust_remote_code": True,
    }
    (folder / "config.json").write_text(json.dumps(document))
    (recipe,) = match_checkpoints(f"mine={folder}")[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.socket.connect", _refuse)
        Store(tmp_path / "store").get(recipe)
    assert "transformers_modules" not in sys.modules


def _refuse(*args: object) -> None:
    raise AssertionError(f"asked the network for {args[1:]}")
