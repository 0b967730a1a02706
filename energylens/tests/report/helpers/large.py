"""A run with as many verdicts as a family of claims with variants has, every kind of figure, and questions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from energylens import (
    AtLeast,
    AtMost,
    Figure,
    FisherZ,
    GeometricMean,
    HitRate,
    Measurement,
    Null,
    Question,
    claim,
)
from energylens.harness.declare.cases import Case, cases_of
from energylens.harness.declare.claim import Claim, claim_of
from energylens.harness.declare.question import questions_beside
from energylens.harness.json_values import plain
from energylens.harness.judge import judge
from energylens.harness.results import assemble, describe_claim
from energylens.harness.run_folder import RunFolder
from energylens.harness.verdict import GateResult

MODELS = ("induction-2l", "induction-2l-rotary", "ioi-toy", "pygpt-2l", "hand-wired", "pygpt-4l")
DEFINITIONS = ("key gram", "centred scores", "pattern", "QK core", "OV copying")
HEADS = 8


def _declare(name: str, **changes: Any) -> Any:
    fields = dict(
        says="Heads with a small gap matter.", source="The published note", models=MODELS, seeds=range(5),
        variants=DEFINITIONS, holds_when=AtLeast(0.7), gates=("spectral.gauge",), reported="r > .7",
        controls=(Null("within-layer", "permuted within each layer: what depth alone gives", swap={"a": "b"}),),
    )  # fmt: skip
    return claim(f"spectral.{name}", **(fields | changes))


GAPS = Figure(
    "scatter", x="gap", y=("importance",), colour="layer", mark={"key gram": 0.77},
    mark_label="published threshold .77", title="Gap against importance, head by head", x_label="gap",
    y_label="importance (logit difference; nats on pygpt)",
)  # fmt: skip
IMPORTANCE = Figure("heatmap", title="Importance of every head (mean ablation)")
CIRCUIT = Figure("graph", title="Path effects between the heads of the circuit")
TRAINING = Figure(
    "lines", x="step", y=("induction score", "repeat loss (nats)", "gap"), split=True,
    title="Induction heads form", x_label="training step",
)  # fmt: skip


@_declare("gap-predicts", statistic=FisherZ(points="heads"), figure=GAPS)
def gap_predicts() -> None: ...


@_declare("weakest-link", statistic=HitRate(), holds_when=AtLeast(0.5), figure=IMPORTANCE)
def weakest_link() -> None: ...


@_declare(
    "unstable-matter",
    statistic=GeometricMean(),
    holds_when=AtLeast(2),
    variants=("key gram", "key gram, raw"),
)
def unstable_matter() -> None: ...


@_declare("adds", holds_when={"gain": AtLeast(0.05), "share": AtMost(0.9)})
def adds() -> None: ...


@_declare("pre-post-softmax", variants=())
def pre_post() -> None: ...


@_declare("circuit", variants=(), models=("ioi-toy",), figure=CIRCUIT)
def circuit() -> None: ...


@_declare("forms", variants=(), models=MODELS[:2], figure=TRAINING)
def forms() -> None: ...


@_declare("gap-predicts-full", tier="full")
def in_full() -> None: ...


WEAKEST = Question(
    "Does the minimum-gap head have the highest patching importance, r > .7?",
    answered_by=("spectral.weakest-link", "spectral.gap-predicts", "spectral.pre-post-softmax"),
    words={
        "spectral.weakest-link": {
            "REFUTED": "The head with the smallest gap is not the most important one.",
            "INCONCLUSIVE": "Five seeds can't tell.",
        },
        "spectral.gap-predicts": {
            "REFUTED": "The correlation stays below .7.",
            "HOLDS": "The gap ranks the heads as patching does.",
        },
    },
)
DEPTH = Question("What is left after depth is taken out?", answered_by=("spectral.adds",))

BODIES = (gap_predicts, weakest_link, unstable_matter, adds, pre_post, circuit, forms, in_full)


def large_results(folder: Path) -> dict[str, Any]:
    """results.json of the run, as it is read back."""
    run = RunFolder(folder / "run")
    run.record_note("questions", "large.py", questions_beside(gap_predicts))
    for body in BODIES:
        declared = claim_of(body)
        assert declared is not None
        run.record_note("claim", declared.id, describe_claim(declared, Path(__file__).parent))
        for i, case in enumerate(case for case in _cases(declared) if case.seed is None):
            row = {"claim": declared.id, "model": case.model, "variant": case.variant, "index": i}
            run.record_note("row", case.row, row | {"own_checkpoint": False})
            if declared.tier == "cpu":
                run.record_verdict(_judge(run, case))
    return plain(assemble(run))  # type: ignore[no-any-return]


def _cases(declared: Claim) -> Iterator[Case]:
    return cases_of(declared, dict.fromkeys(declared.models, declared.seeds))


def _judge(run: RunFolder, at: Case) -> Any:
    by_null: dict[str, dict[int, Measurement]] = {}
    for case in _cases(at.claim):
        if case.seed is not None and (case.model, case.variant) == (at.model, at.variant):
            measured = run.measured(case, lambda case=case: _measure(case))
            by_null.setdefault(case.null, {})[case.seed] = measured
    failed = (0, 1) if at.model == "hand-wired" and at.claim.id == "spectral.adds" else ()
    gate = GateResult("spectral.gauge", at.model, "≤ 1e-08", True, {str(s): 1e-9 for s in range(5)}, failed)
    return judge(at.claim, at.model, at.variant, by_null.pop(""), by_null, [gate])


def _measure(case: Case) -> Measurement:
    rng = np.random.default_rng([ord(char) for char in f"{case.row}/{case.null}/{case.seed}"])
    i, j = MODELS.index(case.model), DEFINITIONS.index(case.variant) if case.variant in DEFINITIONS else 0
    r = float(np.tanh(rng.normal(0.3 * i - 0.2 * j - 0.2, 0.25))) if not case.null else 0.15
    name = case.claim.id.removeprefix("spectral.")
    if name == "weakest-link":
        return Measurement(float(r > 0.5), series=_heads(case))
    if name == "unstable-matter":
        return Measurement(float(np.exp(3 * r)))
    if name == "adds":
        nan = case.model == "pygpt-4l" and case.variant == "pattern"
        return Measurement(
            {"gain": float("nan") if nan else r / 4, "share": 0.5 + r / 5}, note="one layer only"
        )
    series = {"gap-predicts": _points, "circuit": _circuit, "forms": _training}.get(name, lambda *_: {})(
        case, rng
    )
    return Measurement(r, beside={"heads": 2 * HEADS}, series={} if case.null else series)


def _points(case: Case, rng: np.random.Generator) -> dict[str, Any]:
    layer = np.repeat(np.arange(2), HEADS)
    importance = rng.exponential(size=2 * HEADS) * (0.3 + layer) * (0.01 if "pygpt" in case.model else 1)
    return {"gap": rng.uniform(0, 1, 2 * HEADS), "importance": importance, "layer": layer}


def _heads(case: Case) -> dict[str, Any]:
    """The same for every definition of the gap."""
    rng = np.random.default_rng([ord(char) for char in f"{case.model}/{case.seed}"])
    values = rng.normal(size=(4 if case.model == "pygpt-4l" else 2, HEADS)) * rng.exponential(size=HEADS)
    values[0, 0] = np.nan
    return {"values": values * (0.01 if "pygpt" in case.model else 1)}


def _circuit(case: Case, rng: np.random.Generator) -> dict[str, Any]:
    edges = [
        ("S2", "0.1", 0.8),
        ("IO", "1.2", 0.3),
        ("0.1", "1.0", -0.6),
        ("1.2", "logits", 2.1),
        ("1.0", "logits", 0.4),
    ]
    return {
        "nodes": ["S2", "IO", "0.1", "1.0", "1.2", "logits"],
        "x": [0, 2, 0.5, 0.8, 1.8, 1.4],
        "y": [0, 0, 1, 2, 2, 3],
        "edges": [[a, b, w * (1 + 0.3 * rng.normal())] for a, b, w in edges],
    }


def _training(case: Case, rng: np.random.Generator) -> dict[str, Any]:
    step = np.arange(0, 1001, 50)
    formed = 1 / (1 + np.exp(-(step - 400 - 40 * rng.normal()) / 40))
    return {
        "step": step,
        "induction score": 0.9 * formed,
        "repeat loss (nats)": 5 - 4.9 * formed,
        "gap": 0.3 + 0.4 * formed,
    }
