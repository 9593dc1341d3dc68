"""What a gate is: a function that looks at one step's sealed artifacts and yields findings.

A gate in this project is a check that opens or blocks the next step; it has nothing to do with cytometry gating.
It runs in a child process that changes nothing, and believes nothing that it can recompute from the files.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar, cast

from pydantic import Field

from stagewright.state.artifacts import Outcome
from stagewright.state.custom_gate import CommandGate, SealedGate
from stagewright.state.records import ArtifactSeal, Limits, Record, Sha256, Verdict
from stagewright.state.step_request import StepRequest

__all__ = ["EarlierAttempt", "Finding", "Gate", "GateContext", "GateReport", "GateRequest"]


_Read = TypeVar("_Read")


class Finding(Record):
    """What one gate measured on one subject.

    Attributes
    ----------
    gate
        The gate's name in the catalogue.
    subject
        What was looked at: a path, a patient, ``fa/k_20``.
    severity
        pass, warn, fail, or error when the gate could not measure.
    measured, threshold
        Written so that a person can compare them, e.g. ``0.43`` and ``at least 0.5``.
    reason
        Why the threshold is what it is, and for anything but a pass, what would make it pass.
    code_sha256
        Of the code of the gate that found it. Whoever runs the gates fills it in; None where no gate was at work.
    """

    gate: str
    subject: str
    severity: Verdict
    measured: str
    threshold: str
    reason: str
    code_sha256: Sha256 | None = None


class EarlierAttempt(Record):
    """An attempt before the one that is judged, and what of it the ledger seals.

    Attributes
    ----------
    ended
        How it ended; ``lost`` when its supervisor went without an outcome.
    record, record_sha256
        The file that says what became of its units, relative to the run directory; None where the ledger seals none.
    """

    attempt: int
    ended: Literal["executed", "failed", "cancelled", "lost", "running"]
    record: str | None = None
    record_sha256: Sha256 | None = None


class GateRequest(Record):
    """What the child process is asked to judge.

    Attributes
    ----------
    request
        The attempt's request, relative to the run directory.
    artifacts
        The seal from the ledger. An `outcome.json` with another digest is itself a finding.
    runtime_used_s, peak_rss_bytes, limits
        The budget of the whole run and what was used of it, from the ledger.
    sealed_elsewhere
        Artifacts that other steps of the checkpoint have sealed: they are not undeclared.
    tried
        The number of configurations that were tried on these data and this label, by this run or another before it.
    earlier
        The attempts before this one, in their order.
    sealed
        The gates that were to judge the run when it was planned.
    commands
        The operator's command gates as they are now.
    """

    run: str
    step: str
    attempt: int
    request: str
    request_sha256: str
    artifacts: ArtifactSeal
    runtime_used_s: float
    peak_rss_bytes: int
    limits: Limits
    sealed_elsewhere: tuple[str, ...] = ()
    tried: int = 0
    earlier: tuple[EarlierAttempt, ...] = ()
    sealed: tuple[SealedGate, ...] = ()
    commands: dict[str, CommandGate] = Field(default_factory=dict)


class GateReport(Record):
    """What the child process answers."""

    findings: tuple[Finding, ...]
    elapsed_s: float


@dataclass(frozen=True)
class GateContext:
    """What a gate is given.

    Attributes
    ----------
    run
        The run directory; a gate only reads in it.
    asked
        The request to the gates.
    request
        What the stage was asked to do. What must exist follows from this, not from what the stage says it did.
    outcome
        What the stage says it did, as sealed.
    """

    run: Path
    asked: GateRequest
    request: StepRequest
    outcome: Outcome
    _kept: dict[Hashable, object] = field(default_factory=dict, init=False, compare=False, repr=False)

    def once(self, read: Callable[..., _Read], *arguments: Hashable) -> _Read:
        """Return what a function reads with this context and some arguments, read at the first time it is asked for.

        Several gates read the same: who the cells are, what was predicted. Nobody changes what he was given.
        """
        key = (read, *arguments)
        if key not in self._kept:
            self._kept[key] = read(self, *arguments)
        return cast("_Read", self._kept[key])

    def threshold(self, gate: str, bound: str, default: float) -> float:
        """Return a gate's bound: the sealed spec's, or else the default."""
        return self.request.gates.get(gate, {}).get(bound, default)


Gate: TypeAlias = Callable[[GateContext], Iterator[Finding]]
