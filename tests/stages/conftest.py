"""A small study on the built-in cohort whose steps run in this process, through the worker's own function."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stagewright.gates.__main__ import run_gates
from stagewright.gates.protocol import Finding, GateRequest
from stagewright.stages.cohort.generate import generate_cohort
from stagewright.stages.worker import run_stage
from stagewright.stages.workload import Workload
from stagewright.state.artifacts import Outcome, UnitRecord, read_outcome, seal
from stagewright.state.attempts import open_attempt
from stagewright.state.canonical import digest_file
from stagewright.state.publishing import publish
from stagewright.state.records import ArtifactSeal, Limits, SealedData
from stagewright.state.run_directory import RunDirectory
from stagewright.state.spec import Adjustments, effective_study, parse_spec
from stagewright.state.step_request import CommandStage, StepRequest

LIMITS = Limits(runtime_s=600, memory_bytes=2**32, retries=0)
SPEC: dict[str, Any] = {
    "objective": "test",
    "data": {
        "path": "cohort.h5ad",
        "patient": "patient",
        "label": {"column": "CN.label", "positive": "cancer", "negative": "normal"},
    },
    "preprocess": [{"method": "all_filtered", "min_cells_fraction": 0.02}],
    "reduction": {"methods": ["pca", "fa"], "k": [3, 4], "seeds": [1, 2]},
    "classifier": {"alphas": [0.1, 1.0], "cv": {"folds": 3, "repeats": 2}},
    "checkpoints": {"A": {"cells_per_patient": 40}, "B": {"cells_per_patient": 1000}},
}


@dataclass
class SmallStudy:
    """A run whose steps are executed one by one.

    Attributes
    ----------
    sealed
        The newest sealed outcome of each step.
    """

    run: Path
    data: SealedData
    attempts: int = 0
    sealed: dict[str, ArtifactSeal] = field(default_factory=dict)
    k_by_method: dict[str, int] = field(default_factory=dict)

    def request(self, step: str, *, adjust: dict[str, Any] | None = None, **changes: object) -> StepRequest:
        """Return the request of the next attempt at a step, with adjustments of the spec and changes to its fields."""
        self.attempts += 1
        spec = parse_spec(SPEC)
        earlier = {name: sealed for name, sealed in self.sealed.items() if name[0] == step[0] and name < step}
        return StepRequest.model_validate(
            {
                "run_id": self.run.name,
                "step": step,
                "attempt": self.attempts,
                "data": self.data,
                "scope": spec.data,
                "study": effective_study(spec, Adjustments.model_validate(adjust or {}), step[0]),  # type: ignore[arg-type]
                "k_by_method": self.k_by_method,
                "upstream": earlier,
                "limits": LIMITS,
                "caps": LIMITS,
                "workers": 1,
            }
            | changes,
        )

    def work(self, request: StepRequest) -> Outcome:
        """Do a request's work as the worker does, and publish it as the supervisor does."""
        folder, _ = open_attempt(RunDirectory(self.run), request)
        outcome = run_stage(folder, request, Workload())
        others = [sealed for step, sealed in self.sealed.items() if step != request.step]
        kept = [item.path for sealed in others for item in read_outcome(self.run, sealed).artifacts]
        self.sealed[request.step] = publish(self.run, folder, outcome, kept=kept)
        self.k_by_method = outcome.k_by_method or self.k_by_method
        return outcome

    def execute(self, step: str, *, adjust: dict[str, Any] | None = None, **changes: object) -> Outcome:
        """Execute a step and return its outcome."""
        return self.work(self.request(step, adjust=adjust, **changes))

    def attempt(self, step: str) -> Path:
        """Return the folder of the newest attempt at a step."""
        return RunDirectory(self.run).attempt(self.attempts, step)

    def judge(self, step: str, outcome: Outcome | None = None) -> list[Finding]:
        """Run the gates on the newest attempt at a step; on a forged outcome, if one is given."""
        folder = self.attempt(step)
        if outcome is not None:
            listing = folder / "outcome.json"
            listing.write_text(outcome.model_dump_json(exclude_none=True), encoding="utf-8")
            self.sealed[step] = seal(self.run, listing, outcome)
        return [*run_gates(self.question(step))]

    def question(self, step: str) -> GateRequest:
        """Return what the gates are asked about the newest attempt at a step."""
        folder = self.attempt(step)
        return GateRequest(
            run=str(self.run),
            step=step,
            attempt=self.attempts,
            request=(folder / "request.json").relative_to(self.run).as_posix(),
            request_sha256=digest_file(folder / "request.json"),
            artifacts=self.sealed[step],
            runtime_used_s=1.0,
            peak_rss_bytes=1,
            limits=LIMITS,
            sealed_elsewhere=tuple(
                item.path
                for name, sealed in self.sealed.items()
                if name != step
                for item in read_outcome(self.run, sealed).artifacts
            ),
        )

    def command(self, step: str, code: str, **changes: object) -> StepRequest:
        """Return a request of a command stage that runs Python code."""
        argv = ("{python}", "-I", "-S", "-c", code)
        fields: dict[str, Any] = {"command": CommandStage(argv=argv)} | changes
        return self.request(step, **fields)


