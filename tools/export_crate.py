"""Export a run as a Workflow Run RO-Crate: its record, its sealed results, and their provenance, for anybody to read.

Reads the run directory and nothing else. The profile is the Provenance Run Crate: the sealed spec is the workflow, each
step of it has its attempts, and verdicts, decisions and approvals are acts with whoever acted.
"""

import re
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pydantic import JsonValue

from stagewright.state.artifacts import Artifact
from stagewright.state.chain import Entry
from stagewright.state.ledger import Ledger
from stagewright.state.manifest import read_manifest
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState
from stagewright.tools.best_result import best_result
from stagewright.tools.crate.actions import add_actions
from stagewright.tools.crate.contents import CrateFile, copy_contents
from stagewright.tools.crate.graph import Entity, Graph
from stagewright.tools.crate.preview import PREVIEW, preview_page
from stagewright.tools.crate.workflow import add_workflow
from stagewright.tools.crate.write_metadata import check_installed, write_metadata
from stagewright.tools.run_story import RunStory, outcome_of, tell_run
from stagewright.tools.verify_run import verify_run
from stagewright.tools.workspace import Workspace, not_allowed

__all__ = ["Author", "Exported", "export_crate", "parse_author"]

NO_LICENCE = "No licence was stated when this crate was made; ask its authors before you use it."
SHOWN_PROBLEMS = 5
_AUTHOR = re.compile(r"^\s*(?P<name>[^<>]+?)\s*(<(?P<orcid>[^<>\s]+)>)?\s*$")
_ORCID = re.compile(r"^(https?://orcid\.org/)?(?P<number>\d{4}-\d{4}-\d{4}-\d{3}[\dX])$")
_SPDX = re.compile(r"^[A-Za-z0-9][A-Za-z0-9.+-]*$")


