"""What a person approves: a report of the run as it stands, and the digest that names it."""

from stagewright.state.canonical import digest_json
from stagewright.state.events import Decided, StepValidated, parse_event
from stagewright.state.ledger import Ledger
from stagewright.state.records import Limits, Record, Sha256
from stagewright.state.run_state import RunState
from stagewright.tools.best_result import best_result
from stagewright.tools.verify_run import verify_run

__all__ = ["ApprovalReport", "StepEvidence", "approval_report"]

SHOWN_PROBLEMS = 10


class StepEvidence(Record):
    """One step that was executed: its newest verdict, the findings that were no pass, and the seal of its artifacts."""

    step: str
    attempt: int
    verdict: str
    passed: int = 0
    warned: int = 0
    failed: int = 0
    errors: int = 0
    findings: tuple[str, ...] = ()
    outcome_sha256: Sha256


class ApprovalReport(Record):
    """A run at the moment at which it waits for a person.

    Attributes
    ----------
    checkpoint
        What the approval opens.
    ledger_seq, ledger_head
        The last entry of the ledger and its hash, which stand for all that was recorded before.
    best, metrics
        The best configuration of the newest step that scored some, and its metrics.
    configurations
        How many were tried so far, those of attempts that were adjusted away too.
    adjustments, loosened_after_look
        Decisions to adjust, and those of them that loosened the study after pilot scores had been seen.
    forecast
        What the checkpoint is expected to take.
    put_aside
        Patients of a sealed hold-out; 0 without one.
    problems
        What `stagewright verify` finds wrong with the record and the sealed files.
    """

    run_id: str
    objective: str
    checkpoint: str
    ledger_seq: int
    ledger_head: str
    spec_sha256: Sha256
    data_sha256: Sha256
    steps: tuple[StepEvidence, ...]
    best_step: str | None
    best: str | None
    metrics: dict[str, float]
    configurations: int
    adjustments: int
    loosened_after_look: int
    runtime_used_s: float
    peak_rss_bytes: int
    failures: int
    limits: Limits
    forecast: str | None
    put_aside: int
    problems: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The sha256 over the report in canonical JSON."""
        return digest_json(self.model_dump(mode="json"))


def approval_report(ledger: Ledger, state: RunState) -> ApprovalReport:
    """Return the report of a run as it stands: the same for the same record and the same files."""
    events = [parse_event(entry) for entry in ledger.log.entries()]
    judged = {event.step: event for event in events if isinstance(event, StepValidated)}
    adjusted = [event for event in events if isinstance(event, Decided) and event.decision == "adjust"]
    head = ledger.log.head()
    best = best_result(ledger.run, state)
    return ApprovalReport(
        run_id=state.run_id,
        objective=state.objective,
        checkpoint=state.checkpoint,
        ledger_seq=head.seq,
        ledger_head=head.hash,
        spec_sha256=state.spec_sha256,
        data_sha256=state.data.sha256,
        steps=tuple(_evidence(state, step, judged.get(step)) for step in state.steps if step in state.sealed),
        best_step=None if best is None else best.step,
        best=None if best is None else best.configuration,
        metrics={} if best is None else best.metrics,
        configurations=len(state.configurations),
        adjustments=len(adjusted),
        loosened_after_look=sum(event.label == "loosens" and not event.before_first_look for event in adjusted),
        runtime_used_s=round(state.runtime_used_s, 3),
        peak_rss_bytes=state.peak_rss_bytes,
        failures=state.failures,
        limits=state.effective_limits,
        forecast=state.forecast.said() if state.forecast and state.forecast.checkpoint == state.checkpoint else None,
        put_aside=0 if state.holdout is None else state.holdout.n_patients,
        problems=tuple(str(problem) for problem in verify_run(ledger.run)[:SHOWN_PROBLEMS]),
    )


def _evidence(state: RunState, step: str, judged: StepValidated | None) -> StepEvidence:
    sealed = state.sealed[step]
    tally = None if judged is None or judged.attempt != sealed.attempt else judged.gates
    found = () if tally is None else tuple(item for item in tally.worst if item.severity != "pass")
    return StepEvidence(
        step=step,
        attempt=sealed.attempt,
        verdict=sealed.verdict or "not validated",
        passed=0 if tally is None else tally.passed,
        warned=0 if tally is None else tally.warned,
        failed=0 if tally is None else tally.failed,
        errors=0 if tally is None else tally.errors,
        findings=tuple(f"{item.severity}: {item.gate}: {item.subject}: {item.measured}" for item in found),
        outcome_sha256=sealed.artifacts.outcome_sha256,
    )
