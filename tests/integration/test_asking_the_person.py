"""A checkpoint that waits for an approval, through a real server, at clients that can and cannot ask their person."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.types import (
    CallToolResult,
    ElicitRequestFormParams,
    ElicitResult,
    ErrorData,
    Implementation,
    InputRequiredResult,
    InputResponses,
    TextContent,
)

from stagewright.state.canonical import digest_json
from stagewright.state.ledger import Ledger
from stagewright.state.refusals import Refusal
from stagewright.tools import Workspace
from stagewright.tools.approve import report_to_approve

ERAS = ["legacy", "2026-07-28"]
YES = ElicitResult(action="accept", content={"approve": True, "reason": "the smoke looks sound"})
NO = ElicitResult(action="accept", content={"approve": False})
DECLINED = ElicitResult(action="decline")
CANCELLED = ElicitResult(action="cancel")
BESIDE = ElicitResult(action="accept", content={"approve": "perhaps"})

pytestmark = pytest.mark.usefixtures("look_here")


class Person:
    """Somebody at a client, who sees each question and gives one answer after the other."""

    def __init__(self, *answers: ElicitResult | ErrorData, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.answers = list(answers)
        self.meanwhile = meanwhile
        self.questions: list[ElicitRequestFormParams] = []

    async def __call__(self, _: object, asked: Any) -> ElicitResult | ErrorData:  # noqa: ANN401 - of either mode
        """Read the question, take some time, and answer."""
        assert isinstance(asked, ElicitRequestFormParams)
        self.questions.append(asked)
        self.meanwhile()
        return self.answers.pop(0)

    @property
    def options(self) -> dict[str, Any]:
        """What makes a client one at which this person sits."""
        return {"elicitation_callback": self, "client_info": Implementation(name="desk", version="1")}


def continues(run_id: str) -> dict[str, str]:
    return {"run_id": run_id, "decision": "continue", "rationale": "the gates passed"}


def said(result: CallToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


def entries(workspace: Workspace, run_id: str, log: str) -> list[dict[str, Any]]:
    path = workspace.run(run_id).log(log)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("mode", ERAS)
def test_a_person_who_says_yes_opens_the_checkpoint(
    speak: Callable[..., Any], plan: Callable[..., str], workspace: Workspace, mode: str
) -> None:
    """The question is short and names the report; the ledger has what `stagewright approve` commits, and where from."""
    run_id = plan("ok", approvals=["A"])
    run = workspace.run(run_id)
    shown = report_to_approve(workspace, run_id)
    seen = []

    def somebody_else_comes() -> None:
        with Ledger(run).transition() as transition:  # the run's lock is free while the person reads
            seen.append(transition.state.status)

    person = Person(YES, meanwhile=somebody_else_comes)

    async def script(client: Client) -> CallToolResult:
        return await client.call_tool("decide", continues(run_id))

    result = speak(mode, script, **person.options)
    assert not result.is_error, said(result)
    assert result.structured_content["status"] == "planned"
    assert result.structured_content["next"]["tool"] == "execute_stage"
    assert seen == ["awaiting_approval"]
    (question,) = person.questions
    assert len(question.message.encode()) < 2048
    for fact in (run_id, "checkpoint A", shown.objective, shown.digest, "0 configurations tried", "holds together"):
        assert fact in question.message
    assert question.requested_schema["properties"]["approve"]["type"] == "boolean"
    assert question.requested_schema["required"] == ["approve"]

    last = entries(workspace, run_id, "agent_run")[-1]
    assert (last["event"], last["actor"]) == ("approved", "person at desk, by elicitation")
    assert (last["report_sha256"], last["reason"]) == (shown.digest, "the smoke looks sound")
    assert last["message"] == f"checkpoint A approved on report {shown.digest[:12]}: the smoke looks sound"
    kept = entries(workspace, run_id, "decision")[-1]
    assert digest_json(kept["report"]) == shown.digest
    first, second = entries(workspace, run_id, "tool_calls")[-2:]
    assert first["refusal"]["status"] == "awaiting_approval at A/ok"
    assert (second["reply"]["status"], second["person"]["said"]) == ("planned", "approved")
    assert second["arguments"] == first["arguments"] == continues(run_id)


@pytest.mark.parametrize("mode", ERAS)
def test_whatever_is_not_yes_opens_nothing(
    speak: Callable[..., Any], plan: Callable[..., str], workspace: Workspace, mode: str
) -> None:
    """No, a refusal to answer, a dismissed question, an answer that is none: the refusal stands, and says which."""
    run_id = plan("ok", approvals=["A"])
    before = entries(workspace, run_id, "agent_run")
    expected = ["declined", "declined", "undecided", "undecided"]
    person = Person(NO, DECLINED, CANCELLED, BESIDE)
    if mode == "legacy":  # in the other era a client that fails makes no second call
        person.answers.append(ErrorData(code=-32603, message="the window broke"))
        expected.append("undecided")

    async def script(client: Client) -> list[CallToolResult]:
        return [await client.call_tool("decide", continues(run_id)) for _ in expected]

    results = speak(mode, script, **person.options)
    for result, kind in zip(results, expected, strict=True):
        words = "the person at desk " + {"declined": "declined", "undecided": "did not decide"}[kind]
        assert result.is_error
        assert words in said(result)
        assert "continue needs a validated step, and A/ok is awaiting_approval" in said(result)
        assert f"stagewright approve {run_id}" in said(result)
    assert entries(workspace, run_id, "agent_run") == before
    assert entries(workspace, run_id, "decision") == []
    answers = [entry["person"]["said"] for entry in entries(workspace, run_id, "tool_calls") if "person" in entry]
    assert answers == expected


@pytest.mark.parametrize("mode", ERAS)
def test_a_client_that_shows_no_forms_gets_the_refusal(
    speak: Callable[..., Any], plan: Callable[..., str], call: Callable[..., Any], workspace: Workspace, mode: str
) -> None:
    """Without the capability nobody is asked, and the text is that of any other door."""
    run_id = plan("ok", approvals=["A"])
    with pytest.raises(Refusal) as caught:
        call("decide", **continues(run_id))

    async def script(client: Client) -> CallToolResult:
        return await client.call_tool("decide", continues(run_id))

    result = speak(mode, script)
    assert result.is_error
    assert said(result) == str(caught.value)
    assert not any("person" in entry for entry in entries(workspace, run_id, "tool_calls"))


@pytest.mark.parametrize("mode", ERAS)
def test_the_decision_that_leads_to_the_wait_asks_at_once(
    speak: Callable[..., Any], plan: Callable[..., str], workspace: Workspace, mode: str
) -> None:
    """It is recorded whatever the person says; made again after a no, it is recorded once and the person is asked."""
    run_id = plan("ok", approvals=["B"])
    person = Person(DECLINED, YES)

    async def script(client: Client) -> tuple[CallToolResult, CallToolResult]:
        for tool in ("execute_stage", "validate_stage"):
            assert not (await client.call_tool(tool, {"run_id": run_id})).is_error
        decided = await client.call_tool("decide", continues(run_id))
        return decided, await client.call_tool("decide", continues(run_id))

    decided, again = speak(mode, script, **person.options)
    assert not decided.is_error
    assert decided.structured_content["status"] == "awaiting_approval"
    assert "the person at desk declined" in decided.structured_content["summary"]
    assert "Gates: A/ok pass (" in person.questions[0].message
    assert (again.structured_content["status"], again.structured_content["step"]) == ("planned", "B/ok")
    kinds = [entry["event"] for entry in entries(workspace, run_id, "agent_run")]
    assert kinds[-2:] == ["decided", "approved"]


@pytest.mark.parametrize("mode", ERAS)
def test_yes_to_a_report_that_changed_since_is_void(
    speak: Callable[..., Any], plan: Callable[..., str], workspace: Workspace, mode: str
) -> None:
    """What was shown is what is approved: a plan that somebody edits while the person reads is another report."""
    run_id = plan("ok", approvals=["A"])
    plan_file = workspace.run(run_id).plan
    person = Person(YES, meanwhile=lambda: plan_file.write_text(plan_file.read_text() + "All is well.\n"))

    async def script(client: Client) -> CallToolResult:
        return await client.call_tool("decide", continues(run_id))

    result = speak(mode, script, **person.options)
    assert result.is_error
    assert "Nothing was approved" in said(result)
    assert report_to_approve(workspace, run_id).digest in said(result)
    assert [entry["event"] for entry in entries(workspace, run_id, "agent_run")] == ["run_planned"]


def test_an_agent_cannot_answer_for_the_person(
    speak: Callable[..., Any], plan: Callable[..., str], workspace: Workspace
) -> None:
    """No argument does, nor an answer to a question that was not put, put in another call, or made up."""
    run_id = plan("ok", approvals=["A"])
    asked, other = continues(run_id), continues(run_id) | {"rationale": "another call"}
    answer: InputResponses = {"approval": YES}
    to_another_question: InputResponses = {"x": YES}

    async def script(client: Client) -> None:
        for argument in ("approve", "approval", "digest", "person", "answer"):
            result = await client.call_tool("decide", asked | {argument: "yes"})
            assert "Refused (unknown_argument)" in said(result)
        call = client.session.call_tool
        unasked = await call("decide", asked, input_responses=answer, allow_input_required=True)
        assert isinstance(unasked, InputRequiredResult), "an answer without a question is none"
        assert unasked.request_state is not None
        made_up = report_to_approve(workspace, run_id).digest
        for arguments, state in ((asked, made_up), (other, unasked.request_state)):
            with pytest.raises(MCPError, match="requestState"):
                await call("decide", arguments, input_responses=answer, request_state=state, allow_input_required=True)
        beside = await call(
            "decide",
            asked,
            input_responses=to_another_question,
            request_state=unasked.request_state,
            allow_input_required=True,
        )
        assert isinstance(beside, InputRequiredResult), "an answer to another question is none to this one"

    speak("2026-07-28", script, **Person().options)
    assert [entry["event"] for entry in entries(workspace, run_id, "agent_run")] == ["run_planned"]
