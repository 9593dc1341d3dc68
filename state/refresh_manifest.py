"""Bring run_manifest.yaml up to the present state of its run."""

from contextlib import suppress

from stagewright.state.artifacts import Outcome, read_outcome
from stagewright.state.chain import ChainedLog
from stagewright.state.manifest import manifest_text, read_manifest, updated_manifest
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState
from stagewright.state.sealed_spec import declared_spec
from stagewright.state.snapshot import write_atomically

__all__ = ["refresh_manifest"]


def refresh_manifest(run: RunDirectory, state: RunState) -> None:
    """Write the manifest anew. It follows the ledger, so a disk that does not take it does not undo the step."""
    outcomes: dict[str, Outcome] = {}
    for step, sealed in state.sealed.items():
        with suppress(ValueError):  # a changed outcome.json is a finding of the gates and of `verify`
            outcomes[step] = read_outcome(run.path, sealed.artifacts)
    with suppress(OSError):
        before = read_manifest(run.manifest.read_text(encoding="utf-8")) if run.manifest.is_file() else {}
        finished = _finished_at(run) if state.finished else None
        document = updated_manifest(before, state, declared_spec(run), finished_at=finished, outcomes=outcomes)
        write_atomically(run.manifest, manifest_text(document))


def _finished_at(run: RunDirectory) -> str | None:
    """Return when the run ended: the time of its last decision."""
    decided = [str(entry["at"]) for entry in ChainedLog(run.log("agent_run")).entries() if entry["event"] == "decided"]
    return decided[-1] if decided else None
