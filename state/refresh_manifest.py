"""Bring run_manifest.yaml up to the present state of its run."""

from contextlib import suppress

from pydantic import JsonValue

from stagewright.state.artifacts import Outcome, read_outcome
from stagewright.state.manifest import manifest_text, read_manifest, updated_manifest
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState
from stagewright.state.sealed_spec import declared_spec
from stagewright.state.snapshot import write_atomically

__all__ = ["refresh_manifest"]


def refresh_manifest(run: RunDirectory, state: RunState, now: str) -> None:
    """Write the manifest anew. It follows the ledger, so a disk that does not take it does not undo the step."""
    outcomes: dict[str, Outcome] = {}
    for step, sealed in state.sealed.items():
        with suppress(ValueError):  # a changed outcome.json is a finding of the gates and of `verify`
            outcomes[step] = read_outcome(run.path, sealed.artifacts)
    with suppress(OSError):
        before = read_manifest(run.manifest.read_text(encoding="utf-8")) if run.manifest.is_file() else {}
        finished = (_finished_before(before) or now) if state.finished else None
        document = updated_manifest(before, state, declared_spec(run), finished_at=finished, outcomes=outcomes)
        write_atomically(run.manifest, manifest_text(document))


def _finished_before(manifest: dict[str, JsonValue]) -> str | None:
    run = manifest.get("run")
    finished = run.get("finished_at_utc") if isinstance(run, dict) else None
    return finished if isinstance(finished, str) else None
