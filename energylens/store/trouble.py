"""Explanations of file system errors for the user, one sentence each, with the way out."""

import errno
import shutil
from pathlib import Path

from energylens.errors import StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_MOVE = "move the store with ENERGYLENS_STORE=<folder or URL> or --store <folder or URL>"


class DamagedArtifactWarning(UserWarning):
    """A stored artifact failed its checksum; it was set aside and will be built again."""


def explained(error: Exception, root: str, doing: str, bytes_needed: int | None = None) -> StoreError:
    """The StoreError for an exception met while `doing` something to the store at `root`."""
    if getattr(error, "errno", None) in _FULL:
        needed = "more space is needed" if bytes_needed is None else f"{bytes_needed} bytes are needed"
        return StoreError(
            f"the disk of the store {root} is full: {needed}, {_free(root)}; free some, or {_MOVE}"
        )
    reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
    return StoreError(f"can't {doing} the store {root} ({reason}); {_MOVE}")


def _free(root: str) -> str:
    for folder in (Path(root), *Path(root).parents):
        try:
            return f"{shutil.disk_usage(folder).free} are free"
        except OSError:
            continue
    return "an unknown number is free"
