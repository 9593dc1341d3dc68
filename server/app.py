"""The MCP server: five tools over the plain functions of `tools`. Beside `elicitation.py` the only one to import `mcp`.

The functions are plain and know no protocol. Here each becomes an MCP tool with the same arguments: its call is driven
from the event loop, so that a client's cancel ends the wait and never the stage, and its signs of life become progress
notifications. Every fact of a reply stands in the structured content and in the text: clients show their model one of
the two. A refusal is a tool error, of which a model sees the text. Where a decision waits for an approval, the person
at the client is asked, and the same call made again with the answer.
"""

import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any, get_args

import anyio
import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension
from mcp.server.mcpserver import Context, RequestStateSecurity
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    TextContent,
    Tool,
    ToolAnnotations,
)

from stagewright import __version__
from stagewright.server.elicitation import ANSWER_WITHIN_S, answer_given, ask_person, can_ask
from stagewright.server.instructions import DESCRIPTIONS, INSTRUCTIONS
from stagewright.state.refusals import NextCall, Refusal
from stagewright.tools import TOOLS, Caller, Reply, Tick, Workspace, call_tool
from stagewright.tools.arguments import parameters_of
from stagewright.tools.call import refuse_bad_arguments
from stagewright.tools.persons_answer import report_to_ask_about

__all__ = ["make_server"]

POLL_S = 0.1
NOTIFY_EVERY_S = 1.0
STEP = 1e-4


def _hints(*, reads: bool = False, destroys: bool = False, repeats: bool = True) -> ToolAnnotations:
    """Return what a client may tell its user of a tool. No tool reaches beyond this machine."""
    return ToolAnnotations(
        read_only_hint=reads,
        destructive_hint=destroys,
        idempotent_hint=repeats,
        open_world_hint=False,
    )


ANNOTATIONS = {
    "plan_run": _hints(repeats=False),  # once the run has started, the same spec plans another
    "execute_stage": _hints(),
    "validate_stage": _hints(),
    "decide": _hints(destroys=True),  # stop ends a run for good, and adjust replaces a step's results
    "read_state": _hints(reads=True),
}


def make_server(workspace: Workspace) -> MCPServer[None]:
    """Return the server for a workspace; `run()` serves it over stdio."""
    server = _Server(
        name="stagewright",
        title="Stagewright",
        version=__version__,
        instructions=INSTRUCTIONS,
        extensions=[_StrictArguments(workspace)],
        request_state_security=RequestStateSecurity.ephemeral(ttl=ANSWER_WITHIN_S),
        log_level="WARNING",
    )
    for name in TOOLS:
        server.add_tool(
            _as_mcp_tool(workspace, name),
            name=name,
            description=DESCRIPTIONS[name],
            annotations=ANNOTATIONS[name],
        )
    return server


class _Server(MCPServer[None]):
    """The SDK's server, with schemas that say what `_StrictArguments` does: no other arguments than these."""

    async def list_tools(self) -> list[Tool]:
        """Return the tools as clients see them."""
        tools = await super().list_tools()
        return [
            tool.model_copy(
                update={
                    "input_schema": tool.input_schema | {"additionalProperties": False},
                    "output_schema": _without_titles(tool.output_schema),
                },
            )
            for tool in tools
        ]


