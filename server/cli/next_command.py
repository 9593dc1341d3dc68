"""Say the next call of a tool as the command that a person types."""

import shlex
from collections.abc import Mapping

from pydantic import JsonValue

from stagewright.state.refusals import NextCall, Refusal

__all__ = ["next_command", "refusal_text"]

VERBS = {
    "plan_run": "plan",
    "execute_stage": "execute",
    "validate_stage": "validate",
    "decide": "decide",
    "read_state": "state",
}
POSITIONAL = {"plan": ("spec",), "decide": ("run_id", "decision")}


def next_command(call: NextCall) -> str:
    """Return a call as a command line with the reason after it.

    >>> next_command(NextCall(tool="validate_stage", arguments={"run_id": "2026_x"}, why="its gates wait"))
    'stagewright validate 2026_x   (its gates wait)'
    """
    if call.tool is None or call.tool not in VERBS:
        return call.why
    verb = VERBS[call.tool]
    words = ["stagewright", verb, *_arguments(verb, call.arguments)]
    return f"{' '.join(words)}   ({call.why})"


def refusal_text(refusal: Refusal) -> str:
    """Return every fact of a refusal, its next call as a command."""
    bare = Refusal(refusal.code, refusal.message, status=refusal.status, run_id=refusal.run_id)
    return str(bare) if refusal.next_call is None else f"{bare}\nNext: {next_command(refusal.next_call)}"


def _arguments(verb: str, arguments: Mapping[str, JsonValue]) -> list[str]:
    placed = POSITIONAL.get(verb, ("run_id",))
    words = [_word(arguments[name]) for name in placed if name in arguments]
    for name, value in arguments.items():
        if name in placed:
            continue
        option = {"wait_s": "--wait", "k_by_method": "--k"}.get(name, f"--{name.replace('_', '-')}")
        if name == "adjustments" and value == {}:
            words += ["--adjust", "NAME=VALUE"]
        elif isinstance(value, bool):
            words += [option] if value else []
        else:
            words += [option, _word(value)]
    return words


def _word(value: JsonValue) -> str:
    return '"..."' if value == "..." else shlex.quote(str(value))
