"""Where the parts of a run lie, and how a run is named and found."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from stagewright.state.canonical import digest_json
from stagewright.state.refusals import NextCall, Refusal
from stagewright.state.run_state import split_step

__all__ = ["EXPERIMENTS", "LOG_NAMES", "RunDirectory", "find_run", "list_runs", "name_run"]

EXPERIMENTS = "experiments"
LOG_NAMES = ("agent_run", "validation", "decision", "tool_calls")
RUN_NAME = re.compile(r"^\d{8}_\d{6}_[a-z0-9_-]+_[0-9a-f]{8}$")
SLUG_LENGTH = 40
SHOWN = 5


class RunDirectory:
    """The paths of one run.

    Parameters
    ----------
    path
        The run directory. Its name is the run's id.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def run_id(self) -> str:
        """The run's id: the name of its directory."""
        return self.path.name

    @property
    def spec(self) -> Path:
        """The sealed goal spec, as it was given."""
        return self.path / "spec.yaml"

    @property
    def plan(self) -> Path:
        """The plan, for people."""
        return self.path / "PLAN.md"

    @property
    def snapshot(self) -> Path:
        """The state as of the last entry of the ledger: a cache."""
        return self.path / "RUN_STATE.json"

    @property
    def manifest(self) -> Path:
        """What ran, on what, with what, and what came out."""
        return self.path / "run_manifest.yaml"

    @property
    def lock(self) -> Path:
        """The lock that a transition holds."""
        return self.path / ".lock"

    def log(self, name: str) -> Path:
        """Return the path of one of the four logs."""
        return self.path / "logs" / f"{name}.log"

    def attempt(self, number: int, step: str) -> Path:
        """Return the folder of one attempt, e.g. ``attempts/0001_A_plan0``."""
        checkpoint, stage = split_step(step)
        return self.path / "attempts" / f"{number:04d}_{checkpoint}_{stage}"


def name_run(objective: str, spec_digest: str, moment: datetime, *, again: int = 0) -> str:
    """Return the name ``YYYYMMDD_HHMMSS_<slug>_<hash8>`` for a run that is planned at `moment` (UTC).

    Parameters
    ----------
    objective
        Its first words become the slug.
    spec_digest
        Digest of the spec; part of the hash.
    moment
        The time of planning; part of the hash.
    again
        Counts up when a run of that name exists.
    """
    words = re.sub(r"[^a-z0-9]+", "-", objective.lower()).strip("-")
    slug = words[:SLUG_LENGTH].rsplit("-", maxsplit=1)[0] if len(words) > SLUG_LENGTH else words
    hash8 = digest_json([spec_digest, moment.isoformat(), again])[:8]
    return f"{moment.astimezone(UTC):%Y%m%d_%H%M%S}_{slug or 'study'}_{hash8}"


def list_runs(root: Path) -> Iterator[RunDirectory]:
    """Yield the runs under a root, newest first."""
    experiments = root / EXPERIMENTS
    if not experiments.is_dir():
        return
    for path in sorted(experiments.iterdir(), reverse=True):
        if RUN_NAME.match(path.name) and path.is_dir() and not path.is_symlink():
            yield RunDirectory(path)


def find_run(root: Path, named: str) -> RunDirectory:
    """Return the run with this id, or the only run whose id begins so.

    Raises
    ------
    Refusal
        `unknown_run` when no run, or more than one, is meant.
    """
    runs = list(list_runs(root))
    meant = [run for run in runs if run.run_id == named] or [
        run for run in runs if named and run.run_id.startswith(named)
    ]
    if len(meant) == 1:
        return meant[0]
    shown = ", ".join(run.run_id for run in (meant or runs)[:SHOWN])
    what = f"{named!r} begins the names of {len(meant)} runs" if meant else f"there is no run {named!r} here"
    known = f"; {'they are' if meant else 'the newest are'}: {shown}" if shown else "; no run has been planned yet"
    tool, why = ("read_state", "lists the runs") if runs else ("plan_run", "plans a run from a goal spec")
    raise Refusal("unknown_run", what + known, next_call=NextCall(tool=tool, arguments={}, why=why))
