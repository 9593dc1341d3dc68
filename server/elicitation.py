"""Ask the person at the client to approve a checkpoint, in both eras of the protocol.

A client of 2025-11-25 or older is sent the question in the middle of the call. One of 2026-07-28 gets it as the result
of the call and makes the same call again with the answer; the digest of the report that was shown comes back with it
in the request's state, which the SDK encrypts, and ties to the tool and its arguments. Either way the question does not
go through the model, and no argument of a tool can stand for the answer. A client that shows no forms is not asked.
"""

from typing import Literal

from mcp import MCPError
from mcp.server.elicitation import render_elicitation_schema
from mcp.server.mcpserver import Context
from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from mcp_types.version import is_version_at_least
from pydantic import BaseModel, Field, ValidationError

from stagewright.server.approval_question import approval_question, one_line
from stagewright.tools.approval_report import ApprovalReport
from stagewright.tools.persons_answer import PersonsAnswer

__all__ = ["ANSWER_WITHIN_S", "answer_given", "ask_person", "can_ask"]

ANSWER_WITHIN_S = 24 * 3600.0
"""How long a client of 2026-07-28 may take over a question: the SDK's ten minutes are short for reading a report."""

KEY = "approval"
SINCE_RESULTS_ASK = "2026-07-28"
MAX_CLIENT_BYTES = 100
MAX_WHY = 1000


class ApprovalForm(BaseModel):
    """What the person fills in."""

    approve: bool = Field(title="Approve", description="Yes: the checkpoint begins. No: the run goes on waiting.")
    reason: str = Field(default="", max_length=MAX_WHY, title="Why", description="For the record; may stay empty.")


def can_ask(ctx: Context) -> bool:
    """Return whether the client said that it shows forms; one from before there were modes says only that it asks."""
    said = None if ctx.client_capabilities is None else ctx.client_capabilities.elicitation
    shows_forms = said is not None and (said.form is not None or said.url is None)
    return shows_forms and (_asks_by_result(ctx) or ctx.session.can_send_request)


def answer_given(ctx: Context, client: str) -> PersonsAnswer | None:
    """Return the answer that came with a call of 2026-07-28; None in its first round, and without our question."""
    answer = (ctx.input_responses or {}).get(KEY)
    if ctx.request_state is None or not isinstance(answer, ElicitResult):
        return None
    return _answer(client, ctx.request_state, answer)


async def ask_person(ctx: Context, report: ApprovalReport, client: str) -> PersonsAnswer | InputRequiredResult:
    """Put the question, and return the answer, or the result with which a client of 2026-07-28 is asked."""
    message, form = approval_question(report), render_elicitation_schema(ApprovalForm)
    if _asks_by_result(ctx):
        request = ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=form))
        return InputRequiredResult(input_requests={KEY: request}, request_state=report.digest)
    try:
        answer = await ctx.session.elicit_form(message, form, related_request_id=ctx.request_id)
    except (MCPError, ValidationError):  # it said that it can, and cannot; or what it sent is no answer
        return PersonsAnswer(one_line(client, MAX_CLIENT_BYTES), "undecided", report.digest)
    return _answer(client, report.digest, answer)


def _answer(client: str, digest: str, answer: ElicitResult) -> PersonsAnswer:
    name = one_line(client, MAX_CLIENT_BYTES)
    said: Literal["approved", "declined", "undecided"] = "declined" if answer.action == "decline" else "undecided"
    why = ""
    if answer.action == "accept":
        try:
            form = ApprovalForm.model_validate(answer.content, strict=True)
        except ValidationError:  # not what was asked for, so no answer to it
            return PersonsAnswer(name, "undecided", digest)
        said = "approved" if form.approve else "declined"
        why = form.reason.strip() or f"said yes at {name}"
    return PersonsAnswer(name, said, digest, why)


def _asks_by_result(ctx: Context) -> bool:
    return ctx.protocol_version is not None and is_version_at_least(ctx.protocol_version, SINCE_RESULTS_ASK)
