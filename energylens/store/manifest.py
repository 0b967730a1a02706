"""Artifacts as bytes: a safetensors payload, and a JSON manifest that vouches for it."""

import hashlib
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from energylens.errors import InputError
from energylens.store.key import SCHEMA, canonical_json, describe
from energylens.store.recipe import JSON, Artifact, Recipe

if TYPE_CHECKING:
    import numpy as np

_PACKAGES = ("energylens", "numpy", "tokenizers", "torch", "transformer_lens")


@dataclass(frozen=True)
class Manifest:
    """What is known about a stored artifact. sha256 and bytes are those of the payload file.

    created: UTC, ISO 8601. seconds: how long the build took, if it was timed.
    environment: versions that made it; they are not part of the key.
    """

    key: str
    kind: str
    label: str
    recipe: JSON
    sha256: str
    bytes: int
    created: str
    seconds: float | None
    environment: Mapping[str, str]
    meta: Mapping[str, JSON]
    schema: int = SCHEMA


def encode(recipe: Recipe, key: str, artifact: Artifact, seconds: float | None) -> tuple[bytes, bytes]:
    """(payload, manifest) of an artifact. Raises InputError for what the two formats can't hold."""
    payload = _encode_tensors(artifact.tensors)
    manifest = Manifest(
        key=key,
        kind=recipe.kind,
        label=recipe.label(),
        recipe=describe(recipe),
        sha256=hashlib.sha256(payload).hexdigest(),
        bytes=len(payload),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=seconds,
        environment=_environment(),
        meta=json.loads(json.dumps(dict(artifact.meta), default=_plain)),
    )
    content = asdict(manifest)
    return payload, json.dumps(content | {"manifest_sha256": _digest(content)}, indent=1).encode()


def decode_manifest(text: bytes, kind: str, key: str) -> Manifest:
    """The manifest in `text`. Raises ValueError unless it is complete, undamaged and of this key."""
    content = json.loads(text)
    if not isinstance(content, dict) or content.pop("manifest_sha256", None) != _digest(content):
        raise ValueError("the manifest's checksum does not match")
    speaks_of = tuple(content.get(name) for name in ("schema", "kind", "key"))
    if speaks_of != (SCHEMA, kind, key):
        raise ValueError(f"the manifest speaks of another artifact, (schema, kind, key) = {speaks_of}")
    return Manifest(**content)


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(content)).hexdigest()


def _encode_tensors(tensors: Mapping[str, "np.ndarray"]) -> bytes:
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import save

    for name, array in tensors.items():
        if not isinstance(name, str) or not isinstance(array, np.ndarray):
            raise InputError(f"tensors are numpy arrays by name, got {name!r}: {type(array).__name__}")
    try:
        # safetensors writes the memory as it lies: a transposed view would come back scrambled.
        return save({name: np.asarray(array, order="C") for name, array in tensors.items()})
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        dtypes = {name: str(array.dtype) for name, array in tensors.items()}
        raise InputError(f"safetensors can't hold these tensors ({error}), got {dtypes}") from error


def _plain(value: Any) -> JSON:
    """numpy numbers and arrays as Python's, for json.dumps."""
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return value.tolist()
    raise InputError(f"meta must be JSON (or numpy numbers), got {value!r} ({type(value).__name__})")


@cache
def _environment() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": platform.machine(), "system": sys.platform}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
