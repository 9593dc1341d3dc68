"""The whole loop through a real server process, in both eras of the protocol."""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp import Client
from mcp.types import CallToolResult, TextContent, Tool

from stagewright.tools import Workspace

ERAS = {"legacy": "2025-11-25", "auto": "2026-07-28"}
Speak = Callable[[str, Callable[[Client], Awaitable[Any]]], Any]
Declare = Callable[..., dict[str, Any]]


def text_of(result: CallToolResult) -> str:
    """Return the readable text of a result."""
    return "\n".join(part.text for part in result.content if isinstance(part, TextContent))


class Checked:
    """Calls whose results are checked against the tools' own schemas, and whose sizes are kept."""

    def __init__(self, client: Client, tools: list[Tool]) -> None:
        self.client = client
        self.tools = {tool.name: tool for tool in tools}
        self.sizes: dict[str, int] = {}

    async def __call__(self, name: str, **arguments: object) -> dict[str, Any]:
        """Make a call and return its structured content."""
        Draft202012Validator(self.tools[name].input_schema).validate(arguments)
        result = await self.client.call_tool(name, arguments)
        text = text_of(result)
        assert not result.is_error, text
        structured = result.structured_content
        assert isinstance(structured, dict), name
        schema = self.tools[name].output_schema
        assert schema is not None, name
        Draft202012Validator(schema).validate(structured)
        same_facts(structured, text)
        self.sizes[name] = max(self.sizes.get(name, 0), len(text.encode()), len(json.dumps(structured).encode()))
        return structured


def same_facts(structured: object, text: str) -> None:
    """Assert that every number, word and key of the structured content stands in the text."""
    joined = re.sub(r"\s+", " ", text)
    for fact in facts(structured):
        assert re.sub(r"\s+", " ", fact) in joined, fact


def facts(value: object) -> list[str]:
    """Return the leaves of a reply as YAML or the call of `next` would write them."""
    if isinstance(value, dict):
        return [fact for inner in value.values() for fact in facts(inner)]
    if isinstance(value, list):
        return [fact for inner in value for fact in facts(inner)]
    if isinstance(value, bool) or value is None:
        return []
    return [str(value).replace("'", "''") if ": " in str(value) and "'" in str(value) else str(value)]


@pytest.mark.parametrize("mode", ERAS)
def test_a_study_from_plan_to_completed(speak: Speak, declare: Declare, workspace: Workspace, mode: str) -> None:
    """An agent that follows `next` finishes a study; each reply validates, says the same twice, and is short."""

    async def script(client: Client) -> dict[str, Any]:
        assert client.protocol_version == ERAS[mode]
        call = Checked(client, (await client.list_tools()).tools)
        reply = await call("read_state")
        assert reply["next"]["tool"] == "plan_run"
        reply = await call("plan_run", spec=declare("ok"))
        called = []
        while reply["status"] != "completed":
            tool, arguments = reply["next"]["tool"], reply["next"]["arguments"]
            if "rationale" in arguments:
                arguments["rationale"] = "the gates passed"
            called.append(tool)
            assert len(called) < 20
            reply = await call(tool, **arguments)
        assert called == ["execute_stage", "validate_stage", "decide"] * 3
        for view in ("summary", "runs", "logs", "metrics", "artifacts", "gates", "spec", "trials"):
            await call("read_state", run_id=reply["run_id"], view=view)
        assert max(call.sizes.values()) < 4000, call.sizes
        return reply

    reply = speak(mode, script)
    log = workspace.root / "experiments" / reply["run_id"] / "logs" / "tool_calls.log"
    clients = [json.loads(line)["client"] for line in log.read_text(encoding="utf-8").splitlines()]
    assert {client["protocol"] for client in clients} == {ERAS[mode]}
    assert all(client["name"] == "mcp" for client in clients)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_refusals_are_tool_errors_that_a_model_can_read(speak: Speak, declare: Declare, mode: str) -> None:
    """Text and structured content both say what was wrong and what to call; unknown arguments are not passed over."""

    async def script(client: Client) -> None:
        planned = (await client.call_tool("plan_run", {"spec": declare("ok")})).structured_content
        assert planned is not None
        run_id = planned["run_id"]
        for tool, arguments, code, says in (
            ("validate_stage", {"run_id": run_id}, "not_allowed_now", f"Next: execute_stage(run_id='{run_id}')"),
            ("execute_stage", {"run_id": run_id, "skip_gates": True}, "unknown_argument", "skip_gates: unknown key"),
            ("execute_stage", {"run_id": run_id, "wait_s": "soon"}, "invalid_argument", "wait_s: got 'soon'"),
            ("execute_stage", {}, "invalid_argument", "run_id: missing"),
            ("read_state", {"run_id": "nothing"}, "unknown_run", f"the newest are: {run_id}"),
            ("plan_run", {"spec": "/etc/passwd"}, "outside_root", "allowed: paths under"),
            ("plan_run", {"spec": {"objective": "x"}}, "invalid_spec", "data: missing; this key is required"),
            ("plan_run", {"spec": {"objective": 10**30}}, "invalid_argument", "integers below 2**53"),
        ):
            result = await client.call_tool(tool, arguments)
            assert result.is_error, tool
            assert says in text_of(result)
            assert f"Refused ({code})" in text_of(result)
            assert result.structured_content is not None
            assert result.structured_content["refused"] == code
        assert (await client.call_tool("read_state", {"run_id": run_id})).structured_content["status"] == "planned"  # type: ignore[index]  # asserted above for its like

    speak(mode, script)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
