"""The file form of a cassette: JSON Lines, shaped like the JSON-RPC frames that went over the wire.

The first line is the header. A request and its answer are two lines with one id. What is no call but decided what calls
were answered (what planning found in the data, how an attempt ended, what the gates found, a kill, an approval on the
command line) stands between them as notifications ``stagewright/...``.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from stagewright.state.refusals import Refusal

__all__ = [
    "ApprovedFrame",
    "AttemptFrame",
    "CallFrame",
    "Cassette",
    "Client",
    "DataFile",
    "FindingsFrame",
    "Frame",
    "Header",
    "KilledFrame",
    "Person",
    "RunFrame",
    "SurveyFrame",
    "Tolerance",
    "read_cassette",
    "write_cassette",
]

VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Client(_Part):
    """Who called: the record names it, so the replay calls itself the same."""

    name: str
    version: str = ""
    protocol: str = ""


class DataFile(_Part):
    """A data file that the runs read: where the spec looks for it, and what it must be for a rerun.

    Attributes
    ----------
    path
        Relative to the root; of a file that lay elsewhere, the name under which a replay puts it there.
    built_in
        Whether it is the built-in cohort, which a rerun simulates when it is not given.
    """

    path: str
    sha256: str
    bytes: int
    built_in: bool = False


class Tolerance(_Part):
    """How far a number with a fraction may lie from the recorded one, where the stages run again."""

    relative: float = 1e-6
    absolute: float = 1e-4  # replies round to four decimals


class Header(_Part):
    """What a cassette is of, and what a replay has to set up.

    Attributes
    ----------
    files
        Gene lists, by their paths under the root.
    commands, gates
        Stages and gates of the operator's policy that the runs have; `stages` of each gate.
    workers
        Units side by side: the operator's cap on the machine of the record.
    environment
        Versions and machine. Digests of artifacts are promised where all of it is the same.
    volatile
        Names of further reply fields that are not compared, with everything below them.
    """

    cassette: Literal[1] = 1
    stagewright: str
    note: str = ""
    client: Client
    files: dict[str, str] = Field(default_factory=dict)
    data: tuple[DataFile, ...] = ()
    commands: tuple[str, ...] = ()
    gates: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    workers: int = 1
    environment: dict[str, JsonValue] = Field(default_factory=dict)
    tolerance: Tolerance = Tolerance()
    volatile: tuple[str, ...] = ()


class Person(_Part):
    """What a person answered in the client's form on this call."""

    said: Literal["approved", "declined", "undecided"]
    reason: str = ""


class CallFrame(_Part):
    """A call and its answer: the structured content of a reply, or the facts of a refusal.

    Attributes
    ----------
    answer
        None where none is compared: the server died in the call, or the call went on beside others, and stands once
        more where it was answered.
    files
        The goal spec that the call names by its path under the root, as it was then.
    """

    kind: Literal["call"] = "call"
    tool: str
    arguments: dict[str, JsonValue]
    answer: dict[str, JsonValue] | None
    refused: bool = False
    person: Person | None = None
    files: dict[str, str] = Field(default_factory=dict)


class RunFrame(_Part):
    """A run that the next call plans: what tells it from others, and what else it sealed."""

    kind: Literal["run"] = "run"
    run: str
    spec_digest: str
    holdout: bool = False


class SurveyFrame(_Part):
    """What planning found in the data with the eyes of one data scope."""

    kind: Literal["survey"] = "survey"
    scope: dict[str, JsonValue]
    survey: dict[str, JsonValue]


class AttemptFrame(_Part):
    """How an attempt ended, and what its worker left: of artifacts the listing, not the content."""

    kind: Literal["attempt"] = "attempt"
    run: str
    attempt: int
    step: str
    ends: Literal["executed", "failed", "cancelled", "lost"]
    exit_status: int | None = None
    elapsed_s: float = 0.0
    peak_rss_bytes: int = 0
    result: dict[str, JsonValue] | None = None
    progress: dict[str, JsonValue] | None = None
    failure: dict[str, JsonValue] | None = None
    over: bool = False
    units: str | None = None
    traceback: str | None = None
    last_lines: tuple[str, ...] = ()


class FindingsFrame(_Part):
    """What the gates found in one judgement of a step's attempt."""

    kind: Literal["findings"] = "findings"
    run: str
    attempt: int
    step: str
    findings: tuple[dict[str, JsonValue], ...]


