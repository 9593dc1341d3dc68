"""What a cassette holds: a header, the calls with their answers, and between them what decided those answers.

That is: what planning found in the data, how an attempt ended, what the gates found, a kill, an approval on the command
line. `cassette_file.py` has the file form.
"""

from pathlib import PurePosixPath
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

__all__ = [
    "VERSION",
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
    "inside",
]

VERSION = 1


def inside(name: str) -> str:
    """Refuse a path that would lead out of the folder in which a replay works: anybody can write a cassette."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
        raise ValueError(f"{name!r} is no path below the root of a replay")
    return name


Inside = Annotated[str, AfterValidator(inside)]


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

    path: Inside
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
    files: dict[Inside, str] = Field(default_factory=dict)
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
    files: dict[Inside, str] = Field(default_factory=dict)


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


class Cassette(_Part):
    """A header and the frames in the order in which things happened."""

    header: Header
    frames: tuple[Frame, ...]

    @property
    def calls(self) -> list[CallFrame]:
        """The calls."""
        return [frame for frame in self.frames if isinstance(frame, CallFrame)]
