"""``stagewright log``: the four logs of a run as one story in time."""

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from stagewright.server.cli.log_lines import LogLines
from stagewright.server.cli.options import AsJson, PolicyFile, Root, RunName
from stagewright.server.cli.passed_findings import PassedFindings
from stagewright.server.cli.session import Session, open_session
from stagewright.state.clock import stamp, utc_now
from stagewright.state.ledger import Ledger
from stagewright.state.run_directory import LOG_NAMES
from stagewright.state.units import parse_seconds
from stagewright.tools.merged_log import Follower
from stagewright.tools.verification.chains import chain_problems
from stagewright.tools.verification.read_log import read_log

__all__ = ["log"]


class LogName(StrEnum):
    """The four logs of a run."""

    AGENT_RUN = "agent_run"
    VALIDATION = "validation"
    DECISION = "decision"
    TOOL_CALLS = "tool_calls"


POLL_S = 0.2
PLAIN_WIDTH = 80


def log(  # noqa: PLR0913 - one option for each thing to filter by
    run: RunName,
    *,
    name: Annotated[list[LogName] | None, typer.Option("--log", help="Only this log; may be repeated.")] = None,
    step: Annotated[str | None, typer.Option("--step", help="Only this step, e.g. A/plan0, or checkpoint, A.")] = None,
    event: Annotated[
        list[str] | None, typer.Option("--event", help="Only this kind of entry, e.g. decided; may be repeated.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only what is newer: 10min, 2h, or a time such as 2026-11-22T13:40.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show every entry; else findings that pass are only counted. --json has all.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run is over, or Ctrl-C.")] = False,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the four logs of a run merged in time: transitions, findings of gates, decisions, tool calls."""
    earliest = None if since is None else _moment(since)
    with open_session(root, policy, as_json=as_json) as session:
        ledger = session.workspace.ledger(run)
        follower = Follower(ledger, name or LOG_NAMES)
        shown = LogLines(session.out.width if session.out.is_terminal else PLAIN_WIDTH)
        passed = PassedFindings()

        def show_newer() -> None:
            newer = [item for item in follower.newer() if _is_wanted(item[1], step, event, earliest)]
            entries = newer if every or session.as_json else passed.counted(newer)
            for log_name, entry in entries:
                _show(session, shown, log_name, entry)

        finished = not follow
        show_newer()
        with suppress(KeyboardInterrupt):  # how a person ends --follow
            while not finished:
                finished = _is_finished(ledger)
                show_newer()
                time.sleep(0 if finished else POLL_S)
        for log_name, entry in passed.counted([]):
            _show(session, shown, log_name, entry)
        _warn_of_damage(session, ledger)


def _warn_of_damage(session: Session, ledger: Ledger) -> None:
    """Say below the story when its logs do not hold: what was told is then not what was written."""
    logs = [read_log(ledger.run.log(name), f"logs/{name}.log") for name in LOG_NAMES]
    problems = [problem for log in logs for problem in chain_problems(log)]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        names = session.typed.line(["verify", str(ledger.run.path)])
        session.err.print(f"The record does not hold together: {problems[0]}{more}. {names} says more.", style="red")


def _is_finished(ledger: Ledger) -> bool:
    return ledger.read().finished


def _is_wanted(entry: dict[str, JsonValue], step: str | None, events: list[str] | None, earliest: str | None) -> bool:
    at_step = str(entry.get("step") or "")
    return (
        (step is None or at_step == step or at_step.startswith(f"{step}/"))
        and (not events or entry.get("event") in events)
        and (earliest is None or str(entry.get("at")) >= earliest)
    )


def _show(session: Session, shown: LogLines, log_name: str, entry: dict[str, JsonValue]) -> None:
    if session.as_json:
        session.write_json({"log": log_name, **entry})
    else:
        for line, style in shown.lines(log_name, entry):
            session.say(line, style)
    session.out.file.flush()


def _moment(text: str) -> str:
    """Return the stamp of a moment that is written as an age or as a time (UTC where it names no zone)."""
    try:
        return stamp(utc_now() - timedelta(seconds=parse_seconds(text)))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        allowed = "write an age such as 10min or 2h, or a time such as 2026-11-22T13:40 (UTC)"
        raise typer.BadParameter(f"{text!r}: {allowed}", param_hint="--since") from error
    return stamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
