"""Turn what pydantic found into lines that a person or an agent can act on: place, value, what is allowed."""

import difflib
import types
from typing import Annotated, Any, TypeAlias, Union, get_args
from typing import get_origin as typing_origin

from pydantic import BaseModel, ValidationError

__all__ = ["describe_faults", "list_faults", "nearest"]

Kind: TypeAlias = Any  # a type annotation; the typing module gives it no narrower type

SHOWN = 120
PLAIN = {
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
}
"""Words for what the validation library says in its own."""

PLAIN_METHODS = {"log1p", "library_size", "none", "pearson_residuals", "random"}
"""Methods whose names could be keys elsewhere."""


def describe_faults(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return one line for each fault, such as ``budget.runtime: got 6; write a duration with its unit ...``.

    Parameters
    ----------
    error
        What pydantic raised.
    model
        The model that was asked for; unknown keys are compared with its fields.
    """
    lines: dict[str, None] = {}  # a union reports one fault once for each of its members
    found = error.errors(include_url=False)
    closer = [_own_path(fault["loc"]) for fault in found if not _is_wrong_shape(fault["type"])]
    for fault in found:
        own = _own_path(fault["loc"])
        if _is_wrong_shape(fault["type"]) and any(path[: len(own)] == own for path in closer):
            continue  # another member of the union has the right shape and says more closely what is wrong
        place = _place(own) or "the spec"
        if fault["type"] == "extra_forbidden":
            lines[f"{place}: unknown key. {_allowed_keys(str(own[-1]), _fields_at(model, fault['loc'][:-1]))}"] = None
        elif fault["type"] == "missing":
            lines[f"{place}: missing; this key is required"] = None
        elif fault["type"] == "union_tag_invalid":
            context = fault.get("ctx", {})
            allowed = str(context.get("expected_tags", "")).replace("'", "")
            close = nearest(str(context.get("tag", "")), allowed.split(", "))
            lines[f"{place}.method: got {context.get('tag')!r}; allowed: {allowed}{close}"] = None
        else:
            message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            message = PLAIN.get(fault["type"], message.removeprefix("String should "))
            lines[f"{place}: got {_shown(fault['input'])}; {_wording(fault['type'])}{message}"] = None
    return list(lines)


def list_faults(faults: list[str]) -> str:
    """Return faults as the lines of a list, for the text of a refusal."""
    return "\n".join(f"  - {fault}" for fault in faults)


def nearest(word: str, known: list[str]) -> str:
    """Return ``; did you mean 'x'?`` for the known word nearest to `word`, or nothing.

    >>> nearest("retrys", ["retries", "runtime"])
    "; did you mean 'retries'?"
    """
    beginning = [one for one in known if word and one.startswith(word)]
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5) or beginning
    return f"; did you mean {close[0]!r}?" if close else ""


def _wording(kind: str) -> str:
    return "" if kind == "value_error" else "allowed: "


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def _is_union_tag(part: int | str) -> bool:
    """Return whether a part of a location names a member of a union and not a key that somebody wrote."""
    return isinstance(part, str) and (
        part
        in {
            "str",
            "HeldOut",
            "literal[False]",
            "Logspace",
            "hvg",
            "all_filtered",
            "deg_weak_screen",
            "hybrid",
            "two_stage",
            "gene_list",
        }
        or part.startswith(("tuple[", "dict[", "function-"))
        or part == "[key]"
    )


def _own_path(location: tuple[int | str, ...]) -> list[int | str]:
    own: list[int | str] = []
    for part in location:
        chosen = part in PLAIN_METHODS and bool(own) and (own[-1] == "normalisation" or isinstance(own[-1], int))
        if not chosen and not _is_union_tag(part):
            own.append(part)
    return own


def _is_wrong_shape(kind: str) -> bool:
    return kind in {"tuple_type", "dict_type", "model_type", "model_attributes_type", "too_short"}


def _place(path: list[int | str]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _allowed_keys(word: str, known: list[str]) -> str:
    if not known:
        return "no keys are allowed here"
    close = nearest(word, known).removeprefix("; ").replace("did you mean", "Did you mean")
    return f"{close} Allowed: {', '.join(known)}".strip()


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Return the keys that are allowed at a place of a model."""
    kinds: list[Kind] = [model]
    for part in path:
        kinds = [step for kind in kinds for step in _into(kind, part)]
    members = [member for kind in kinds for member in _members(kind)]
    models = [kind for kind in members if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return list(dict.fromkeys(name for kind in models for name in kind.model_fields))


def _into(kind: Kind, part: int | str) -> list[Kind]:
    """Return the types that a value of type `kind` can hold at `part`."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _into(get_args(kind)[0], part)
    if origin in (Union, types.UnionType):
        members = _members(kind)
        tagged = [member for member in members if _tag(member) == part]
        return tagged or [step for member in members for step in _into(member, part)]
    if origin in (tuple, dict, list):
        return [_bare(get_args(kind)[-1 if origin is dict else 0])]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if isinstance(part, str) and part in kind.model_fields:
            return [_bare(kind.model_fields[part].annotation)]
        return [kind] if _tag(kind) == part else []
    return []


def get_origin(kind: Kind) -> Any:  # noqa: ANN401 - the standard library's type for it leaves out what it returns
    """Return the unsubscripted form of a type, e.g. `tuple` for `tuple[int, ...]`."""
    return typing_origin(kind)


def _members(kind: Kind) -> list[Kind]:
    """Return what a union is a union of, without None; any other type is its only member."""
    if get_origin(kind) not in (Union, types.UnionType):
        return [kind]
    return [member for member in get_args(kind) if member is not type(None)]


def _bare(kind: Kind) -> Kind:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _tag(kind: Kind) -> str | None:
    """Return the value of `method` that selects this member of a discriminated union."""
    if isinstance(kind, type) and issubclass(kind, BaseModel) and "method" in kind.model_fields:
        values = get_args(kind.model_fields["method"].annotation)
        return values[0] if values else None
    return None
