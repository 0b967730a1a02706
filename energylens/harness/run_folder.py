"""The folder of one run: every measurement and verdict, shared by all worker processes.

A measurement is taken once per run, by whichever case asks first: a seed's own case or the verdict case that
lacks it. Nothing here outlives the run, so a green run always measured.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from energylens.harness.declare.cases import Case
from energylens.harness.declare.measurement import Measurement, Unavailable
from energylens.harness.json_values import write_json
from energylens.harness.verdict import Verdict


class RunFolder:
    """Measurements and verdicts of one run, one file each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._own: dict[Path, Measurement] = {}
        for name in ("cases", "verdicts", "notes"):
            (path / name).mkdir(parents=True, exist_ok=True)

    def measured(self, case: Case, measure: Callable[[], Measurement]) -> Measurement:
        """The measurement of this case, taken now unless another case of this run already took it.

        Raises what `measure` raises. An `Unavailable` is remembered, so that the verdict says NOT RUN.
        """
        stem = self.path / "cases" / _digest(f"{case.row}/{case.null}/{case.seed}")
        if stem not in self._own:
            found = self._measured(stem, case, measure)
            if found.arrays:  # as large as activations: the file keeps them
                return found
            self._own[stem] = found
        return self._own[stem]

    def _measured(self, stem: Path, case: Case, measure: Callable[[], Measurement]) -> Measurement:
        """The measurement from the run's file, or taken now and written there, by one process at a time."""
        with FileLock(f"{stem}.lock"):
            if stem.with_suffix(".json").exists():
                return _load(stem)
            started = time.perf_counter()
            record: dict[str, Any] = dict(
                claim=case.claim.id, model=case.model, variant=case.variant, null=case.null, seed=case.seed
            )
            try:
                measurement = measure()
            except Unavailable as reason:
                write_json(
                    stem.with_suffix(".json"), record | {"unavailable": str(reason), "order": time.time()}
                )
                raise
            _save_arrays(stem, measurement)
            record |= dict(
                value=measurement.value, unit=measurement.unit, as_published=measurement.as_published,
                beside=measurement.beside, series=measurement.series, note=measurement.note,
                has_arrays=bool(measurement.arrays), seconds=time.perf_counter() - started, order=time.time(),
            )  # fmt: skip
            write_json(stem.with_suffix(".json"), record)
            return measurement

    def record_verdict(self, verdict: Verdict) -> None:
        """Keep the verdict of one row for results.json."""
        write_json(self.path / "verdicts" / f"{_digest(verdict.key)}.json", verdict)

    def record_note(self, kind: str, name: str, content: Any) -> None:
        """Keep something else for results.json: a declared claim, an error, an artifact's key."""
        write_json(self.path / "notes" / f"{kind}.{_digest(name)}.json", {"name": name, "content": content})

    def has_results(self) -> bool:
        """Whether anything was measured, judged, or failed."""
        found = [
            *self.path.glob("cases/*.json"),
            *self.path.glob("verdicts/*.json"),
            *self.path.glob("notes/error.*"),
        ]
        return bool(found)

    def cases(self) -> list[dict[str, Any]]:
        """All recorded measurements, in the order in which they were taken."""
        return sorted(_read(self.path / "cases"), key=lambda record: record.pop("order"))

    def verdicts(self) -> list[dict[str, Any]]:
        """All recorded verdicts, in no particular order."""
        return list(_read(self.path / "verdicts"))

    def note(self, kind: str, name: str) -> Any:
        """The note that `record_note` kept under this kind and name; None without such a note."""
        path = self.path / "notes" / f"{kind}.{_digest(name)}.json"
        return json.loads(path.read_text(encoding="utf-8"))["content"] if path.exists() else None

    def notes(self, kind: str) -> dict[str, Any]:
        """The notes that `record_note` kept under this kind, by name."""
        found = _read(self.path / "notes", f"{kind}.*.json")
        return {note["name"]: note["content"] for note in found}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _read(folder: Path, pattern: str = "*.json") -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob(pattern)):
        yield json.loads(path.read_text(encoding="utf-8"))


def _save_arrays(stem: Path, measurement: Measurement) -> None:
    if measurement.arrays:
        import numpy as np

        np.savez(
            stem.with_suffix(".npz"),
            allow_pickle=False,
            **{name: np.asarray(a) for name, a in measurement.arrays.items()},
        )


def _load(stem: Path) -> Measurement:
    import numpy as np

    record = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
    if "unavailable" in record:
        raise Unavailable(record["unavailable"])
    arrays = {}
    if record["has_arrays"]:
        with np.load(stem.with_suffix(".npz"), allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved.files}
    return Measurement(
        value=record["value"] or None, unit=record["unit"], arrays=arrays,
        as_published=record["as_published"] or None, beside=record["beside"], series=record["series"],
        note=record["note"],
    )  # fmt: skip
