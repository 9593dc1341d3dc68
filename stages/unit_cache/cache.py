"""Find what an earlier unit of this run left, and keep what a unit gives. Only a verified entry is ever handed out."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stagewright.stages.unit_cache.changed_inputs import changed_inputs, nearest
from stagewright.stages.unit_cache.entry import ENTRY, FILES, Entry, EntryDamaged, checked_entry, read_entry
from stagewright.stages.unit_cache.inputs import UnitInputs
from stagewright.state.durable import sync_file, sync_folder, sync_tree, write_durably

__all__ = ["CACHE", "DAMAGED", "Found", "UnitCache"]

CACHE = "unit_cache"
DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Found:
    """What the cache has for a unit.

    Attributes
    ----------
    entry, folder
        The verified entry and where its files lie; None when the unit has to run.
    why
        Why the unit need not run, or has to.
    """

    entry: Entry | None
    folder: Path | None
    why: str


class UnitCache:
    """The unit cache of one run, in ``<run>/unit_cache/<kind>/<key>/``. Any thread may use it.

    Parameters
    ----------
    run
        The run directory.
    """

    def __init__(self, run: Path) -> None:
        self._root = run / CACHE
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, Entry]] = {}

    def find(self, name: str, inputs: UnitInputs) -> Found:
        """Return the verified entry of a unit, or why there is none; a damaged one is moved aside.

        Parameters
        ----------
        name
            The unit's name: an earlier unit of that name tells which input changed.
        inputs
            What the unit is made from.
        """
        if self._is_linked(inputs.kind):
            return Found(None, None, f"{CACHE} goes through a link, so nothing of it is used")
        folder = self._root / inputs.kind / inputs.key
        if os.path.lexists(folder):
            try:
                entry = checked_entry(folder, inputs.key)
            except EntryDamaged as damage:
                self._set_aside(folder, inputs.kind)
                return Found(None, None, f"its cache entry was damaged ({damage})")
            return Found(entry, folder / FILES, f"same inputs as attempt {entry.attempt} of {entry.step}")
        with self._lock:
            named = [entry for entry in self._entries(inputs.kind).values() if entry.name == name]
            before = nearest(named, inputs)
        return Found(None, None, "no earlier result" if before is None else changed_inputs(before, inputs))

    def keep(self, scratch: Path, entry: Entry) -> Entry:
        """Make a folder with a unit's files an entry, whole and on the disk or not at all, and return it signed.

        Parameters
        ----------
        scratch
            Holds, in ``files/``, the files that the entry lists; it becomes the entry's folder.

        Raises
        ------
        OSError
            When the disk does not take it. `scratch` is then still there.
        """
        folder = self._root / entry.kind / entry.key
        if self._is_linked(entry.kind):
            raise OSError(f"{CACHE} goes through a link")
        signed = entry.signed()
        files = [scratch / FILES / artifact.path for artifact in entry.artifacts]
        for path in files:
            sync_file(path)
        sync_tree(files, scratch)
        write_durably(scratch / ENTRY, signed.model_dump_json(indent=1) + "\n")
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch.rename(folder)
        sync_folder(folder.parent)
        with self._lock:
            self._entries(entry.kind)[entry.key] = signed
        return signed

    def _is_linked(self, kind: str) -> bool:
        return self._root.is_symlink() or (self._root / kind).is_symlink()

    def _set_aside(self, folder: Path, kind: str) -> None:
        """Move a damaged entry to where a person finds it; where even that fails, leave it: it is not used."""
        with suppress(OSError):
            aside = self._root / DAMAGED
            aside.mkdir(exist_ok=True)
            number = sum(1 for _ in aside.iterdir())
            folder.rename(aside / f"{number:04d}_{kind}_{folder.name}")

    def _entries(self, kind: str) -> dict[str, Entry]:
        """Return the entries of a kind by key, read once; the caller holds the lock."""
        if kind not in self._known:
            self._known[kind] = {entry.key: entry for entry in _whole_entries(self._root / kind)}
        return self._known[kind]


def _whole_entries(folder: Path) -> Iterator[Entry]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        with suppress(EntryDamaged):  # found and named when its unit is due
            yield read_entry(path)
