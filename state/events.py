"""What can happen to a run: one record for each kind of entry in the ledger."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, JsonValue, TypeAdapter

from stagewright.state.chain_line import in_order
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
    Proposal,
    Record,
    SealedData,
    Sha256,
    UnitTally,
    Verdict,
)
from stagewright.state.spec.adjustments import FieldChange
from stagewright.state.spec.adjustments import Label as ChangeLabel
from stagewright.state.spec.goal import Checkpoint
from stagewright.state.tried import Tried

__all__ = [
    "Approved",
    "AttemptFinished",
    "AttemptLost",
    "AttemptStarted",
    "Decided",
    "Event",
    "RunPlanned",
    "StepBlocked",
    "StepValidated",
    "TornTailMoved",
    "as_recorded",
    "parse_event",
]


class _Event(Record):
    """Every event has a sentence for the person who reads the log."""

    message: str
    step: str | None = None
    actor: str = "agent"


class RunPlanned(_Event):
    """The spec was sealed and the run directory made. Always the first entry.

    Attributes
    ----------
    spec
        What spec.yaml declares, so that a change of that file can be told and undone.
    holdout
        What the run keeps of its sealed hold-out.
    cells_by_patient
        Cells in scope of each patient, largest first, to tell how many a checkpoint looks at.
    gates
        The gates that judge the run. One that is gone later is missed.
    manifest_sha256
        Of what run_manifest.yaml keeps from planning to the end (`manifest.digest_planned`).
    setting, tried_before
        In which setting configurations are tried here, and what other runs had tried on the same data and label.
    """

    event: Literal["run_planned"] = "run_planned"
    run_id: str
    objective: str
    steps: tuple[str, ...]
    spec_sha256: Sha256
    spec_digest: Sha256
    plan_sha256: Sha256 | None = None
    manifest_sha256: Sha256 | None = None
    data: SealedData
    limits: Limits
    approvals: tuple[Checkpoint, ...] = ()
    parent_run_id: str | None = None
    spec: dict[str, JsonValue] = Field(default_factory=dict)
    holdout: HoldoutSeal | None = None
    cells_by_patient: tuple[int, ...] = ()
    gates: tuple[SealedGate, ...] = ()
    setting: str = ""
    tried_before: dict[str, Tried] = Field(default_factory=dict)


class AttemptStarted(_Event):
    """An attempt at a step began. A retry is a new attempt. `executor` says where its heavy calls were to run.

    `tried_before` has what other runs tried on the same data and label since the entry that said so last.
    """

    event: Literal["attempt_started"] = "attempt_started"
    attempt: int
    directory: str
    command: tuple[str, ...]
    request_sha256: Sha256
    executor: str = "local"
    tried_before: dict[str, Tried] = Field(default_factory=dict)


class AttemptFinished(_Event):
    """An attempt ended. `will_retry` says that its supervisor goes on with a new attempt, after `retry_in_s`.

    Of an attempt that failed, `units_sha256` seals `units.json`, which vouches for what it left in the cache. `files`
    seals what else it leaves in its folder, by name (`attempts.seal_files`).
    """

    event: Literal["attempt_finished"] = "attempt_finished"
    attempt: int
    outcome: Literal["executed", "failed", "cancelled"]
    exit_status: int | None = None
    elapsed_s: float
    peak_rss_bytes: int
    artifacts: ArtifactSeal | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    k_by_method: dict[str, int] = Field(default_factory=dict)
    k_shortlist: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    configurations: tuple[str, ...] = ()
    units: UnitTally | None = None
    units_sha256: Sha256 | None = None
    failure: FailureKind | None = None
    transient: bool = False
    will_retry: bool = False
    retry_in_s: float | None = None
    blocked: Blocked | None = None
    files: dict[str, Sha256] = Field(default_factory=dict)


class AttemptLost(_Event):
    """An open attempt was found without a living supervisor: power, a kill, a crash of the machine."""

    event: Literal["attempt_lost"] = "attempt_lost"
    attempt: int
    elapsed_s: float = 0.0
    blocked: Blocked | None = None
    files: dict[str, Sha256] = Field(default_factory=dict)


class StepBlocked(_Event):
    """A step that was ready cannot start: the run's budget is used up."""

    event: Literal["step_blocked"] = "step_blocked"
    blocked: Blocked


class StepValidated(_Event):
    """The gates of a step were run on its sealed artifacts.

    Attributes
    ----------
    forecast
        After the last step of a checkpoint: what the next one is expected to take.
    forecast_met
        After the last step of a checkpoint that had a forecast: what became of it.
    """

    event: Literal["step_validated"] = "step_validated"
    attempt: int
    verdict: Verdict
    gates: GateTally
    recommended: Decision
    recommended_why: str
    elapsed_s: float
    forecast: Forecast | None = None
    forecast_met: ForecastMet | None = None


class Decided(_Event):
    """Somebody decided on a step. The ledger follows; it does not say where to: the fold does.

    Attributes
    ----------
    proposal
        The blocked step's proposal that an adjustment applied.
    holdout
        What the lock-box said of the sealed hold-out, where the decision completed the run.
    """

    event: Literal["decided"] = "decided"
    decision: Decision
    rationale: str
    call_digest: Sha256
    adjustments: dict[str, JsonValue] = Field(default_factory=dict)
    changes: tuple[FieldChange, ...] = ()
    label: ChangeLabel | None = None
    proposal: Proposal | None = None
    before_first_look: bool
    k_by_method: dict[str, int] = Field(default_factory=dict)
    holdout: HoldoutScore | None = None


class Approved(_Event):
    """A person let the run go on to the next checkpoint, on a report of the run as it stood.

    `decision.log` has the report beside its digest; an earlier version asked for none.
    """

    event: Literal["approved"] = "approved"
    checkpoint: Checkpoint
    reason: str
    report_sha256: Sha256 | None = None


class TornTailMoved(_Event):
    """A write that a crash cut short was moved aside; it had never been acknowledged."""

    event: Literal["torn_tail_moved"] = "torn_tail_moved"
    bytes: int


Event: TypeAlias = Annotated[
    RunPlanned
    | AttemptStarted
    | AttemptFinished
    | AttemptLost
    | StepBlocked
    | StepValidated
    | Decided
    | Approved
    | TornTailMoved,
    Field(discriminator="event"),
]

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)
_CHAIN_KEYS = frozenset({"at", "seq", "anchors", "prev", "hash"})


def as_recorded(event: Event) -> Event:
    """Return an event as it reads back from the ledger: the same, with the keys of its parts in their order.

    A state that was folded and one that was not are then written alike, byte for byte.

    Raises
    ------
    ValueError
        When it does not read back as it is.
    """
    fields = {name: in_order(value) for name, value in event.model_dump(mode="json", exclude_none=True).items()}
    read_back = parse_event(fields | {"step": event.step})
    if read_back != event:  # such an entry would close the run to everybody
        raise ValueError(f"{event.event} does not read back as it was written: {event!r}")
    return read_back


def parse_event(entry: dict[str, JsonValue]) -> Event:
    """Return the event that an entry of the ledger carries.

    Raises
    ------
    pydantic.ValidationError
        When the entry is no event that this version knows.
    """
    return _ADAPTER.validate_python({key: value for key, value in entry.items() if key not in _CHAIN_KEYS})
