import os
import subprocess
import sys

import pytest
from jaxtyping import TypeCheckError

from energylens.errors import InputError
from energylens.sae.planted import PlantedDictionary
from energylens.sae.recipe import TrainSAEs
from energylens.sae.variants import MatchedReLU, ReLU, TopK
from energylens.store import key_of

PLANTED = PlantedDictionary()
TEXT = {"data": PlantedDictionary(seed=3), "n_train": 100}
"""`data` is any recipe to these tests; what it must make is checked when SAEs are built."""


def test_importing_recipes_imports_no_torch():
    code = "import sys, energylens.sae.recipe, energylens.sae.planted; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_where_bf16_is_hidden_networks_and_saes_train_in_fp32():
    """In a process of its own: what is fastest is asked for once in each."""
    code = (
        "from energylens.models.zoo import zoo; from energylens.sae.recipe import TrainSAEs; "
        "made = zoo('modadd-1l', 0); print(made.autocast, TrainSAEs(made).autocast)"
    )
    hidden = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=hidden, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["fp32", "fp32"]


@pytest.mark.parametrize(
    "fields",
    [
        {"variant": TopK(16)},
        {"variant": ReLU(0.1)},
        {"variant": MatchedReLU(32)},
        {"variant": MatchedReLU(32, search_seed=8)},
        {"seeds": (1, 2)},
        {"decoder": "frozen"},
        {"autocast": "fp32"},
        {"kernel": "dense"},
        {"threads": 2},
        {"steps": 499},
        {"split_seed": 1},
        {"hook_name": "blocks.0.hook_resid_post"},
        {"source": PlantedDictionary(seed=1)},
        TEXT,
    ],
    ids=str,
)
def test_every_field_changes_the_key(fields):
    base = {"source": PLANTED, "autocast": "bf16", "kernel": "sparse"}
    assert key_of(TrainSAEs(**{**base, **fields})) != key_of(TrainSAEs(**base))
    assert key_of(TrainSAEs(**base)) == key_of(TrainSAEs(**base))


@pytest.mark.parametrize(
    "fields",
    [
        {"n_train": 101},
        {"data": PlantedDictionary(seed=4)},
        {"n_heldout": 1},
        {"hook_name": "blocks.0.hook_mlp_out"},
    ],
    ids=str,
)
def test_every_field_of_saes_on_text_changes_the_key(fields):
    assert key_of(TrainSAEs(PLANTED, **{**TEXT, **fields})) != key_of(TrainSAEs(PLANTED, **TEXT))


def test_the_text_is_read_after_the_network():
    recipe = TrainSAEs(PLANTED, **TEXT)
    assert recipe.inputs() == (PLANTED, TEXT["data"])
    assert TrainSAEs(PLANTED).inputs() == (PLANTED,)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "positive"),
        ({"data": TEXT["data"]}, r"go together, received PlantedDictionary\(.*seed=3.* and None"),
        ({"n_train": 7}, "go together, received None and 7"),
        ({**TEXT, "n_train": 0}, r"go together, received PlantedDictionary\(.* and 0"),
        ({"lr": float("nan")}, "positive"),
        ({"seeds": ()}, "different"),
        ({"seeds": (1, 1)}, "different"),
        # under the tests' run-time type checks these three are refused by their annotation
        ({"decoder": "tied"}, "tied"),
        ({"autocast": "fp16"}, "fp16"),
        ({"kernel": "fast"}, "fast"),
        ({"variant": TopK(2000)}, "2000, more than d_sae 1024"),
        ({"variant": MatchedReLU(32, search_seed=42)}, "search_seed 42"),
    ],
)
def test_impossible_recipes_are_refused(fields, message):
    with pytest.raises((InputError, TypeCheckError), match=message):
        TrainSAEs(PLANTED, **fields)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TopK(0),
        lambda: ReLU(-1.0),
        lambda: ReLU(float("nan")),
        lambda: MatchedReLU(0),
        lambda: MatchedReLU(start=0),
    ],
)
def test_impossible_variants_are_refused(make):
    with pytest.raises(InputError, match="received"):
        make()


def test_labels_name_kind_and_source():
    label = TrainSAEs(PLANTED, variant=MatchedReLU(32), decoder="frozen").label()
    assert label == f"ReLU at L0 32 SAEs, frozen decoder on {PLANTED.label()}"
    at = TrainSAEs(PLANTED, hook_name="blocks.0.hook_mlp_out", variant=TopK(3), **TEXT).label()
    assert at == f"{TopK(3).label()} SAEs on {PLANTED.label()} at blocks.0.hook_mlp_out"
