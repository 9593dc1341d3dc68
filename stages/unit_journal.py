"""What became of each unit of an attempt: a line in worker.log, `units.json` of the attempt, and its outcome."""

import json
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from stagewright.state.artifacts import UnitRecord
from stagewright.state.snapshot import write_atomically
from stagewright.state.units import format_seconds

__all__ = ["UnitJournal"]

ERROR_CHARS = 300


class UnitJournal:
    """The units of an attempt that are over; any thread may add one."""

    def __init__(self) -> None:
        self._records: list[UnitRecord] = []
        self._lock = threading.Lock()

    def add(self, record: UnitRecord) -> None:
        """Add a unit that is over, and say so in a line."""
        with self._lock:
            self._records.append(record)
            sys.stdout.write(f"{_line(record)}\n")

    def went_into(self, names: Iterable[str], artifact: str) -> None:
        """Note an artifact, by path, that the step made of several units that are over."""
        made_of = {*names}
        with self._lock:
            self._records = [
                record.model_copy(update={"artifacts": (*record.artifacts, artifact)})
                if record.name in made_of
                else record
                for record in self._records
            ]

    @property
    def records(self) -> tuple[UnitRecord, ...]:
        """The units, ordered by name, so that what is sealed does not depend on which thread was first."""
        with self._lock:
            return tuple(sorted(self._records, key=lambda record: record.name))

    @property
    def failed(self) -> int:
        """How many units failed."""
        with self._lock:
            return sum(record.how == "failed" for record in self._records)

    def write(self, path: Path) -> None:
        """Replace a file by what became of the units so far.

        Raises
        ------
        OSError
            When the disk does not take it.
        """
        shown = [record.model_dump(mode="json", exclude_none=True) for record in self.records]
        write_atomically(path, json.dumps({"units": shown}, indent=1, ensure_ascii=False) + "\n")


def _line(record: UnitRecord) -> str:
    took = format_seconds(round(record.elapsed_s, 3))
    if record.how == "failed":
        said = f"{record.error} [{record.kind}]"
        return f"unit {record.name}: failed after {took}: {said[:ERROR_CHARS]}"
    return f"unit {record.name}: {record.how} in {took} ({record.why})"