def _without_titles(schema: Any) -> Any:  # noqa: ANN401 - JSON, as the schema library gives it
    """Return a schema without the titles that repeat its names, and with the first line of each description."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
    if isinstance(kept.get("description"), str):
        kept["description"] = kept["description"].split("\n")[0]
    return {key: _without_titles(value) for key, value in kept.items()}


class _StrictArguments(Extension):
    """Refuse a call whose arguments the tool does not have, which the SDK would silently pass over."""

    identifier = "io.stagewright/strict-arguments"

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def intercept_tool_call(
        self,
        params: CallToolRequestParams,
        ctx: ServerRequestContext[Any, Any],
        call_next: CallNext,
    ) -> HandlerResult:
        """Check the names and values of the arguments before anything else looks at them."""
        try:
            refuse_bad_arguments(self._workspace, params.name, params.arguments or {}, _caller(ctx))
        except Refusal as refusal:
            return _refused(refusal)
        return await call_next(ctx)


def _as_mcp_tool(workspace: Workspace, name: str) -> Callable[..., Awaitable[CallToolResult | InputRequiredResult]]:
    """Return an async function with the arguments of the plain tool, and the schema of its reply."""

    async def tool(
        ctx: Context,
        **arguments: Any,  # noqa: ANN401 - as the client sent them
    ) -> CallToolResult | InputRequiredResult:
        given = {key: value for key, value in arguments.items() if key in _given(ctx)}
        caller = _caller(ctx.request_context)
        answer = answer_given(ctx, caller.client) if name == "decide" else None
        outcome = await _outcome(call_tool(workspace, name, given, caller, answer=answer), ctx, name)
        if answer is None and can_ask(ctx):
            report = await anyio.to_thread.run_sync(report_to_ask_about, workspace, name, given, outcome)
            if report is not None:
                asked = await ask_person(ctx, report, caller.client)
                if isinstance(asked, InputRequiredResult):
                    return asked
                outcome = await _outcome(call_tool(workspace, name, given, caller, answer=asked), ctx, name)
        return _refused(outcome) if isinstance(outcome, Refusal) else _answered(outcome)

    reply_type = next(kind for kind in get_args(_return_type(name)) if kind is not Tick)
    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=Context)
    parameters = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in parameters_of(TOOLS[name])]
    tool.__name__ = name
    tool.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # the documented way to set a signature
        [context, *parameters],
        return_annotation=Annotated[CallToolResult, reply_type],
    )
    return tool


async def _outcome(call: Iterator[Tick | Reply], ctx: Context, name: str) -> Reply | Refusal:
    """Return what comes of a call. A bug of ours is told as a refusal too, with what is safe."""
    try:
        return await _drive(call, ctx)
    except Refusal as refusal:
        return refusal
    except Exception as error:
        logging.getLogger(__name__).exception("the tool %s failed", name)
        return _internal(name, error)


def _internal(name: str, error: Exception) -> Refusal:
    return Refusal(
        "internal",
        f"{name} failed by a bug of the server ({type(error).__name__}); the call was recorded and the server's log "
        "has the traceback. What the run's ledger holds is safe.",
        next_call=NextCall(tool="read_state", arguments={}, why="shows where the runs stand"),
    )


def _return_type(name: str) -> Any:  # noqa: ANN401 - a type annotation
    """Return `Tick | XReply` of a tool that is annotated to return `Iterator[Tick | XReply]`."""
    return get_args(inspect.signature(TOOLS[name]).return_annotation)[0]


def _given(ctx: Context) -> set[str]:
    """Return the names of the arguments that the client sent: the record does not show our defaults as theirs."""
    params = ctx.request_context.params or {}
    arguments = params.get("arguments")
    return set(arguments) if isinstance(arguments, dict) else set()


async def _drive(call: Iterator[Tick | Reply], ctx: Context) -> Reply:
    """Take a call forward on a thread, tick by tick; between ticks the client may cancel."""
    notified, shown = 0.0, -STEP
    try:
        while True:
            tick = await anyio.to_thread.run_sync(next, call)
            if isinstance(tick, Reply):
                return tick
            if time.monotonic() - notified >= NOTIFY_EVERY_S:
                notified = time.monotonic()
                # The protocol wants each value above the one before, also while nothing moves or a retry begins anew.
                shown = max(tick.done, shown + STEP)
                await ctx.report_progress(shown, None if tick.total is None else max(tick.total, shown), tick.message)
            await anyio.sleep(POLL_S)
    finally:
        close = getattr(call, "close", None)
        if close is not None:
            close()


def _caller(ctx: ServerRequestContext[Any, Any]) -> Caller:
    client = ctx.session.client_params.client_info if ctx.session.client_params is not None else None
    return Caller(
        client="unknown" if client is None else client.name,
        version="" if client is None else client.version,
        protocol=ctx.protocol_version,
    )


def _answered(reply: Reply) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=reply.text())],
        structured_content=reply.model_dump(mode="json", exclude_none=True),
    )


def _refused(refusal: Refusal) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=str(refusal))],
        structured_content=refusal.facts(),
        is_error=True,
    )
