"""Say the next call of a tool as the command that a person types."""

import json
import shlex
from collections.abc import Mapping

from pydantic import JsonValue

from stagewright.server.cli.typed_command import TypedCommand
from stagewright.state.refusals import NextCall, Refusal

__all__ = ["approve_command", "next_command", "refusal_text"]

VERBS = {
    "plan_run": "plan",
    "execute_stage": "execute",
    "validate_stage": "validate",
    "decide": "decide",
    "read_state": "state",
}
POSITIONAL = {"plan": ("spec",), "decide": ("run_id", "decision")}
APPROVAL = "awaiting_approval"


def next_command(call: NextCall, typed: TypedCommand, status: str | None = None) -> str:
    """Return a call as a command line with the reason after it.

    Parameters
    ----------
    status
        The run's status. Who types at a run that waits for an approval is the person it waits for.

    >>> typed = TypedCommand(program="stagewright")
    >>> next_command(NextCall(tool="validate_stage", arguments={"run_id": "2026_x"}, why="its gates wait"), typed)
    'stagewright validate 2026_x   (its gates wait)'
    """
    run_id = call.arguments.get("run_id")
    if status is not None and status.startswith(APPROVAL) and isinstance(run_id, str):
        return f"{approve_command(run_id, typed)}   (the next checkpoint waits for a person)"
    if call.tool is None or call.tool not in VERBS:
        return typed.in_text(call.why)
    verb = VERBS[call.tool]
    return f"{typed.line([verb, *_arguments(verb, call.arguments)])}   ({typed.in_text(call.why)})"


def approve_command(run_id: str, typed: TypedCommand) -> str:
    """Return the command with which a person lets a run go on.

    >>> approve_command("2026_x", TypedCommand(program="stagewright"))
    'stagewright approve 2026_x --reason "..."'
    """
    return typed.line(["approve", shlex.quote(run_id), "--reason", '"..."'])


def refusal_text(refusal: Refusal, typed: TypedCommand) -> str:
    """Return every fact of a refusal, its next call as a command."""
    bare = Refusal(refusal.code, typed.in_text(refusal.message), status=refusal.status, run_id=refusal.run_id)
    if refusal.next_call is None:
        return str(bare)
    return f"{bare}\nNext: {next_command(refusal.next_call, typed, refusal.status)}"


def _arguments(verb: str, arguments: Mapping[str, JsonValue]) -> list[str]:
    placed = POSITIONAL.get(verb, ("run_id",))
    words = [_word(arguments[name]) for name in placed if name in arguments]
    if verb == "plan" and not words:
        words = ["spec.yaml"]  # where `init` writes one
    for name, value in arguments.items():
        if name in placed:
            continue
        option = {"wait_s": "--wait"}.get(name, f"--{name.replace('_', '-')}")
        if name == "adjustments":
            words += ["--adjust", "NAME=VALUE"] if value == {} else [option, shlex.quote(json.dumps(value))]
        elif name == "k_by_method" and isinstance(value, dict):
            words += [word for method, k in value.items() for word in ("--k", _word(f"{method}={k}"))]
        elif isinstance(value, bool):
            words += [option] if value else []
        else:
            words += [option, _word(value)]
    return words


def _word(value: JsonValue) -> str:
    return '"..."' if value == "..." else shlex.quote(str(value))
