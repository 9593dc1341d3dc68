"""Read the calls that the logs recorded, as frames of a cassette with the time each was made and answered."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from stagewright.state.chain import ChainedLog, Entry
from stagewright.state.run_directory import EXPERIMENTS, RunDirectory
from stagewright.tools.replay.cassette import CallFrame, Client, Person
from stagewright.tools.replay.portable import Portable, marked

__all__ = ["RecordedCall", "calls_of_root", "calls_of_run", "client_of", "moment", "recorded_root", "unanswered_before"]

SPECS = "specs"
CLOCK = timedelta(milliseconds=20)
"""By how much times may disagree that were read one after the other and rounded."""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One entry of a log of calls: when the call began and ended, and the frame it makes."""

    began: datetime
    ended: datetime
    frame: CallFrame
    client: Client
    run_id: str | None = None

    def holds(self, at: datetime) -> bool:
        """Return whether something happened in the course of the call."""
        return self.began - CLOCK <= at <= self.ended + CLOCK


def calls_of_run(run: RunDirectory, portable: Portable) -> list[RecordedCall]:
    """Return the calls on a run, those that a person was asked in as the one call that the client saw."""
    found: list[RecordedCall] = []
    for entry in ChainedLog(run.log("tool_calls")).entries():
        if entry.get("event") != "tool_call":
            continue
        read = _read(entry, portable, run)
        asked_before = found[-1] if found else None
        if read.frame.person is not None and asked_before is not None and _same(asked_before.frame, read.frame):
            read = replace(read, began=asked_before.began)  # the first half was never answered to the client
            found.pop()
        found.append(read)
    return found


def calls_of_root(root: Path, portable: Portable) -> list[RecordedCall]:
    """Return the calls that named no run."""
    log = ChainedLog(root / EXPERIMENTS / "tool_calls.log")
    return [_read(entry, portable, None) for entry in log.entries() if entry.get("event") == "tool_call"]


def client_of(calls: Iterable[RecordedCall]) -> Client:
    """Return the client that made most of the calls."""
    names = [call.client for call in calls]
    return max(names, key=names.count) if names else Client(name="stagewright-replay")


def moment(value: JsonValue) -> datetime:
    """Return the time that an entry carries."""
    return datetime.fromisoformat(str(value))


def _same(one: CallFrame, other: CallFrame) -> bool:
    return (one.tool, one.arguments) == (other.tool, other.arguments) and one.person is None


def _read(entry: Entry, portable: Portable, run: RunDirectory | None) -> RecordedCall:
    ended, client = moment(entry["at"]), _mapping(entry.get("client"))
    elapsed = entry.get("elapsed_s")
    reply, refusal = entry.get("reply"), entry.get("refusal")
    answer = reply if isinstance(reply, dict) else refusal if isinstance(refusal, dict) else None
    arguments, files = _arguments(entry, portable, run)
    frame = CallFrame(
        tool=str(entry.get("tool")),
        arguments=arguments,
        answer=None if answer is None else marked(cast("dict[str, JsonValue]", portable.out(answer))),
        refused=reply is None and refusal is not None,
        person=_person(entry.get("person")),
        files=files,
    )
    return RecordedCall(
        began=ended - timedelta(seconds=float(elapsed) if isinstance(elapsed, int | float) else 0.0),
        ended=ended,
        frame=frame,
        client=Client(**{name: str(client.get(name) or "") for name in ("name", "version", "protocol")}),
        run_id=None if run is None else run.run_id,
    )


def _arguments(
    entry: Entry, portable: Portable, run: RunDirectory | None
) -> tuple[dict[str, JsonValue], dict[str, str]]:
    """Return the arguments with placeholders, and the spec that they name as a file under a fresh root."""
    arguments = dict(_mapping(entry.get("arguments")))
    files: dict[str, str] = {}
    text = run.spec.read_text(encoding="utf-8") if run is not None and run.spec.is_file() else entry.get("spec_text")
    spec = arguments.get("spec")
    if entry.get("tool") == "plan_run" and isinstance(spec, str) and "\n" not in spec and isinstance(text, str):
        name = _name_under_root(spec, portable.root)
        arguments["spec"] = name
        files[name] = str(portable.out(text if run is None else _with_data(text, portable.data.get(run.run_id))))
    if run is not None and "run_id" in arguments:  # shortened, or the path of its directory: the call is in its log
        arguments["run_id"] = run.run_id
    return cast("dict[str, JsonValue]", portable.out(arguments)), files


def recorded_root(run: RunDirectory) -> Path | None:
    """Return the root under which a run lay when it was planned, by that call; None where none says it."""
    for entry in ChainedLog(run.log("tool_calls")).entries():
        reply = entry.get("reply")
        place = reply.get("run_dir") if isinstance(reply, dict) else None
        if entry.get("tool") == "plan_run" and isinstance(place, str):
            return Path(place).parent.parent
    return None


def _with_data(text: str, data: tuple[str, str] | None) -> str:
    """Return a spec that names its data by their place under the root: where the file of the spec lay, nobody knows."""
    if data is None:
        return text
    written, place = data
    return re.sub(rf"(path[\"']?\s*:\s*[\"']?){re.escape(written)}", lambda found: found[1] + place, text, count=1)


def _name_under_root(spec: str, root: Path) -> str:
    path = Path(spec)
    if path.is_absolute():
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else f"{SPECS}/{path.name}"
    return f"{SPECS}/{path.name}" if ".." in path.parts else path.as_posix()


def _person(said: JsonValue) -> Person | None:
    return Person.model_validate({name: said[name] for name in ("said", "reason")}) if isinstance(said, dict) else None


def _mapping(value: JsonValue) -> Mapping[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def unanswered_before(calls: list[RecordedCall]) -> Iterator[tuple[datetime, CallFrame]]:
    """Yield calls of `execute_stage` that went on while others were made: each starts its step before those.

    A replay makes one call after the other. So what goes on is made twice: here, for its start, and where it ended.
    """
    for call in calls:
        inside = any(call.began < other.began and other.ended < call.ended for other in calls if other is not call)
        if call.frame.tool == "execute_stage" and inside:
            yield call.began, call.frame.model_copy(update={"answer": None, "refused": False})
