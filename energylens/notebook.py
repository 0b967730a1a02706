"""Claims in a notebook or a script: `energylens.check("fourier.logits", seeds=2)`."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from traceback import format_exc
from typing import TYPE_CHECKING, Any

from energylens.errors import InputError
from energylens.harness.compare.ledger import Mode
from energylens.harness.declare.cases import Case
from energylens.harness.declare.catalogue import Declared, load_claims
from energylens.harness.declare.claim import claim_of
from energylens.harness.declare.measurement import Unavailable
from energylens.run.finish import results_of
from energylens.run.measure import Measurer, only_lab, record
from energylens.run.needs import build_missing, recipes_needed
from energylens.run.session import Session

if TYPE_CHECKING:
    import pandas as pd

Asked = str | Callable[..., Any]


@dataclass(frozen=True)
class Checked:
    """Verdicts of one `check`, as a table. results: what results.json of the same run would hold."""

    results: dict[str, Any]

    def to_frame(self) -> "pd.DataFrame":
        """A data frame with one row for each part of each verdict.

        Columns: claim, model, variant, word (of the verdict), qualifiers, part, part_word, estimate, low and high (the
        interval that decides), n (seeds), region, reported, recorded (the word in the ledger), reason.
        """
        import pandas as pd

        return pd.DataFrame(list(self._rows()))

    def _rows(self) -> Iterator[dict[str, Any]]:
        claims = {claim["id"]: claim for claim in self.results["claims"]}
        for verdict in self.results["verdicts"]:
            claim = claims[verdict["claim"]]
            whole = {
                "claim": verdict["claim"], "model": verdict["model"], "variant": verdict["variant"],
                "word": verdict["word"], "qualifiers": ", ".join(verdict["qualifiers"]),
            }  # fmt: skip
            after = {"reported": claim["reported"], "reason": verdict["reason"]}
            for part in verdict["parts"] or [{}]:
                numbers = {name: float(part.get(name, "nan")) for name in ("estimate", "low", "high")}
                region = claim["regions"].get(part.get("part"), {}).get("text", "")
                yield {
                    **whole, "part": part.get("part", ""), "part_word": part.get("word", ""), **numbers,
                    "n": part.get("n", 0), "region": region, **after,
                }  # fmt: skip

    def __repr__(self) -> str:
        from energylens.report import terminal_table

        errors = [f"ERROR {error['case']}: {error['message']}" for error in self.results["errors"]]
        return "\n".join([terminal_table(self.results), *errors])

    def _repr_html_(self) -> str:
        from energylens.report.html.table import html_table

        return html_table(self.to_frame())


def check(
    claim: Asked | Iterable[Asked] = "*",
    *,
    seeds: int | None = None,
    models: Sequence[str] = (),
    store: str | os.PathLike[str] | None = None,
    claims: str | os.PathLike[str] = "claims",
) -> Checked:
    """Measure and judge claims, as `pytest claims/` does, and return the verdicts. No report and no ledger is written.

    claim: an id ("fourier.logits"), a pattern ("fourier.*", claims of the cpu tier), a function decorated with `claim`,
    or several of these. seeds: number of declared seeds to measure, the first ones. models: "NAME=PATTERN", the user's
    own checkpoints in place of the zoo. store: folder or URL of the artifacts. claims: folder of claims, whose gates
    and conftest.py count. Missing artifacts are trained first, with progress on standard error. An exception in a
    claim's body gives the word ERROR; `results["errors"]` has the traceback.
    Errors: InputError for an unknown claim or folder, and for a claim that uses fixtures of pytest.
    """
    from energylens.plugin.project import project_of

    folder = Path(claims).resolve()
    project, asked, root = project_of(folder)
    if seeds is not None and seeds < 1:
        raise InputError(f"seeds must be at least 1, received {seeds}")
    options = replace(
        asked, seeds=seeds, models=tuple(models), store=None if store is None else os.fspath(store),
        claims_folder=folder, ledger=Mode.CHECK,
    )  # fmt: skip
    known = load_claims(folder)
    chosen = list(_chosen(claim, known, folder))
    known |= {declared.claim.id: declared for declared in chosen}
    started = time.time()
    with TemporaryDirectory(prefix="energylens-check-") as run:
        session = Session(options, root, Path(run), project, known)
        _measure(session, [case for declared in chosen for case in session.declare(declared)])
        selection = {"claims": [declared.claim.id for declared in chosen]}
        return Checked(results_of(session, selection, started, interrupted=False))


def _chosen(asked: Asked | Iterable[Asked], known: dict[str, Declared], folder: Path) -> Iterator[Declared]:
    """The claims that were asked for, in that order."""
    for each in [asked] if isinstance(asked, str) or callable(asked) else asked:
        if not isinstance(each, str):
            declared = claim_of(each)
            if declared is None:
                raise InputError(
                    f"expected the id of a claim or a function decorated with `claim`, received {each!r}"
                )
            yield Declared(declared, each)
        elif each in known:
            yield known[each]
        else:
            found = [d for id, d in known.items() if fnmatchcase(id, each) and d.claim.tier == "cpu"]
            if not found:
                family = each.partition(".")[0]
                near = [id for id in known if id.partition(".")[0] == family] or list(known)
                raise InputError(f"no claim {each!r} in {folder}; it declares {', '.join(near) or 'none'}")
            yield from found


def _measure(session: Session, cases: Sequence[Case]) -> None:
    """Build the artifacts that cases need, measure and judge them, with progress. Errors are kept beside verdicts."""
    from rich.console import Console
    from rich.progress import track

    build_missing(recipes_needed(session, cases), session.store)
    measurer = Measurer(session, partial(only_lab, session))
    with session.one_torch_thread():
        for case in track(cases, "measuring", console=Console(stderr=True), transient=True):
            body = session.declared[case.claim.id].body
            try:
                if case.seed is None:
                    record(session, measurer.verdict(case, body), case)
                else:
                    measurer.measure(case, body)
            except Unavailable:  # the verdict says so
                continue
            except Exception as error:
                told = {"row": case.row, "message": str(error), "text": format_exc()}
                session.run.record_note("error", f"{case.claim.id}[{case.id}]", told)
