"""The state of a run: what a fold of its ledger says."""

from typing import Literal

from pydantic import Field, JsonValue

from stagewright.state.custom_gate import SealedGate
from stagewright.state.forecast import Forecast, ForecastMet
from stagewright.state.holdout import HoldoutScore, HoldoutSeal
from stagewright.state.records import (
    ArtifactSeal,
    Blocked,
    Decision,
    FailureKind,
    GateTally,
    Limits,
    Record,
    SealedData,
    Verdict,
)
from stagewright.state.refusals import NextCall
from stagewright.state.spec.adjustments import Adjustments
from stagewright.state.spec.goal import CHECKPOINTS, Checkpoint
from stagewright.state.tried import Tried, count_tried

__all__ = ["RunState", "SealedStep", "Status", "next_call", "split_step"]

Status = Literal[
    "planned",
    "running",
    "executed",
    "validated",
    "blocked",
    "awaiting_approval",
    "completed",
    "stopped",
]


class SealedStep(Record):
    """A step's newest executed attempt: its artifacts and what it measured."""

    attempt: int
    artifacts: ArtifactSeal
    metrics: dict[str, float]
    elapsed_s: float
    peak_rss_bytes: int
    verdict: Verdict | None = None


class RunState(Record):
    """Everything that decides what may happen next to a run. Made by `transitions.advance` and by nothing else.

    Attributes
    ----------
    tries, failed_as
        Attempts of the present step that failed since the last decision, and as what.
    cells_by_patient
        Cells in scope of each patient, as counted at planning.
    forecast
        The newest: of the next checkpoint, or, once that is opened, of the present one.
    gates_sealed
        The gates that judge the run, as they were when it was planned.
    decisions
        Decisions so far: what belongs to one decision is told by it from what belongs to the next.
    holdout, holdout_score
        What the run keeps of its sealed hold-out, and what the lock-box said at its end.
    tried_before
        What other runs tried on the same data and label, by run. It only ever grows.
    pseudonym_key_id
        Of the key by which patients are named; None where they are named by their ids.
    """

    run_id: str
    objective: str
    parent_run_id: str | None
    spec_sha256: str
    spec_digest: str
    data: SealedData
    limits: Limits
    approvals: tuple[Checkpoint, ...]
    steps: tuple[str, ...]
    cells_by_patient: tuple[int, ...] = ()
    gates_sealed: tuple[SealedGate, ...] = ()
    position: int = 0
    status: Status = "planned"
    attempt: int = 0
    attempt_open: bool = False
    tries: int = 0
    failed_as: tuple[FailureKind, ...] = ()
    decisions: int = 0
    last_completed_step: str | None = None
    sealed: dict[str, SealedStep] = Field(default_factory=dict)
    verdict: Verdict | None = None
    gates: GateTally | None = None
    recommended: Decision | None = None
    recommended_why: str | None = None
    adjustments: Adjustments = Adjustments()
    k_by_method: dict[str, int] = Field(default_factory=dict)
    k_shortlist: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    configurations: tuple[str, ...] = ()
    setting: str = ""
    tried_before: dict[str, Tried] = Field(default_factory=dict)
    looked: bool = False
    runtime_used_s: float = 0.0
    runtime_by_checkpoint: dict[str, float] = Field(default_factory=dict)
    forecast: Forecast | None = None
    forecasts_met: dict[str, ForecastMet] = Field(default_factory=dict)
    peak_rss_bytes: int = 0
    failures: int = 0
    blocked: Blocked | None = None
    last_decision: str | None = None
    holdout: HoldoutSeal | None = None
    holdout_score: HoldoutScore | None = None
    pseudonym_key_id: str | None = None

    @property
    def step(self) -> str:
        """The present step, e.g. ``A/plan0``; the last one when the run is over."""
        return self.steps[min(self.position, len(self.steps) - 1)]

    @property
    def checkpoint(self) -> Checkpoint:
        """The present step's checkpoint."""
        return split_step(self.step)[0]

    @property
    def stage(self) -> str:
        """The present step's stage."""
        return split_step(self.step)[1]

    @property
    def next_checkpoint(self) -> Checkpoint | None:
        """The checkpoint that `continue` would open; None where it leads to another step of this one, or to the end."""
        following = self.steps[self.position + 1 : self.position + 2]
        checkpoint = split_step(following[0])[0] if following else self.checkpoint
        return None if checkpoint == self.checkpoint else checkpoint

    @property
    def forecast_ahead(self) -> Forecast | None:
        """The forecast of the checkpoint that `continue` would open."""
        ahead = self.forecast is not None and self.forecast.checkpoint == self.next_checkpoint
        return self.forecast if ahead else None

    @property
    def configurations_tried(self) -> int:
        """How many configurations were tried on these data and this label, by this run or by another before it."""
        return count_tried(self.tried_before, self.setting, self.configurations)

    @property
    def inherited_configurations(self) -> int:
        """How many of them other runs tried."""
        return count_tried(self.tried_before)

    @property
    def finished(self) -> bool:
        """Whether nothing may happen to this run any more."""
        return self.status in ("completed", "stopped")

    @property
    def on_last_step(self) -> bool:
        """Whether `continue` on the present step completes the run."""
        return self.position + 1 == len(self.steps)

    @property
    def effective_limits(self) -> Limits:
        """The run's limits with the adjustments made so far."""
        changed = {
            "runtime_s": self.adjustments.runtime,
            "memory_bytes": self.adjustments.memory,
            "retries": self.adjustments.retries,
        }
        return self.limits.model_copy(update={name: value for name, value in changed.items() if value is not None})


