"""Methods by name, which is that of their file in this folder. A file is imported when its method is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from energylens.by_name import Folder
from energylens.errors import InputError
from energylens.sae.methods.base import Method

METHODS = Folder("energylens.sae.methods")
"""Classes of methods by name."""


def default_method() -> Method:
    """TopK with 32 latents."""
    return cast(Method, METHODS["topk"]())


def method_from_json(fields: Mapping[str, object]) -> Method:
    """The inverse of `Method.to_json`. Errors: InputError for an unknown name."""
    if fields["name"] not in METHODS:
        raise InputError(f"unknown method {fields!r}: `name` must be one of {sorted(METHODS)}")
    rest = {key: value for key, value in fields.items() if key != "name"}
    return cast(Method, METHODS[str(fields["name"])](**rest))
