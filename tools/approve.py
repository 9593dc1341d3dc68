"""Record that a person lets a run go on to its next checkpoint. Not a tool: no agent can call it.

What is approved is a report of the run as it stands (`approval_report.py`). The person gives the digest of the one that
was shown; when the run, or a sealed file, has changed since, the approval is void and the new report has to be read.
"""

from dataclasses import dataclass
from pathlib import Path

from stagewright.state.events import Approved
from stagewright.state.receipt import Receipt
from stagewright.state.refresh_manifest import refresh_manifest
from stagewright.state.refusals import NextCall, Refusal
from stagewright.state.run_state import RunState
from stagewright.tools.approval_report import ApprovalReport, approval_report
from stagewright.tools.receipt import write_receipt
from stagewright.tools.workspace import Workspace, not_allowed

__all__ = ["Approval", "approve", "report_to_approve"]

MAX_REASON = 4000
SHORTEST_DIGEST = 12


def report_to_approve(workspace: Workspace, named: str) -> ApprovalReport:
    """Return the report of a run that waits for a person.

    Raises
    ------
    Refusal
        `not_allowed_now` when no checkpoint waits for an approval; `unknown_run`.
    """
    ledger = workspace.ledger(named)
    state = ledger.read()
    _check_waiting(state)
    return approval_report(ledger, state)


@dataclass(frozen=True, slots=True)
class Approval:
    """What an approval came to.

    Attributes
    ----------
    state
        The run's state after it.
    receipt
        The receipt of the run with the approval in it, and the file in the run that holds it; None where the disk did
        not take that.
    """

    state: RunState
    receipt: tuple[Receipt, Path] | None


def approve(workspace: Workspace, named: str, reason: str, digest: str) -> Approval:
    """Commit the approval of the checkpoint that waits for it, and give a receipt of the run with it.

    Parameters
    ----------
    named
        The run.
    reason
        Why, for the record.
    digest
        Of the report that the person was shown, or the first 12 or more of its digits.

    Raises
    ------
    Refusal
        `not_allowed_now` when no checkpoint waits for an approval, or the report is another by now;
        `invalid_argument` without a reason or a digest; `run_locked`; `unknown_run`.
    """
    why, shown = reason.strip(), digest.strip().lower()
    if not 0 < len(why) <= MAX_REASON:
        raise Refusal("invalid_argument", f"--reason: say why, in 1 to {MAX_REASON} characters; it is the record")
    if len(shown) < SHORTEST_DIGEST:
        least = f"at least its first {SHORTEST_DIGEST} digits"
        raise Refusal("invalid_argument", f"--digest: give the digest of the report that you were shown, {least}")
    ledger = workspace.ledger(named)
    with ledger.transition() as transition:
        state = transition.state
        _check_waiting(state)
        report = approval_report(ledger, state)
        if not report.digest.startswith(shown):
            raise Refusal(
                "not_allowed_now",
                f"the report of this run is not the one with digest {shown[:SHORTEST_DIGEST]}...; by now it has digest "
                f"{report.digest}. Nothing was approved. Read it again, then give that digest.",
                status=f"{state.status} at {state.step}",
                run_id=state.run_id,
                next_call=NextCall(
                    tool=None, arguments={}, why=f"stagewright approve {state.run_id} shows the report as it is now"
                ),
            )
        event = Approved(
            message=f"checkpoint {state.checkpoint} approved on report {report.digest[:SHORTEST_DIGEST]}: "
            f"{why.splitlines()[0][:200]}",
            step=state.step,
            actor=workspace.actor,
            checkpoint=state.checkpoint,
            reason=why,
            report_sha256=report.digest,
        )
        fields = event.model_dump(mode="json") | {"report": report.model_dump(mode="json")}
        transition.detail_once("decision", fields)
        after = transition.commit(event)
        refresh_manifest(ledger.run, after)
        seq = ledger.log.head().seq
    return Approval(after, write_receipt(ledger.run, f"{seq:04d}_{event.checkpoint}"))


def _check_waiting(state: RunState) -> None:
    if state.status != "awaiting_approval":
        raise not_allowed(state, f"no checkpoint waits for an approval; {state.step} is {state.status}.")
