"""What a person answered who was asked, at the agent's client, to approve a checkpoint. No argument of a tool.

The question is a report of the run (`approval_report.py`). It is put after a call of `decide(continue)` that found, or
left, the run waiting for an approval; the answer comes with the same call, made again. Between the two nothing is
held: a person may take a day, while the run may be read, stopped, or approved on the command line. Only the door knows
how a client is asked.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from stagewright.state.refusals import LedgerCorrupt, Refusal
from stagewright.state.run_state import next_call
from stagewright.tools.approval_report import ApprovalReport
from stagewright.tools.approve import approve, report_to_approve
from stagewright.tools.budget import budget_of
from stagewright.tools.decide import decide
from stagewright.tools.replies import DecideReply, Reply, Tick
from stagewright.tools.workspace import Workspace

__all__ = ["PersonsAnswer", "decide_as_answered", "report_to_ask_about"]


@dataclass(frozen=True, slots=True)
class PersonsAnswer:
    """What came back from the client.

    Attributes
    ----------
    client
        Where the person was asked, for the record.
    said
        `undecided` where the question was dismissed, or the client answered with what it had not been asked for.
    digest
        Of the report that was shown.
    reason
        Why, for the record; of an approval.
    """

    client: str
    said: Literal["approved", "declined", "undecided"]
    digest: str
    reason: str = ""

    @property
    def actor(self) -> str:
        """Who approved, for the ledger. What is known is the client, which says that a person answered there."""
        return f"person at {self.client}, by elicitation"


def report_to_ask_about(
    workspace: Workspace, name: str, arguments: Mapping[str, Any], outcome: Reply | Refusal
) -> ApprovalReport | None:
    """Return what a person may be asked to approve after a call that ended in `outcome`; None where nothing waits.

    Only `decide(continue)` asks: an agent that goes on, not one that looks, adjusts, or got its words wrong.
    """
    waits = (outcome.status or "").startswith("awaiting_approval")
    wrong = isinstance(outcome, Refusal) and outcome.code != "not_allowed_now"
    if name != "decide" or arguments.get("decision") != "continue" or not waits or wrong or outcome.run_id is None:
        return None
    try:
        return report_to_approve(workspace, outcome.run_id)
    except (Refusal, LedgerCorrupt, OSError):  # approved meanwhile, or damaged: the outcome says all there is to say
        return None


def decide_as_answered(
    workspace: Workspace,
    answer: PersonsAnswer,
    **arguments: Any,  # noqa: ANN401 - those of `decide`, as checked
) -> Iterator[Tick | DecideReply]:
    """Approve as `stagewright approve RUN --digest DIGEST` does, or decide without, and say what the person said.

    Parameters
    ----------
    arguments
        Of the call of `decide` on which the person was asked.

    Yields
    ------
    As `decide`.

    Raises
    ------
    Refusal
        As `approve` where the person approved, `not_allowed_now` among them when the report is another by now; else as
        `decide`.
    """
    if answer.said == "approved":
        by_person = replace(workspace, actor=answer.actor)
        after = approve(by_person, arguments["run_id"], answer.reason, answer.digest).state
        yield DecideReply(
            run_id=after.run_id,
            step=after.step,
            status=after.status,
            summary=f"The {answer.actor}, approved checkpoint {after.checkpoint}; {after.step} is {after.status}.",
            next=next_call(after),
            decision="continue",
            before_first_look=not after.looked,
            budget=budget_of(workspace, after),
        )
        return
    said = "declined" if answer.said == "declined" else "did not decide"
    asked = f"Asked for the approval, the person at {answer.client} {said}; nothing was approved."
    try:
        for item in decide(workspace, **arguments):
            yield item if isinstance(item, Tick) else item.model_copy(update={"summary": f"{item.summary} {asked}"})
    except Refusal as refusal:
        raise Refusal(
            refusal.code,
            f"{refusal.message} {asked}",
            status=refusal.status,
            run_id=refusal.run_id,
            next_call=refusal.next_call,
        ) from refusal