def split_step(step: str) -> tuple[Checkpoint, str]:
    """Return the checkpoint and the stage of a step.

    >>> split_step("A/plan0")
    ('A', 'plan0')
    """
    letter, _, stage = step.partition("/")
    for checkpoint in CHECKPOINTS:
        if letter == checkpoint:
            return checkpoint, stage
    raise ValueError(f"{step!r} is not checkpoint/stage with checkpoint A, B or C")


def next_call(state: RunState) -> NextCall:
    """Return the call that takes a run on from where it is."""
    tool, arguments, why = _next(state)
    return NextCall(tool=tool, arguments={"run_id": state.run_id} | arguments, why=why)


def _next(state: RunState) -> tuple[str, dict[str, JsonValue], str]:
    found: tuple[str, dict[str, JsonValue], str]
    match state.status:
        case "planned":
            found = ("execute_stage", {}, f"{state.step} is ready to be executed")
        case "running":
            found = ("execute_stage", {}, f"{state.step} is running; the call attaches to it and waits")
        case "executed":
            found = ("validate_stage", {}, f"{state.step} was executed; its gates have to be run before a decision")
        case "validated":
            found = _after_verdict(state)
        case "blocked":
            found = _after_block(state)
        case "awaiting_approval":
            command = f"stagewright approve {state.run_id} --reason ..."
            why = f"a person has to run `{command}` before {state.step}; wait for it"
            found = ("read_state", {"wait_s": 45}, why)
        case "completed" | "stopped":
            why = f"the run is {state.status}; nothing is left to do but to read and report its results"
            found = ("read_state", {"view": "metrics"}, why)
    return found


def _after_verdict(state: RunState) -> tuple[str, dict[str, JsonValue], str]:
    decision = state.recommended or "stop"
    arguments: dict[str, JsonValue] = {"decision": decision, "rationale": "..."}
    if decision == "adjust":
        fits = (
            () if state.forecast_ahead is None or state.verdict not in ("pass", "warn") else state.forecast_ahead.fits
        )
        arguments["adjustments"] = {**fits[0].adjustments} if fits else {}
    return "decide", arguments, state.recommended_why or f"the verdict is {state.verdict}"


def _after_block(state: RunState) -> tuple[str, dict[str, JsonValue], str]:
    arguments: dict[str, JsonValue] = {"decision": "adjust", "rationale": "..."}
    proposals = () if state.blocked is None else state.blocked.proposals
    if proposals:
        first = f"; first {proposals[0].first}" if proposals[0].first else ""
        why = f"{state.step} is blocked; proposal 0: {proposals[0].what}{first}"
        return "decide", arguments | {"proposal": 0}, why
    why = f"{state.step} is blocked; adjust what the error names, or stop"
    if state.blocked is not None and state.blocked.kind in ("runtime_budget", "memory_budget"):
        why = (
            f"{state.step} is blocked, and nothing smaller would fit the operator's caps: ask for higher ones, or stop"
        )
    return "decide", arguments | {"adjustments": {}}, why
