"""Whether runs that name patients by pseudonyms keep the ids out of what an agent reads, and their key to its owner."""

import stat
from collections.abc import Iterator
from pathlib import Path

from stagewright.server.cli.check import Check
from stagewright.state.run_directory import list_runs
from stagewright.tools.privacy.raw_ids import PrivacyNote, privacy_note
from stagewright.tools.workspace import Workspace

__all__ = ["check_privacy"]

LOOKED_AT = 5
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def check_privacy(workspace: Workspace) -> Iterator[Check]:
    """Yield what the newest runs with pseudonyms show, and whether anybody but its owner may read the key."""
    notes: list[PrivacyNote] = []
    for run in list_runs(workspace.root):
        note = privacy_note(workspace, run)
        if note is not None:
            notes.append(note)
        if len(notes) == LOOKED_AT:
            break
    key = workspace.pseudonym_key
    if not notes and not key.exists():
        yield Check("privacy", "ok", "no run names patients by pseudonyms (privacy: pseudonymise in a goal spec)")
        return
    alarming = [note for note in notes if note.alarming]
    for note in alarming:
        mend = "give nobody this run's logs; plan a new run whose spec and rationales have pseudonyms"
        yield Check("privacy", "warn", _said(note), mend)
    unchecked = [note for note in notes if note.fault is not None]
    for note in unchecked:
        yield Check(
            "privacy",
            "warn",
            _said(note),
            "put back what it names, then ask again",
        )
    n_clean = len(notes) - len(alarming) - len(unchecked)
    if n_clean or not notes:
        yield Check("privacy", "ok", f"{n_clean} of the newest {len(notes)} runs with pseudonyms: no id of a patient")
    yield from _readers(key)


def _said(note: PrivacyNote) -> str:
    return f"{note.run_id}: {note.said().removeprefix('privacy: ')}"


def _readers(key: Path) -> Iterator[Check]:
    try:
        mode = key.stat().st_mode
    except OSError:
        return  # each run whose key is gone was named above
    if mode & OTHERS:
        found = f"the pseudonym key {key} may be read by others than its owner (mode {stat.S_IMODE(mode):o})"
        yield Check("privacy", "warn", found, f"chmod 600 {key}")