@pytest.mark.usefixtures("look_here")
@pytest.mark.usefixtures("look_here")
def test_progress_arrives_while_a_call_waits(
    speak: Speak, plan: Callable[..., str], workspace: Workspace, mode: str
) -> None:
    """A client that shows or needs signs of life gets one about each second, which grow and name the unit at work."""
    run_id = plan("waits")

    async def script(client: Client) -> list[tuple[float, float | None, str | None]]:
        signs: list[tuple[float, float | None, str | None]] = []

        async def shown(progress: float, total: float | None, message: str | None) -> None:
            signs.append((progress, total, message))

        arguments = {"run_id": run_id, "wait_s": 1.5}
        result = await client.call_tool("execute_stage", arguments, progress_callback=shown)
        assert result.structured_content is not None
        assert result.structured_content["status"] == "running"
        assert 1 <= len(signs) <= 3
        signs.clear()

        async def let_go(progress: float, total: float | None, message: str | None) -> None:
            await shown(progress, total, message)
            if sum(" at work: waits (" in (text or "") for _, _, text in signs) == 3:
                (workspace.root / "go").touch()

        result = await client.call_tool("execute_stage", {"run_id": run_id}, progress_callback=let_go)
        assert result.structured_content is not None
        assert result.structured_content["status"] == "executed"
        return signs

    signs = speak(mode, script)
    counts = [progress for progress, _, _ in signs]
    assert counts == sorted(set(counts))  # the protocol wants each above the one before
    assert 0 <= counts[0] < counts[-1] < 1
    _, total, message = signs[-1]
    assert total == 1
    assert message is not None
    assert message.startswith("A/waits is running: 0 of 1 units done, at work: waits (")


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_tools_are_few_and_small(speak: Speak, mode: str) -> None:
    """Names, descriptions and input schemas under 6 KB, the whole list under 20 KB; annotations are true."""

    async def script(client: Client) -> tuple[list[Tool], str | None]:
        return (await client.list_tools()).tools, client.instructions

    tools, instructions = speak(mode, script)
    assert [tool.name for tool in tools] == ["plan_run", "execute_stage", "validate_stage", "decide", "read_state"]
    small = [{"name": tool.name, "description": tool.description, "inputSchema": tool.input_schema} for tool in tools]
    assert len(json.dumps(small).encode()) < 6 * 1024
    whole = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    assert len(json.dumps(whole).encode()) < 20 * 1024
    assert instructions is not None
    assert "execute_stage -> validate_stage -> decide" in instructions
    hints = {tool.name: tool.annotations for tool in tools}
    assert {name for name, hint in hints.items() if hint.read_only_hint} == {"read_state"}
    assert {name for name, hint in hints.items() if hint.destructive_hint} == {"decide"}
    for tool in tools:
        Draft202012Validator.check_schema(tool.input_schema)
        Draft202012Validator.check_schema(tool.output_schema)
        assert tool.input_schema.get("additionalProperties") is False, tool.name
        assert all(
            "description" in one or "enum" in one or "default" in one
            for one in tool.input_schema["properties"].values()
        )
