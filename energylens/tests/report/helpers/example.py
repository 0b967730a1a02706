"""A run that never happened, through the real judge: every verdict, qualifier and kind of statistic once."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from energylens import (
    AtLeast,
    AtMost,
    Figure,
    Gate,
    Measurement,
    Null,
    Pairs,
    Unavailable,
    Within,
    claim,
    gate,
)
from energylens.harness.compare.ledger import Mode, compare
from energylens.harness.declare.cases import Case, cases_of
from energylens.harness.declare.claim import Claim, claim_of
from energylens.harness.json_values import plain
from energylens.harness.judge import judge
from energylens.harness.results import assemble, describe_claim
from energylens.harness.run_folder import RunFolder
from energylens.harness.verdict import GateResult
from energylens.report.content.entries import entries
from energylens.report.markdown.pages import INDEX, pages

SEEDS = (42, 123, 456, 789, 1011)
HOSTILE = "a|b <script>alert(1)</script> **bold** [x](javascript:y) `code` $x$ \x1b[31mred\x1b[0m \u202e # no"


def _null(name: str, why: str = "The level that an untrained network reaches.", **more: Any) -> Null:
    return Null(name, why, swap={"network": name}, **more)


CURVES = Figure("lines", "step", ("train", "test"), "Loss during training", "step", "loss (nats)", log_y=True)
SPECTRUM = Figure(
    "bars", "k", ("power",), "Fourier spectrum of the embedding", "frequency k", "share of power"
)


@claim(
    "fourier.grokked-circuit",
    says="A grokked network computes cos and sin of w_k(a+b) in its MLP.",
    source="Nanda et al. 2023 (arXiv:2301.05217), table 1",
    reported="93.2–98.2 %",
    holds_when=AtLeast(0.93),
    models=("modadd-1l", "modadd-2l"),
    seeds=range(5),
    unit="fraction of variance",
    controls=(_null("untrained"), _null("non-key", "Directions outside the key frequencies.")),
    gates=("fourier.groks",),
    published_on=("modadd-1l",),
    figure=CURVES,
)
def circuit() -> None: ...


@claim(
    "fourier.r2-below-5pct",
    says="The transformer's Fourier R² is below 5 %.",
    source="The published note",
    reported="0–2.1 %",
    holds_when=AtMost(0.05),
    seeds=range(5),
    figure=SPECTRUM,
    models=("modadd-leaky", "modadd-memorised", "modadd-1l", "modadd-2l"),
    published_on=("modadd-leaky",),
    controls=(_null("gaussian", "A Gaussian embedding under the same selection."),),
    note="The judged number is the excess over chance.",
)
def r2() -> None: ...


@claim(
    "stability.pwmcc-level",
    says="TopK and ReLU PWMCC is .30.",
    source="The published note",
    reported=".302 ± .001",
    holds_when=Within(0.292, 0.312),
    models=("modadd-leaky",),
    published_on=("modadd-leaky",),
    variants=("topk", "relu"),
    seeds=SEEDS,
    unit="cosine",
    statistic=Pairs(lambda a, b: float((a["d"] + b["d"]).mean() / 2)),
    controls=(
        _null("analytic-chance", "Two random dictionaries of this size."),
        _null("step-0", "The SAEs before training."),
        _null(
            "activation-covariance", "Dictionaries drawn with the activations' covariance.", qualifies=False
        ),
    ),
)
def level() -> None: ...


@claim(
    "stability.decoupled",
    says="Explained variance is high while features are unstable.",
    source="The published note",
    holds_when={"explained_variance": AtLeast(0.92), "pwmcc": AtMost(0.35)},
    models=("modadd-leaky", "modadd-1l"),
    published_on=("modadd-leaky",),
    seeds=SEEDS,
    reported=".92–.98; .30",
    controls=(_null("frozen-decoder", "A decoder that never learned."),),
    statistic={"pwmcc": Pairs(lambda a, b: float((a["d"] + b["d"]).mean() / 2))},
)
def decoupled() -> None: ...


@claim(
    "stability.above-chance",
    says="Trained SAEs agree more than chance.",
    source="This project",
    stated="restated",
    holds_when=AtLeast(0.05),
    models=("modadd-1l", "modadd-2l"),
    seeds=SEEDS,
    controls=(_null("step-0"),),
    gates=(Gate("stability.planted", on="planted-dictionary"),),
)
def above() -> None: ...


@claim(
    "fourier.logits",
    says="Logits are sums of cosines.",
    source="Nanda et al. 2023",
    reported=".95",
    holds_when=AtLeast(0.9),
    models=("modadd-1l", "modadd-2l", "gpt2"),
    published_on=("gpt2",),
    undefined_is="fourier.no-frequency",
    seeds=range(5),
    controls=(_null("random-set"),),
)
def logits() -> None: ...


@claim(
    "hostile.text",
    says=HOSTILE,
    source=HOSTILE,
    reported=HOSTILE,
    holds_when={"p|x_y*": AtLeast(0.5)},
    note=HOSTILE,
    models=("modadd-1l",),
    seeds=range(3),
    controls=(_null("n", HOSTILE),),
    unit=HOSTILE,
)
def hostile() -> None: ...


@claim(
    "broken.code",
    says="Its body raises.",
    source="This test",
    holds_when=AtMost(0.1),
    models=("modadd-1l",),
    seeds=range(5),
    controls=(_null("untrained"),),
)
def broken() -> None: ...


@gate(
    "fourier.groks",
    says="The network generalises.",
    source="SCIENCE",
    passes_when=AtLeast(0.99),
    competence=True,
    models=("modadd-1l", "modadd-2l", "modadd-memorised"),
    seeds=range(5),
    must_fail=("modadd-memorised",),
)
def groks() -> None: ...


@gate(
    "stability.planted",
    says="SAEs recover a planted dictionary.",
    source="SCIENCE",
    passes_when=AtLeast(0.9),
    models=("planted-dictionary", "frozen"),
    seeds=SEEDS,
    must_fail=("frozen",),
)
def planted() -> None: ...


BODIES = (circuit, r2, level, decoupled, above, logits, hostile, broken, groks, planted)

CENTRES: dict[tuple[str, str, str], float] = {
    ("fourier.grokked-circuit", "modadd-1l", ""): 0.957,
    ("fourier.grokked-circuit", "modadd-2l", ""): 0.931,
    ("fourier.grokked-circuit", "", "untrained"): 0.021,
    ("fourier.grokked-circuit", "", "non-key"): 0.12,
    ("fourier.r2-below-5pct", "modadd-leaky", ""): 0.012,
    ("fourier.r2-below-5pct", "modadd-memorised", ""): 0.21,
    ("fourier.r2-below-5pct", "modadd-1l", ""): 0.87,
    ("fourier.r2-below-5pct", "modadd-2l", ""): 0.55,
    ("fourier.r2-below-5pct", "", "gaussian"): 0.0005,
    ("stability.pwmcc-level", "", ""): 0.3021,
    ("stability.pwmcc-level", "", "analytic-chance"): 0.2988,
    ("stability.pwmcc-level", "", "step-0"): 0.2991,
    ("stability.pwmcc-level", "", "activation-covariance"): 0.41,
    ("stability.decoupled", "modadd-leaky", ""): 0.30,
    ("stability.decoupled", "modadd-1l", ""): 0.46,
    ("stability.decoupled", "", "frozen-decoder"): 0.299,
    ("stability.above-chance", "modadd-1l", ""): 0.18,
    ("stability.above-chance", "modadd-2l", ""): 0.04,
    ("stability.above-chance", "", "step-0"): 0.0,
    ("fourier.logits", "modadd-1l", ""): 0.95,
    ("fourier.logits", "modadd-2l", ""): float("nan"),
    ("fourier.logits", "", "random-set"): 0.07,
    ("hostile.text", "", ""): 0.7,
    ("hostile.text", "", "n"): 0.1,
    ("fourier.groks", "", ""): 0.998,
    ("fourier.groks", "modadd-memorised", ""): 0.11,
    ("stability.planted", "planted-dictionary", ""): 0.96,
    ("stability.planted", "frozen", ""): 0.31,
}
SPREAD = {"stability.pwmcc-level": 0.001, "fourier.groks": 0.001, "fourier.grokked-circuit": 0.008}


def example_results(folder: Path) -> dict[str, Any]:
    """results.json of the run, as it is read back."""
    run = RunFolder(folder / "run")
    for body in BODIES:
        declared = claim_of(body)
        assert declared is not None
        run.record_note("claim", declared.id, describe_claim(declared, Path(__file__).parent))
        for i, verdict_case in enumerate(c for c in _cases(declared) if c.seed is None):
            row = {"claim": declared.id, "model": verdict_case.model, "variant": verdict_case.variant}
            run.record_note(
                "row", verdict_case.row, row | {"row": verdict_case.row, "own_checkpoint": False, "index": i}
            )
            _judge(run, verdict_case)
    error = {
        "row": "broken.code/modadd-1l",
        "message": "Hook `mlp` <b>matches</b> nothing",
        "text": "Traceback\n  ```\nE",
    }
    run.record_note("error", "broken.code[modadd-1l-0]", error)
    return plain(assemble(run, provenance=PROVENANCE, seconds=412.5, selection="-m cpu"))


PROVENANCE = {
    "commit": "0123abc",
    "dirty": True,
    "packages": {"torch": "2.13.0", "numpy": "2.3", "scipy": ""},
    "python": "3.11.9",
    "platform": "Linux x86_64",
    "cpu": "A CPU (avx2)",
    "cores": 2,
    "torch_threads": 1,
}


def _cases(declared: Claim) -> Iterator[Case]:
    return cases_of(declared, dict.fromkeys(declared.models, declared.seeds))


def _judge(run: RunFolder, at: Case) -> None:
    if at.claim.id == "broken.code":
        return
    by_null: dict[str, dict[int, Measurement]] = {}
    for case in _cases(at.claim):
        if case.seed is None or (case.model, case.variant) != (at.model, at.variant):
            continue
        try:
            measurement = run.measured(case, lambda case=case: _measure(case))
        except Unavailable:
            return
        by_null.setdefault(case.null, {})[case.seed] = measurement
    verdict = judge(at.claim, at.model, at.variant, by_null.pop(""), by_null, _gates(at))
    run.record_verdict(verdict)
    described = describe_claim(at.claim, Path(__file__).parent)
    row = {"verdict": "HOLDS", "estimates": {}, "declaration_hash": described["declaration_hash"]}
    run.record_note("ledger", verdict.key, compare(plain(verdict), described, row, Mode.CHECK))


def _gates(at: Case) -> list[GateResult]:
    if at.claim.id == "stability.above-chance":
        failed = (456,) if at.model == "modadd-2l" else ()
        values = {str(seed): 0.5 if seed in failed else 0.96 for seed in SEEDS}
        return [GateResult("stability.planted", "planted-dictionary", "≥ 0.9", False, values, failed)]
    if at.claim.id == "fourier.grokked-circuit":
        failed = (3,) if at.model == "modadd-2l" else ()
        values = {str(seed): 0.8 if seed in failed else 0.998 for seed in range(5)}
        return [GateResult("fourier.groks", at.model, "≥ 0.99", True, values, failed)]
    return []


def _measure(case: Case) -> Measurement:
    if case.model == "gpt2":
        raise Unavailable("no weights of gpt2 on this machine")
    rng = np.random.default_rng([ord(char) for char in f"{case.row}/{case.null}/{case.seed}"])
    name = case.claim.id
    keys = ((name, case.model, case.null), (name, "", case.null))
    centre = next(CENTRES[key] for key in keys if key in CENTRES)
    spread = 0.0 if case.null == "analytic-chance" else SPREAD.get(name, 0.02)
    x = centre + spread * rng.normal()
    note = "no frequency carries 5 % of the power" if np.isnan(x) else ""
    if name == "stability.pwmcc-level":
        return _pairwise(case, x, rng)
    if name == "stability.decoupled":
        value = {"explained_variance": 0.95 + 0.01 * rng.normal()} | ({"pwmcc": x} if case.null else {})
        return Measurement(
            value, arrays={} if case.null else {"d": np.full(4, x)}, beside={"l0": 32 + rng.normal()}
        )
    if name == "hostile.text":
        return Measurement({"p|x_y*": x}, note=HOSTILE)
    published = 0.004 + 0.003 * rng.normal() if name == "fourier.r2-below-5pct" and not case.null else None
    beside = {"raw_r2": x + 0.1} if name == "fourier.r2-below-5pct" else {}
    series = {} if case.null else _series(name, case.model, x, rng)
    return Measurement(x, unit="share", as_published=published, beside=beside, series=series, note=note)


def _pairwise(case: Case, x: float, rng: np.random.Generator) -> Measurement:
    if case.null:
        return Measurement(x)
    return Measurement(arrays={"d": x + 0.0005 * rng.normal(size=4)})


def _series(name: str, model: str, level: float, rng: np.random.Generator) -> Mapping[str, Any]:
    if name == "fourier.grokked-circuit":
        step = np.arange(0, 1001, 50)
        test = 5 / (1 + np.exp((step - 400 - 40 * rng.normal()) / 40)) + 0.01
        return {"step": step, "train": 5 * np.exp(-step / 60) + 1e-3, "test": test}
    if name == "fourier.r2-below-5pct":
        power = rng.exponential(size=56)
        power[rng.choice(56, 5, replace=False)] += max(level, 0) * 300
        return {"k": np.arange(1, 57), "power": power / power.sum()}
    return {}


def whole(results: Mapping[str, Any], pictures: Iterable[str] = (), **more: Any) -> str:
    """All pages of a report as one text, the index first; links as if they were one page."""
    made = pages(results, entries(results), pictures, **more)
    return joined([made.pop(INDEX), *(made[name] for name in sorted(made, reverse=True))])


def whole_report(folder: Path) -> str:
    """The pages that a report has written, as `whole` gives them."""
    found = sorted(folder.glob("*/*.md"), reverse=True)
    return joined([path.read_text(encoding="utf-8") for path in (folder / INDEX, *found)])


def joined(texts: Iterable[str]) -> str:
    """Pages as one text: a link to a section of another page leads to the section."""
    return "\n".join(re.sub(r"\]\([\w./-]+\.md#", "](#", text) for text in texts)


def only(results: Mapping[str, Any], *ids: str) -> dict[str, Any]:
    """The same run, as if it had declared these claims alone."""
    kept = {name: [item for item in results[name] if item["claim"] in ids] for name in ("verdicts", "cases")}
    claims = [item for item in results["claims"] if item["id"] in ids]
    words = {name: word for name, word in results["summary"]["by_claim"].items() if name in ids}
    return {**results, **kept, "claims": claims, "errors": [], "summary": {"by_claim": words}}
