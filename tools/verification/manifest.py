"""Verify run_manifest.yaml against what the ledger says, and read what it lists."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from pydantic import JsonValue

from stagewright.state.artifacts import Artifact, Outcome
from stagewright.state.chain import Problem
from stagewright.state.events import Approved, Decided, RunPlanned, StepValidated
from stagewright.state.manifest import LATER, digest_planned, manifest_text, read_manifest, updated_manifest
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
    text: str = ""

    def listed(self, step: str) -> tuple[Listed, ...]:
        """Return what it lists for a step; an item that is no artifact of the step's checkpoint is left out."""
        steps = self.document.get("artifacts")
        items = steps.get(step) if isinstance(steps, dict) else None
        return tuple(_listed(items, step.partition("/")[0])) if isinstance(items, list) else ()


def open_manifest(run: RunDirectory) -> ManifestFile:
    """Read the manifest of a run."""
    try:
        text = run.manifest.read_bytes().decode()
        document = read_manifest(text)
    except FileNotFoundError:
        return ManifestFile({}, "is missing; the next verdict or decision writes it again from the ledger")
    except (OSError, ValueError, RecursionError) as error:
        return ManifestFile({}, f"is not a manifest: {error}")
    return ManifestFile(document, None if document else "is not a manifest", text)


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
    newest = folded.recorded[writes[-1]]
    since = f"it was written last at {newest.at} (agent_run.log:{newest.line})"

    def built(at: int) -> _Built:
        return _build(manifest.document, folded, at, spec, by_attempt)

    for at in range(writes[-1], len(folded.recorded)):
        if not built(at).differences:
            return [Problem(run.manifest.name, None, what, since) for what in _unsealed(manifest, folded, built(at))]
    for at in reversed(writes[:-1]):
        if not built(at).differences:
            what = f"is behind the ledger: it says what was so at line {folded.recorded[at].line} of it"
            return [Problem(run.manifest.name, None, what, f"it is as it was at {folded.recorded[at].at}")]
    found = built(writes[-1]).differences
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return [Problem(run.manifest.name, None, f"differs from the ledger: {'; '.join(found[:SHOWN])}{more}", since)]


@dataclass(frozen=True, slots=True)
class _Built:
    """What the manifest should say as of one entry, as far as that can be told, and where it says something else."""

    document: dict[str, JsonValue] | None
    differences: list[str]


def _unsealed(manifest: ManifestFile, folded: FoldedLedger, built: _Built) -> Iterator[str]:
    """Yield what is wrong with a manifest that says of the run's state what the ledger does."""
    planned = folded.recorded[0].event
    sealed = planned.manifest_sha256 if isinstance(planned, RunPlanned) else None
    if sealed is not None and digest_planned(manifest.document) != sealed:
        yield "was changed in what it keeps from planning (command, code, data, environment, gates or notes)"
    elif not _in_its_form(manifest.text) or json.dumps(built.document or manifest.document) != json.dumps(
        manifest.document
    ):
        yield "says what the ledger says, and its bytes are not the form that was written"


@lru_cache(maxsize=8)
def _in_its_form(text: str) -> bool:
    """Return whether a manifest is written as ours are. Writing one takes long; a run is often verified twice."""
    return manifest_text(read_manifest(text)) == text


def _build(
    document: dict[str, JsonValue],
    folded: FoldedLedger,
    at: int,
    spec: GoalSpec | None,
    by_attempt: dict[int, ReadOutcome],
) -> _Built:
    state = folded.recorded[at].state
    outcomes: dict[str, Outcome] = {}
    untold: set[str] = set()
    for step, sealed in state.sealed.items():
        read = by_attempt.get(sealed.attempt)
        if read is None or read.outcome is None:
            untold.add(step)
        else:
            outcomes[step] = read.outcome
    differing = [*_known_at_planning(document, state)]
    expected: dict[str, JsonValue] | None = None
    if spec is None:  # that spec.yaml was changed is said already; what does not come from it is still compared
        differing += _unlike(_part(document, "run").get("status"), state.status, "run.status")
    else:
        ended = next((item.at for item in folded.recorded if item.state.finished), None) if state.finished else None
        updated = updated_manifest(document, state, spec, finished_at=ended, outcomes=outcomes)
        later = () if at == 0 else LATER  # what is planned has none of these yet
        expected = {key: value for key, value in json.loads(json.dumps(updated)).items() if key not in LATER}
        expected |= {key: json.loads(json.dumps(updated[key])) for key in later}
        for name in ("run", "params", *LATER):
            differing += _unlike(document.get(name), expected.get(name), name)
        told = {step: value for step, value in _part(document, "executors").items() if step not in untold}
        differing += _unlike(told, expected["executors"], "executors")
        if not untold and (document.get("computed_with") or expected["computed_with"]):
            differing += _unlike(document.get("computed_with"), expected["computed_with"], "computed_with")
    present = _part(document, "artifacts")
    for step in dict.fromkeys([*outcomes, *present]):
        if step not in untold:
            differing += _unlike_lists(present.get(step), outcomes[step].artifacts if step in outcomes else (), step)
    return _Built(None if untold else expected, differing)


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