@pytest.fixture(scope="session")
def built_in(tmp_path_factory: pytest.TempPathFactory) -> SealedData:
    """Write a small built-in cohort and return what a run seals of it."""
    path = tmp_path_factory.mktemp("built_in") / "cohort.h5ad"
    generate_cohort(path, seed=5, n_patients=8, cells_per_patient=60, n_genes=300)
    return SealedData(path=str(path), bytes=path.stat().st_size, sha256=digest_file(path))


@pytest.fixture(scope="session")
def study_at(built_in: SealedData) -> Callable[[Path], SmallStudy]:
    """Return a function that makes a study in a folder, for fixtures that outlive one test."""

    def made(folder: Path) -> SmallStudy:
        run = folder / "run"
        run.mkdir(parents=True)
        return SmallStudy(run, built_in)

    return made


@pytest.fixture
def new_study(tmp_path: Path, built_in: SealedData) -> Callable[[str], SmallStudy]:
    """Return a function that makes a study in an empty run directory of some name."""

    def made(name: str) -> SmallStudy:
        # Only the last folder's name reaches the results, as the run's id.
        run = tmp_path / name / "run"
        run.mkdir(parents=True)
        return SmallStudy(run, built_in)

    return made


@pytest.fixture(scope="module")
def kept_study(tmp_path_factory: pytest.TempPathFactory, built_in: SealedData) -> SmallStudy:
    """Return a study in an empty run directory that the tests of one file share."""
    run = tmp_path_factory.mktemp("kept") / "run"
    run.mkdir()
    return SmallStudy(run, built_in)


@pytest.fixture
def study(new_study: Callable[[str], SmallStudy]) -> SmallStudy:
    """Return a study in an empty run directory."""
    return new_study("study")


@pytest.fixture
def how() -> Callable[[Outcome], dict[str, str]]:
    """Return a function that says how each unit of an outcome was done."""

    def by_name(outcome: Outcome) -> dict[str, str]:
        return {unit.name: unit.how for unit in outcome.units}

    return by_name


@pytest.fixture
def unit_of() -> Callable[[Outcome, str], UnitRecord]:
    """Return a function that gives the record of one unit of an outcome."""

    def found(outcome: Outcome, name: str) -> UnitRecord:
        return next(unit for unit in outcome.units if unit.name == name)

    return found


@pytest.fixture
def digests() -> Callable[[Outcome], dict[str, str]]:
    """Return a function that gives the sha256 of each artifact of an outcome, by path."""

    def by_path(outcome: Outcome) -> dict[str, str]:
        return {item.path: item.sha256 for item in outcome.artifacts}

    return by_path
