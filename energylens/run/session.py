"""The session of a run: its claims, their models and seeds, and the folder that keeps measurements."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from energylens.errors import DeclarationError, InputError
from energylens.harness.compare.amendments import AMENDMENTS, read_amendments
from energylens.harness.compare.history import HISTORY, read_history
from energylens.harness.compare.ledger import read_ledger
from energylens.harness.declare.cases import Case, cases_behind, cases_of
from energylens.harness.declare.catalogue import Declared, add_declared, load_claims
from energylens.harness.declare.claim import Claim
from energylens.harness.declare.question import check_answers, questions_beside
from energylens.harness.one_network import unanswerable
from energylens.harness.provenance import machine_of, provenance
from energylens.harness.results import describe_claim
from energylens.harness.run_folder import RunFolder
from energylens.harness.verdict import Unit
from energylens.run.measured_code.measured import MeasuredCode, reader
from energylens.run.measured_code.sources import PACKAGE
from energylens.run.options import Options
from energylens.run.project import Project
from energylens.run.witness import Witness

if TYPE_CHECKING:
    from energylens.store import Store


class Session:
    """Declared claims and the run folder. One per process; processes of one run share the folder.

    root: of the project; file names in results are relative to it. known: further claims that may be gates or be asked
    for; results need not list them.
    """

    def __init__(
        self,
        options: Options,
        root: Path,
        run_path: Path,
        project: Project,
        known: Mapping[str, Declared] = MappingProxyType({}),
    ) -> None:
        self.options = options
        self.root = root
        self.run_path = run_path
        self.project = project
        self.declared = dict(known)

    @cached_property
    def tasks(self) -> dict[str, str]:
        """Every model that claims may name, with its task. Asked for on first use: a run may have no claims."""
        return dict(self.project.models())

    @cached_property
    def data(self) -> dict[str, Callable[[], str]]:
        """By task, a function that gives the fingerprint of the data that its models are trained on."""
        return dict(self.project.data())

    def data_of(self, model: str) -> str:
        """Fingerprint of what a model of the zoo is trained on; empty where its task makes its own inputs."""
        tell = self.data.get(self.tasks.get(model, ""))
        return tell() if tell else ""

    @cached_property
    def run(self) -> RunFolder:
        """The run's folder, made on first use, so that a run without claims leaves no trace."""
        return RunFolder(self.run_path)

    @cached_property
    def ledger(self) -> dict[str, dict[str, Any]]:
        """Recorded verdicts by row."""
        return read_ledger(self.options.ledger_path)

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """The full runs so far."""
        read_amendments(self.options.reports_folder / AMENDMENTS)  # both are told beside each other
        return read_history(self.options.reports_folder / HISTORY)

    @cached_property
    def own_checkpoints(self) -> dict[str, tuple[Any, ...]]:
        """Recipes of the user's checkpoints by the NAME given with --model."""
        if not self.options.models:
            return {}
        from energylens.models.checkpoint import match_checkpoints, read_config

        matched = [match_checkpoints(argument) for argument in self.options.models]
        own = {name: tuple(recipes) for name, recipes in matched}
        if len(own) < len(matched) or set(own) & set(self.tasks):
            raise InputError(
                f"every --model needs a NAME of its own, which no other --model and no model of the zoo has, got "
                f"{list(self.options.models)}"
            )
        for name, recipes in own.items():
            configs = {recipe.folder: read_config(Path(recipe.folder)) for recipe in recipes}
            if any(config != configs[recipes[0].folder] for config in configs.values()):
                raise InputError(
                    f"--model {name}: checkpoints of one NAME are seeds of one model and must have the same model "
                    f"and task in config.json; these differ: {list(configs)}"
                )
        return own

    @cached_property
    def samples(self) -> dict[str, int]:
        """Number of data samples by model, for --model with a single network; 1 if all its inputs are measured."""
        if not self.options.models:
            return {}
        from energylens.models.checkpoint import read_config

        alone = {name: recipes[0] for name, recipes in self.own_checkpoints.items() if len(recipes) == 1}
        return {name: read_config(Path(recipe.folder))[1].samples for name, recipe in alone.items()}

    def unit_of(self, claim: Claim, model: str) -> Unit:
        """Unit of a claim's seeds on this model: networks, or samples of the data of a single network."""
        if model not in self.samples:
            return Unit.NETWORK
        return Unit.ALL_INPUTS if self.samples[model] == 1 else Unit.SAMPLE

    def declare(self, new: Declared) -> list[Case]:
        """Register a claim and return its cases. Raises DeclarationError for errors that only the run can see."""
        add_declared(self.declared, new)
        unknown = [model for model in new.claim.models if model not in self.tasks]
        if unknown:
            known = ", ".join(self.tasks)
            raise DeclarationError(
                f"claim {new.claim.id!r} in {new.claim.where}: unknown model {unknown[0]!r}; known: {known}"
            )
        cases = list(cases_of(new.claim, self.seeds_by_model(new.claim)))
        self.note(new.claim, cases)
        file = new.claim.where.rpartition(":")[0]
        self.run.record_note("questions", file, questions_beside(new.body))
        return cases

    def note(self, claim: Claim, cases: list[Case]) -> None:
        """Record a declared claim for results.json, whether or not it is selected later."""
        self.run.record_note("claim", claim.id, self.described(claim))
        verdicts = [case for case in cases if case.seed is None]
        for index, case in enumerate(verdicts):
            own = case.model in self.own_checkpoints
            row = dict(
                claim=claim.id, model=case.model, variant=case.variant, index=index, own_checkpoint=own,
                unit=self.unit_of(claim, case.model),
            )  # fmt: skip
            self.run.record_note("row", case.row, row)

    def described(self, claim: Claim) -> dict[str, Any]:
        """The description of a claim in results.json and the ledger, with the hash of its measuring code.

        A claim that was typed into a notebook has no file, and so no such hash.
        """
        file = Path(claim.where.rpartition(":")[0])
        path = file.relative_to(self.root) if file.is_relative_to(self.root) else file
        measure = self._code.measure(path.as_posix(), claim.function) if file.is_file() else ""
        return describe_claim(claim, self.root, measure)

    @cached_property
    def _code(self) -> MeasuredCode:
        return MeasuredCode(reader(self.root, PACKAGE))

    @cached_property
    def witness(self) -> Witness:
        """The witness, which notes the artifacts and code behind measurements."""
        return Witness(self.run, self.root)

    @cached_property
    def machine(self) -> str:
        """The machine, which decides the bits that a recipe gives; see `provenance.machine_of`."""
        return machine_of(
            provenance(self.root) | {"torch_threads": self.run.note("environment", "torch_threads")}
        )

    def artifacts_behind(self, case: Case) -> str:
        """Digest of the bits that the verdict of this case rests on."""
        return self.witness.artifacts_behind(cases_behind(case, self.seeds_by_model, self.resolve))

    @cached_property
    def store(self) -> "Store":
        """The store that --store names."""
        from energylens.store import Store

        return Store(self.options.store)

    @cached_property
    def lab(self) -> Any:
        """The lab of the claims, on a store that notes every artifact it hands out."""
        from energylens.run.store import WitnessedStore

        return self.project.lab(self, WitnessedStore(self.store.url, self.note_artifact))

    def note_artifact(self, recipe: Any) -> None:
        """Record an artifact that a measurement used, for results.json."""
        self.witness.artifact(recipe, self.store)

    def seeds_by_model(self, claim: Claim) -> dict[str, tuple[int, ...]]:
        """The models that this run checks a claim on, with their seeds in order.

        With --model only the user's checkpoints are checked, by every claim about their task. Several networks of a
        name are the seeds; the seeds of a single network are samples of its data, and none if the claim compares
        networks.
        """
        if not self.options.models:
            return {model: claim.seeds_of(model)[: self.options.seeds] for model in claim.models}
        spoken = {self.tasks[model] for model in claim.models} - {""}
        by_model = {}
        for name, recipes in self.own_checkpoints.items():
            if recipes[0].task_name in spoken:
                n = self.samples.get(name, len(recipes))
                alone = name in self.samples
                by_model[name] = tuple(range(0 if alone and unanswerable(claim) else n))[: self.options.seeds]
        return by_model

    def resolve(self, claim_id: str, asked_by: Claim) -> Declared:
        """The claim behind a gate, also when its file was not collected."""
        if claim_id not in self.declared:
            self.declare_rest()
        if claim_id not in self.declared:
            raise DeclarationError(
                f"claim {asked_by.id!r} in {asked_by.where}: its gate {claim_id!r} is not declared anywhere "
                f"in {self.options.claims_folder}: declare it there, or name a folder that holds both"
            )
        return self.declared[claim_id]

    def declare_rest(self) -> None:
        """Register claims of files that were not collected: reports count them, and they may be gates."""
        collected = {Path(found.claim.where.rpartition(":")[0]) for found in self.declared.values()}
        if self.options.claims_folder.is_dir():
            for found in load_claims(self.options.claims_folder, skip=collected).values():
                self.declare(found)

    def check_gates(self) -> None:
        """Check that every gate named by a collected claim, and every claim named by a question, exists.

        Called once, after collection, when the whole catalogue is declared.
        """
        for declared in list(self.declared.values()):
            for gate in declared.claim.gates:
                parts = self.resolve(gate.claim, asked_by=declared.claim).claim.parts
                if len(parts) != 1:
                    raise DeclarationError(f"a gate has one part, but {gate.claim!r} has {list(parts)}")
        if self.options.claims_folder.is_dir():
            for declared in self.declared.values():
                check_answers(questions_beside(declared.body), self.declared)

    @contextmanager
    def one_torch_thread(self) -> Iterator[None]:
        """Context with one torch thread, so that measurements have the same bits in one process and in two."""
        from energylens.lab import Lab

        if not isinstance(self.lab, Lab) and "torch" not in sys.modules:
            yield
            return
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(1)
        self.run.record_note("environment", "torch_threads", torch.get_num_threads())
        try:
            yield
        finally:
            torch.set_num_threads(before)
