"""Check the arguments of a call against the tool's own signature, and say of each fault what is allowed.

The signature is the one place where a tool's arguments are declared: the command line and the MCP schema come from it.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, create_model

from stagewright.state.canonical import digest_json
from stagewright.state.refusals import NextCall, Refusal
from stagewright.state.spec.faults import describe_faults, list_faults

__all__ = ["checked_arguments", "parameters_of", "recordable"]

SHOWN = 2000


def parameters_of(tool: Callable[..., object]) -> list[inspect.Parameter]:
    """Return the parameters that a caller sets: all but the workspace."""
    return [parameter for parameter in inspect.signature(tool).parameters.values() if parameter.name != "workspace"]


def checked_arguments(name: str, tool: Callable[..., object], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as the tool takes them.

    Raises
    ------
    Refusal
        `unknown_argument` for a name that the tool does not have, `invalid_argument` for a missing or wrong value.
    """
    if (fault := _unrecordable(arguments)) is not None:
        raise Refusal("invalid_argument", f"{name} cannot be called so, and nothing was done: {fault}")
    model = _model(tool)
    known = ", ".join(model.model_fields)
    try:
        checked = model.model_validate(_unwrapped(arguments))
    except ValidationError as error:
        named = arguments.get("run_id")
        kept: dict[str, JsonValue] = (
            {"run_id": named} if isinstance(named, str) and "run_id" in model.model_fields else {}
        )
        unknown = any(fault["type"] == "extra_forbidden" for fault in error.errors(include_url=False))
        faults = list_faults(describe_faults(error, model))
        raise Refusal(
            "unknown_argument" if unknown else "invalid_argument",
            f"{name} cannot be called so, and nothing was done (its arguments are {known}):\n{faults}",
            next_call=NextCall(tool=name, arguments=kept, why="call it again with the arguments that it has"),
        ) from error
    return {field: getattr(checked, field) for field in checked.model_fields_set}


@lru_cache(maxsize=16)
def _model(tool: Callable[..., object]) -> type[BaseModel]:
    fields: dict[str, Any] = {
        parameter.name: (
            parameter.annotation,
            ... if parameter.default is inspect.Parameter.empty else parameter.default,
        )
        for parameter in parameters_of(tool)
    }
    return create_model("Arguments", __config__=ConfigDict(extra="forbid"), **fields)


def recordable(arguments: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Return arguments as an entry of a log can hold them; what none can hold is shown as text."""
    if _unrecordable(arguments) is None:
        return dict(arguments)
    return {"shown": ascii(dict(arguments))[:SHOWN]}


def _unrecordable(arguments: Mapping[str, Any]) -> str | None:
    """Return why arguments have no canonical form, which every reader of the record could recompute."""
    try:
        digest_json(dict(arguments))
    except (ValueError, RecursionError) as error:
        return (
            f"an argument holds what JSON cannot say for every reader ({error}); allowed: finite numbers, integers "
            "below 2**53, and text without lone surrogates"
        )
    return None


def _unwrapped(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with objects that came as JSON text unwrapped: some clients send them so."""
    unwrapped = dict(arguments)
    for name, value in arguments.items():
        if isinstance(value, str) and name in ("adjustments", "k_by_method") and value.lstrip().startswith("{"):
            try:
                unwrapped[name] = json.loads(value)
            except (ValueError, RecursionError):
                continue  # left as it is, for the check to say what is wrong
    return unwrapped
