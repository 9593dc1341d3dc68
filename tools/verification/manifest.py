"""Verify run_manifest.yaml against what the ledger says, and read what it lists."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import JsonValue

from stagewright.state.artifacts import Artifact, Outcome
from stagewright.state.chain import Problem
from stagewright.state.events import Approved, Decided, RunPlanned, StepValidated
from stagewright.state.manifest import read_manifest, updated_manifest
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState
from stagewright.state.spec import GoalSpec
from stagewright.tools.step_requests import sealed_spec
from stagewright.tools.verification.fold import FoldedLedger
from stagewright.tools.verification.outcomes import ReadOutcome

__all__ = ["Listed", "ManifestFile", "manifest_problems", "open_manifest"]

WRITES_MANIFEST = (RunPlanned, StepValidated, Decided, Approved)
"""The events after which the manifest must have been written anew.

An attempt's supervisor writes it too, after its last entry, and may be killed between the two; so the manifest may say
what was so after any entry since one of these.
"""

SHOWN = 4
SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True)
class Listed:
    """One artifact as the manifest lists it."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """The manifest as it lies there, or why it cannot be read."""

    document: dict[str, JsonValue]
    fault: str | None = None

    def listed(self, step: str) -> tuple[Listed, ...]:
        """Return what it lists for a step; an item that is no artifact of the step's checkpoint is left out."""
        steps = self.document.get("artifacts")
        items = steps.get(step) if isinstance(steps, dict) else None
        return tuple(_listed(items, step.partition("/")[0])) if isinstance(items, list) else ()


def open_manifest(run: RunDirectory) -> ManifestFile:
    """Read the manifest of a run."""
    try:
        document = read_manifest(run.manifest.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ManifestFile({}, "is missing; the next verdict or decision writes it again from the ledger")
    except (OSError, ValueError, RecursionError) as error:
        return ManifestFile({}, f"is not a manifest: {error}")
    return ManifestFile(document, None if document else "is not a manifest")


def manifest_problems(
    run: RunDirectory, folded: FoldedLedger, outcomes: Iterable[ReadOutcome], manifest: ManifestFile
) -> list[Problem]:
    """Compare what the manifest says of the run's state with the fold of the ledger.

    Steps whose outcome cannot be read are left out: what the manifest lists for them is compared with the files.
    """
    if not folded.holds or folded.state is None:
        return []
    if manifest.fault is not None:
        return [Problem(run.manifest.name, None, manifest.fault)]
    try:
        spec = sealed_spec(run, folded.state)
    except Refusal:
        spec = None
    by_attempt = {read.event.attempt: read for read in outcomes}
    writes = [at for at, item in enumerate(folded.recorded) if isinstance(item.event, WRITES_MANIFEST)]
    newest = [*folded.recorded[writes[-1] :]]

    def differences(state: RunState) -> list[str]:
        return list(_differences(manifest.document, state, spec, by_attempt))

    if any(not differences(item.state) for item in newest):
        return []
    for at in reversed(writes[:-1]):
        if not differences(folded.recorded[at].state):
            what = f"is behind the ledger: it says what was so at line {folded.recorded[at].line} of it"
            return [Problem(run.manifest.name, None, what)]
    found = differences(newest[0].state)
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return [Problem(run.manifest.name, None, f"differs from the ledger: {'; '.join(found[:SHOWN])}{more}")]


def _differences(
    document: dict[str, JsonValue], state: RunState, spec: GoalSpec | None, by_attempt: dict[int, ReadOutcome]
) -> Iterator[str]:
    outcomes: dict[str, Outcome] = {}
    untold: set[str] = set()
    for step, sealed in state.sealed.items():
        read = by_attempt.get(sealed.attempt)
        if read is None or read.outcome is None:
            untold.add(step)
        else:
            outcomes[step] = read.outcome
    yield from _known_at_planning(document, state)
    if spec is None:  # that spec.yaml was changed is said already; what does not come from it is still compared
        yield from _unlike(_part(document, "run").get("status"), state.status, "run.status")
    else:
        built = updated_manifest(document, state, spec, finished_at=None, outcomes=outcomes)
        run = _part(built, "run") | {"finished_at_utc": _part(document, "run").get("finished_at_utc")}
        yield from _unlike(document.get("run"), run, "run")
        yield from _unlike(document.get("params"), json.loads(json.dumps(built["params"])), "params")
        told = {step: value for step, value in _part(document, "executors").items() if step not in untold}
        yield from _unlike(told, json.loads(json.dumps(built["executors"])), "executors")
        if not untold and (document.get("computed_with") or built["computed_with"]):
            yield from _unlike(document.get("computed_with"), built["computed_with"], "computed_with")
    present = _part(document, "artifacts")
    for step in dict.fromkeys([*outcomes, *present]):
        if step not in untold:
            yield from _unlike_lists(present.get(step), outcomes[step].artifacts if step in outcomes else (), step)


def _known_at_planning(document: dict[str, JsonValue], state: RunState) -> Iterator[str]:
    run, data = _part(document, "run"), _part(document, "data")
    yield from _unlike(run.get("run_id"), state.run_id, "run.run_id")
    yield from _unlike(run.get("objective"), state.objective, "run.objective")
    yield from _unlike(data.get("sha256"), state.data.sha256, "data.sha256")
    yield from _unlike(data.get("bytes"), state.data.bytes, "data.bytes")
    yield from _unlike(data.get("gene_lists") or {}, {**(state.data.gene_lists or {})}, "data.gene_lists")


def _unlike(said: JsonValue, expected: JsonValue, place: str) -> Iterator[str]:
    if isinstance(said, dict) and isinstance(expected, dict):
        for key in dict.fromkeys([*expected, *said]):
            yield from _unlike(said.get(key), expected.get(key), f"{place}.{key}")
    elif said != expected:
        yield f"{place} is {_shown(said)}, by the ledger {_shown(expected)}"


def _unlike_lists(said: JsonValue, artifacts: tuple[Artifact, ...], step: str) -> Iterator[str]:
    expected = [{"path": item.path, "bytes": item.bytes, "sha256": item.sha256} for item in artifacts]
    if said == expected:
        return
    items = said if isinstance(said, list) else []
    wrong = [item["path"] for item in expected if item not in items]
    if wrong:
        yield f"artifacts of {step}: it does not list {len(wrong)} of {len(expected)} as sealed, first {wrong[0]}"
    else:
        yield f"artifacts of {step}: it lists {len(items)}, {len(expected)} were sealed"


def _listed(items: list[JsonValue], checkpoint: str) -> Iterator[Listed]:
    for item in items:
        if not isinstance(item, dict):
            continue
        path, size, digest = item.get("path"), item.get("bytes"), item.get("sha256")
        if not (isinstance(path, str) and isinstance(size, int) and isinstance(digest, str)):
            continue
        parts = PurePosixPath(path).parts  # anybody can edit the manifest: no path of it leads out of the run
        if parts[:1] == (checkpoint,) and ".." not in parts:
            yield Listed(path, size, digest)


def _part(document: dict[str, JsonValue], name: str) -> dict[str, JsonValue]:
    part = document.get(name)
    return part if isinstance(part, dict) else {}


def _shown(value: JsonValue) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "..."
