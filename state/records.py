"""The records that an entry of the ledger carries, and the words for them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

__all__ = [
    "ArtifactSeal",
    "Blocked",
    "Decision",
    "FailureKind",
    "FindingSummary",
    "GateTally",
    "Limits",
    "Proposal",
    "Record",
    "Resources",
    "SealedData",
    "UnitTally",
    "Verdict",
]

Verdict = Literal["pass", "warn", "fail", "error"]
Decision = Literal["continue", "adjust", "stop"]

FailureKind = Literal[
    "disk_full",
    "storage",
    "environment",
    "out_of_memory",
    "killed",
    "lost",
    "scheduler_unreachable",
    "worker_lost",
    "cluster_unfit",
    "runtime_budget",
    "memory_budget",
    "output_limit",
    "data",
    "spec",
    "numerical",
    "package",
    "permission",
    "command",
    "bug",
]
"""Why an attempt failed. Which of them may be tried again, and why, is the failure table's (`stages.failure_table`)."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    """A frozen record that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SealedData(Record):
    """The data file that a run is about: where it lay, its size, its digest, and what it must still be.

    Attributes
    ----------
    gene_lists
        The digest of each gene list, by its path in the spec; None when there are none. Their content lies in the run
        directory (`layout.gene_list_file`).
    """

    path: str
    bytes: int
    sha256: Sha256
    gene_lists: dict[str, Sha256] | None = None


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


class UnitTally(Record):
    """How many units of an attempt ran, were taken from the run's cache, and failed where the spec allows it."""

    ran: int
    reused: int
    failed: int


class Resources(Record):
    """What an attempt had used when it failed, and what there was.

    Attributes
    ----------
    peak_rss_bytes
        Of the whole process tree.
    runtime_left_s, memory_limit_bytes
        What the attempt was allowed.
    disk_free_bytes
        Where the run directory lies.
    """

    elapsed_s: float
    peak_rss_bytes: int
    runtime_left_s: float
    memory_limit_bytes: int
    memory_available_bytes: int
    disk_free_bytes: int
    output_bytes: int = 0
    exit_status: int | None = None


class Proposal(Record):
    """A minimal next action for a blocked step, in a form that `decide(adjust, proposal=n)` applies.

    Attributes
    ----------
    adjustments
        The changes; empty when the step is to be opened again as it is.
    k_by_method
        K of Plan 0's shortlist to take instead of the one chosen, by method.
    handler
        Which error handler proposes it.
    first
        What a person has to do before the proposal is applied, as an imperative; None when nothing.
    estimated_memory_bytes
        The peak that the step is expected to reach with the change, where that can be estimated.
    """

    what: str
    adjustments: dict[str, JsonValue]
    k_by_method: dict[str, int] = Field(default_factory=dict)
    handler: str = ""
    first: str | None = None
    estimated_memory_bytes: int | None = None


class Blocked(Record):
    """Why a step cannot go on, where to look, and what could be done.

    Attributes
    ----------
    unit
        The unit of work that failed, where the failure belongs to one.
    traceback, context
        Files of the attempt, relative to the run directory: the error in full; the machine, packages and limits.
    """

    error: str
    kind: FailureKind | None = None
    unit: str | None = None
    traceback: str | None = None
    context: str | None = None
    resources: Resources | None = None
    last_lines: tuple[str, ...] = ()
    proposals: tuple[Proposal, ...] = ()
