"""The basis of verdicts, for `energylens diff`: artifacts by recipe, data and code, and the code that measured.

While a run measures, its `Witness` takes notes; at its end `add_basis` joins them with the verdicts.
"""

from typing import Any

from energylens.harness.compare.causes import reached_from
from energylens.harness.declare.cases import Case, cases_behind
from energylens.harness.results import ERROR
from energylens.harness.verdict import Word
from energylens.run.session import Session
from energylens.run.witness import SHORT, digest_of, name_of


def add_basis(results: dict[str, Any], session: Session) -> None:
    """Give every verdict its `basis`: keys of its artifacts, inputs included, and the files it starts from.

    The keys and files are described once, in the `basis` of the whole run.
    """
    run = session.run
    used, roots, sources = run.notes("used"), run.notes("code"), dict(sorted(run.notes("source").items()))
    artifacts = {
        key[:SHORT]: each | {"inputs": [other[:SHORT] for other in each["inputs"]]}
        for key, each in sorted(run.notes("artifact").items())
    }
    inputs = {key: each["inputs"] for key, each in artifacts.items()}
    imports = {name: source["imports"] for name, source in sources.items()}
    results["basis"] = {"artifacts": artifacts, "sources": sources}
    for verdict in results["verdicts"]:
        if verdict["word"] in (Word.NOT_RUN, ERROR):
            continue
        claim = session.declared[verdict["claim"]].claim
        case = Case(claim, verdict["model"], verdict["variant"], None)
        behind = cases_behind(case, session.seeds_by_model, session.resolve)
        keys = {key[:SHORT] for each in behind for key in used.get(name_of(each), [])}
        files = roots.get(claim.id, [])
        hashes = {sources[name]["hash"] for name in reached_from(files, imports)}
        verdict["basis"] = {
            "artifacts": sorted(reached_from(keys, inputs)), "sources": files, "code": digest_of(hashes),
        }  # fmt: skip
