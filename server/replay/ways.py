"""How a cassette can be replayed, and what comes of it. Loads no protocol: the command line reads this, too."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stagewright.state.chain import Problem
from stagewright.tools.replay.cassette import Cassette
from stagewright.tools.replay.play import Played, Stages

__all__ = ["ERAS", "TRANSPORTS", "Era", "Replay", "Transport", "Way", "era_of"]

Transport = Literal["in-process", "stdio", "http"]
TRANSPORTS: tuple[Transport, ...] = ("in-process", "stdio", "http")
Era = Literal["legacy", "2026-07-28"]
ERAS: tuple[Era, ...] = ("legacy", "2026-07-28")


@dataclass(frozen=True, slots=True)
class Way:
    """How a cassette is replayed.

    Attributes
    ----------
    data
        For a rerun: the data file, where it is not the built-in cohort. Of a cassette with one data file.
    policy
        For a rerun: the operator's policy that the runs were made under.
    root
        A folder that is kept; None for a temporary one.
    data_root
        For a rerun: where the data file may lie under its recorded path.
    """

    stages: Stages = "recorded"
    transport: Transport = "in-process"
    era: Era = "2026-07-28"
    data: Path | None = None
    policy: Path | None = None
    root: Path | None = None
    data_root: Path | None = None


@dataclass(slots=True)
class Replay:
    """What came of a replay: the calls so far, notes for the reader, and what does not hold in the new record."""

    cassette: Cassette
    way: Way
    calls: list[Played] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    again: Cassette | None = None

    @property
    def differs(self) -> bool:
        """Whether any answer differs, or the record does not hold."""
        return bool(self.problems) or any(call.differences for call in self.calls)


def era_of(cassette: Cassette) -> Era:
    """Return the era of the protocol that the recorded client spoke; that of today for the command line."""
    protocol = cassette.header.client.protocol
    return "legacy" if protocol and protocol < "2026-07-28" else "2026-07-28"