class KilledFrame(_Part):
    """The supervisor of an attempt died, and its worker with it."""

    kind: Literal["killed"] = "killed"
    run: str
    attempt: int
    step: str


class ApprovedFrame(_Part):
    """A person approved a checkpoint on the command line."""

    kind: Literal["approved"] = "approved"
    run: str
    reason: str


Frame: TypeAlias = CallFrame | RunFrame | SurveyFrame | AttemptFrame | FindingsFrame | KilledFrame | ApprovedFrame

_TOLD: TypeAdapter[Frame] = TypeAdapter(Annotated[Frame, Field(discriminator="kind")])


class Cassette(_Part):
    """A header and the frames in the order in which things happened."""

    header: Header
    frames: tuple[Frame, ...]

    @property
    def calls(self) -> list[CallFrame]:
        """The calls."""
        return [frame for frame in self.frames if isinstance(frame, CallFrame)]


def write_cassette(cassette: Cassette) -> str:
    """Return a cassette as text."""
    lines: list[JsonValue] = [_plain(cassette.header)]
    for number, frame in enumerate(cassette.frames, start=1):
        if isinstance(frame, CallFrame):
            lines += _call_lines(number, frame)
        else:
            params = _plain(frame)
            lines.append({"jsonrpc": "2.0", "method": f"stagewright/{params.pop('kind')}", "params": params})
    return "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)


def _call_lines(number: int, frame: CallFrame) -> Iterator[JsonValue]:
    params: dict[str, JsonValue] = {"name": frame.tool, "arguments": frame.arguments}
    meta: dict[str, JsonValue] = {} if frame.person is None else {"stagewright/person": _plain(frame.person)}
    meta |= {"stagewright/files": {**frame.files}} if frame.files else {}
    params |= {"_meta": meta} if meta else {}
    yield {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    if frame.answer is not None:
        result: JsonValue = {"structuredContent": frame.answer, "isError": frame.refused}
        yield {"jsonrpc": "2.0", "id": number, "result": result}


def _plain(part: BaseModel) -> dict[str, JsonValue]:
    plain: dict[str, JsonValue] = part.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    always = {name: getattr(part, name) for name in ("kind", "cassette") if hasattr(part, name)}
    return always | plain


def read_cassette(path: Path) -> Cassette:
    """Return the cassette in a file.

    Raises
    ------
    Refusal
        `invalid_argument`, with file and line, when it is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal("invalid_argument", f"the cassette {path} cannot be read: {error}") from error
    frames: list[Frame] = []
    header: Header | None = None
    for number, line in enumerate(lines, start=1):
        try:
            value = json.loads(line)
            if header is None:
                header = Header.model_validate(value)
            else:
                _take(frames, value)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            said = _first(error) if isinstance(error, ValidationError) else str(error)
            what = f"{path}:{number} is no line of a cassette of version {VERSION}: {said}"
            raise Refusal("invalid_argument", f"{what}. `stagewright export-calls RUN` makes one.") from error
    if header is None:
        raise Refusal("invalid_argument", f"{path} is empty; `stagewright export-calls RUN` makes a cassette")
    return Cassette(header=header, frames=tuple(frames))


def _take(frames: list[Frame], value: dict[str, JsonValue]) -> None:
    params, method = value.get("params"), value.get("method")
    if method == "tools/call" and isinstance(params, dict):
        given = params.get("_meta")
        meta = given if isinstance(given, dict) else {}
        asked = {"tool": params["name"], "arguments": params.get("arguments", {}), "answer": None}
        told = {"person": meta.get("stagewright/person"), "files": meta.get("stagewright/files", {})}
        frames.append(CallFrame.model_validate(asked | told))
    elif isinstance(method, str) and isinstance(params, dict):
        frames.append(_TOLD.validate_python({"kind": method.removeprefix("stagewright/"), **params}))
    else:
        result, last = value["result"], frames[-1] if frames else None
        if not isinstance(last, CallFrame) or last.answer is not None or not isinstance(result, dict):
            raise ValueError("an answer without a call before it")
        answered = {"answer": result["structuredContent"], "refused": result.get("isError", False)}
        frames[-1] = CallFrame.model_validate(last.model_dump() | answered)


def _first(error: ValidationError) -> str:
    first: Iterable[object] = error.errors(include_url=False)[0]["loc"]
    return f"{'.'.join(map(str, first))}: {error.errors(include_url=False)[0]['msg']}"