@dataclass(frozen=True, slots=True)
class Author:
    """Somebody who made the study."""

    name: str
    orcid: str | None = None

    @property
    def entity(self) -> Entity:
        """The author as an entity of the crate."""
        address = f"#author/{quote(self.name)}" if self.orcid is None else self.orcid
        return {"@id": address, "@type": "Person", "name": self.name}


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes
    ----------
    left_out
        Sealed artifacts that were named and not copied.
    """

    place: Path
    files: int
    bytes: int
    left_out: tuple[CrateFile, ...]


def parse_author(text: str) -> Author:
    """Return the author that ``Name`` or ``Name <orcid>`` means.

    Raises
    ------
    ValueError
        When it is neither.

    >>> parse_author("Ada Lovelace <0000-0002-1825-0097>").orcid
    'https://orcid.org/0000-0002-1825-0097'
    """
    found = _AUTHOR.match(text)
    orcid = None if found is None or found["orcid"] is None else _ORCID.match(found["orcid"])
    if found is None or (found["orcid"] is not None and orcid is None):
        raise ValueError(f"{text!r}: write a name, or a name with an ORCID: 'Ada Lovelace <0000-0002-1825-0097>'")
    return Author(found["name"], None if orcid is None else f"https://orcid.org/{orcid['number']}")


def export_crate(
    workspace: Workspace,
    named: str,
    place: Path,
    *,
    largest_bytes: int,
    licence: str | None = None,
    authors: tuple[Author, ...] = (),
) -> Exported:
    """Write the crate of a run, whole or not at all.

    Parameters
    ----------
    named
        The run.
    place
        A folder, or a file that ends in ``.zip``; neither may be there yet.
    largest_bytes
        Sealed artifacts above this size are named, with size and sha256, and not copied.
    licence
        An address, an SPDX identifier such as ``CC-BY-4.0``, or words.

    Raises
    ------
    Refusal
        `unavailable` without the extra; `not_allowed_now` while a step runs; `damaged` where the run does not verify;
        `invalid_argument` where something lies at the place; `unknown_run`.
    """
    check_installed()
    ledger = workspace.ledger(named)
    run, state = ledger.run, ledger.read()
    if state.status == "running":
        raise not_allowed(state, f"{state.step} is running and its files are on the move; export when it has ended.")
    if place.exists() or place.is_symlink():
        raise Refusal("invalid_argument", f"{place} is there already; name another place with --out, or move it away")
    _check_verifies(run)
    head = ledger.log.head()
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        exported = _written(ledger, state, scratch / "crate", largest_bytes, licence, authors)
        if ledger.log.head() != head:
            raise Refusal("run_locked", "the run moved on while it was copied; nothing was written. Export it again.")
        if place.suffix == ".zip":
            _zip(scratch / "crate", scratch / "crate.zip")
            (scratch / "crate.zip").rename(place)
        else:
            (scratch / "crate").rename(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    size = sum(file.bytes for file in exported.values() if file.copied)
    left_out = tuple(file for file in exported.values() if not file.copied)
    return Exported(place, sum(file.copied for file in exported.values()), size, left_out)


def _check_verifies(run: RunDirectory) -> None:
    problems = [str(problem) for problem in verify_run(run)]
    if problems:
        more = [f"and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else []
        listed = "\n".join(f"  {line}" for line in [*problems[:SHOWN_PROBLEMS], *more])
        raise Refusal(
            "damaged",
            f"the record of {run.run_id} does not hold together, and a crate of it would say that it does:\n{listed}\n"
            f"Mend what `stagewright verify {run.run_id}` names, then export again.",
            run_id=run.run_id,
        )


def _written(
    ledger: Ledger, state: RunState, folder: Path, largest_bytes: int, licence: str | None, authors: tuple[Author, ...]
) -> dict[str, CrateFile]:
    run = ledger.run
    story = tell_run(ledger.log.verified())
    written, artifacts = _artifacts(run, story, state)
    files = copy_contents(run, artifacts, folder, largest_bytes)
    manifest = read_manifest((folder / run.manifest.name).read_text(encoding="utf-8"))
    graph = Graph(files.values())
    data = add_workflow(graph, story, *_code(manifest))
    add_actions(graph, story, state, data, written)
    best = best_result(run, state)
    head = ledger.log.head()
    root: Entity = {
        "name": f"Stagewright run {state.run_id}",
        "description": f"{state.objective} Status: {state.status} at {state.step}."
        + ("" if best is None else f" Best, by {best.step}: {best.configuration or 'see the metrics'}."),
        "identifier": state.run_id,
        "license": _licence(graph, licence),
        "additionalProperty": [
            graph.value("#ledger/head", "hash of the last entry of logs/agent_run.log", head.hash),
            graph.value("#ledger/entries", "entries of logs/agent_run.log", head.seq),
        ],
    }
    document = write_metadata(folder, graph, root, [author.entity for author in authors])
    validation = [*ledger.detail("validation").entries()]
    page = preview_page(story, state, best, files.values(), manifest, _last_findings(validation), document, head.hash)
    (folder / PREVIEW).write_text(page, encoding="utf-8")
    return files


def _last_findings(entries: list[Entry]) -> dict[int, list[Entry]]:
    """Return the findings that were no pass, by the attempt that they judge."""
    found: dict[int, list[Entry]] = {}
    for entry in entries:
        attempt = entry.get("attempt")
        if isinstance(attempt, int) and entry.get("severity") != "pass":
            found.setdefault(attempt, []).append(entry)
    return found


def _artifacts(run: RunDirectory, story: RunStory, state: RunState) -> tuple[dict[int, list[str]], dict[str, Artifact]]:
    """Return the artifacts that the run has now: by attempt their paths, and by path what was sealed."""
    written: dict[int, list[str]] = {}
    found: dict[str, Artifact] = {}
    for sealed in state.sealed.values():
        outcome = outcome_of(run, story.attempts[sealed.attempt])
        if outcome is not None:
            written[sealed.attempt] = [item.path for item in outcome.artifacts]
            found |= {item.path: item for item in outcome.artifacts}
    return written, found


def _code(manifest: dict[str, JsonValue]) -> tuple[str | None, dict[str, str]]:
    code = manifest.get("code")
    said = code if isinstance(code, dict) else {}
    packages, digest = said.get("packages"), said.get("stagewright_sha256")
    versions = packages if isinstance(packages, dict) else {}
    return digest if isinstance(digest, str) else None, {
        name: version for name, version in versions.items() if isinstance(version, str)
    }


def _licence(graph: Graph, licence: str | None) -> JsonValue:
    if licence is None:
        return NO_LICENCE
    if re.match(r"^https?://\S+$", licence):
        return graph.add(licence, "CreativeWork", name=licence)
    if _SPDX.match(licence):
        return graph.add(f"https://spdx.org/licenses/{licence}", "CreativeWork", name=licence)
    return licence


def _zip(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
