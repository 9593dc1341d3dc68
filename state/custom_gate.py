"""Gates that are not built in: the operator's commands, those of other packages, and what a run seals of all gates."""

from typing import Annotated, Literal

from pydantic import Field

from stagewright.state.records import Record, Sha256
from stagewright.state.spec.goal import StageName
from stagewright.state.units import Seconds

__all__ = ["CommandGate", "GateName", "SealedGate"]

GateName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
MOST_S = 1500.0
"""All gates of a step together are given up after half an hour."""


class CommandGate(Record):
    """An argv that the operator registered as a gate. No shell reads it; braces are filled in part by part.

    Attributes
    ----------
    stages
        The stages it judges; empty for every stage.
    why
        What it checks, for people: the reason of its findings.
    timeout
        When it is ended, in seconds.
    """

    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    stages: tuple[StageName, ...] = ()
    why: str = ""
    timeout: Annotated[Seconds, Field(le=MOST_S)] = 300.0


class SealedGate(Record):
    """A gate that judges a run, as it was when the run was planned.

    Attributes
    ----------
    stages
        The stages it judges; empty for every stage.
    code_sha256
        Of its source files, or of a command's argv and the files that it names. None for built-in gates, whose code may
        follow that of the server: the findings have it.
    """

    name: str
    kind: Literal["built_in", "package", "command"]
    stages: tuple[str, ...] = ()
    purpose: str = ""
    code_sha256: Sha256 | None = None

    def judges(self, stage: str) -> bool:
        """Return whether it judges a stage."""
        return not self.stages or stage in self.stages
