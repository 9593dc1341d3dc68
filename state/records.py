"""The records that an entry of the ledger carries, and the words for them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

__all__ = [
    "ArtifactSeal",
    "Blocked",
    "Decision",
    "FindingSummary",
    "GateTally",
    "Limits",
    "Proposal",
    "Record",
    "SealedData",
    "Verdict",
]

Verdict = Literal["pass", "warn", "fail", "error"]
Decision = Literal["continue", "adjust", "stop"]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    """A frozen record that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SealedData(Record):
    """The data file that a run is about: where it lay, its size, its digest, and what it must still be."""

    path: str
    bytes: int
    sha256: Sha256


class Limits(Record):
    """What the whole run may use (runtime and memory), and how often a step may be tried again after a failure."""

    runtime_s: float
    memory_bytes: int
    retries: int


class ArtifactSeal(Record):
    """The artifacts of an attempt as a whole: how many, how large, and the digest of `outcome.json` that lists them."""

    outcome: str
    outcome_sha256: Sha256
    count: int
    bytes: int


class FindingSummary(Record):
    """One gate's finding in a line."""

    gate: str
    severity: Verdict
    subject: str
    measured: str
    threshold: str
    reason: str


class GateTally(Record):
    """How many findings of a step are of which kind, and the worst of them, worst first."""

    passed: int
    warned: int
    failed: int
    errors: int
    worst: tuple[FindingSummary, ...] = ()
    would_pass: str | None = None


class Proposal(Record):
    """A minimal next action for a blocked step, in a form that `decide(adjust, proposal=n)` applies."""

    what: str
    adjustments: dict[str, JsonValue]


class Blocked(Record):
    """Why a step cannot go on, where to look, and what could be done."""

    error: str
    traceback: str | None = None
    last_lines: tuple[str, ...] = ()
    proposals: tuple[Proposal, ...] = ()
