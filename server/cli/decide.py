"""``stagewright decide``: continue, adjust or stop, with a rationale."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
import yaml
from pydantic import JsonValue

from stagewright.server.cli.options import AsJson, PolicyFile, Root, RunName
from stagewright.server.cli.session import open_session

__all__ = ["decide"]


def decide(  # noqa: PLR0913 - one option for each thing that a decision may say
    run: RunName,
    decision: Annotated[Literal["continue", "adjust", "stop"], typer.Argument(help="What to do.")],
    *,
    rationale: Annotated[str, typer.Option("--rationale", help="Why, on which evidence; goes into the record.")],
    adjust: Annotated[
        list[str] | None,
        typer.Option("--adjust", metavar="NAME=VALUE", help="With adjust, e.g. k='[10,20]'; may be repeated."),
    ] = None,
    adjustments: Annotated[
        str | None, typer.Option("--adjustments", metavar="JSON", help="With adjust: all changes as one object.")
    ] = None,
    proposal: Annotated[
        int | None, typer.Option("--proposal", min=0, help="With adjust: apply this proposal of a blocked step.")
    ] = None,
    k: Annotated[
        list[str] | None,
        typer.Option("--k", metavar="METHOD=K", help="Another K of Plan 0's shortlist, e.g. fa=20; may be repeated."),
    ] = None,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Record a decision on the present step and move the run on."""
    changes = _changes(adjust or [], adjustments)
    chosen = {name: _whole("--k", name, value) for name, value in _pairs("--k", k or [])}
    with open_session(root, policy, as_json=as_json) as session:
        arguments: dict[str, JsonValue] = {
            "run_id": run,
            "decision": decision,
            "rationale": rationale,
            "adjustments": changes,
            "proposal": proposal,
            "k_by_method": {**chosen} or None,
        }
        session.show(session.call("decide", arguments))


def _changes(pairs: list[str], text: str | None) -> dict[str, JsonValue] | None:
    if text is None:
        return {name: _plain(name, value) for name, value in _pairs("--adjust", pairs)} or None
    if pairs:
        raise typer.BadParameter("give either --adjust or --adjustments, not both", param_hint="--adjustments")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"is not JSON: {error}", param_hint="--adjustments") from error
    if not isinstance(value, dict):
        raise typer.BadParameter("must be a JSON object, e.g. '{\"k\": [10, 20]}'", param_hint="--adjustments")
    return value


def _plain(name: str, text: str) -> JsonValue:
    try:
        value: JsonValue = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise typer.BadParameter(f"{name}={text}: is neither YAML nor JSON", param_hint="--adjust") from error
    return value


def _pairs(option: str, pairs: list[str]) -> list[tuple[str, str]]:
    split = [pair.partition("=") for pair in pairs]
    for name, sign, value in split:
        if not (name and sign and value):
            raise typer.BadParameter(f"write NAME=VALUE, not {name!r}", param_hint=option)
    return [(name.strip(), value) for name, _, value in split]


def _whole(option: str, name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise typer.BadParameter(f"{name}={value}: K is a whole number", param_hint=option) from error
