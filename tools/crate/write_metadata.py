"""Write the entities of a crate as ro-crate-metadata.json, through `rocrate`: an extra, loaded only here."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from pydantic import JsonValue

from stagewright.state.refusals import Refusal
from stagewright.tools.crate.graph import Entity, Graph, ref
from stagewright.tools.crate.workflow import SPEC

__all__ = ["CRATE_EXTRA", "METADATA", "check_installed", "write_metadata"]

CRATE_EXTRA = "stagewright[crate]"
METADATA = "ro-crate-metadata.json"
RO_CRATE = "1.1"  # the version that the profiles below are written for
WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    WORKFLOW_CRATE: ("Workflow RO-Crate", "1.0"),
}
TERMS = {name: f"https://w3id.org/ro/terms/workflow-run#{name}" for name in ("environment", "resourceUsage", "sha256")}


def check_installed() -> None:
    """Refuse where `rocrate` is not installed.

    Raises
    ------
    Refusal
        `unavailable`, with the extra to install.
    """
    if find_spec("rocrate") is None:
        raise Refusal(
            "unavailable",
            "the package `rocrate` is not installed, and a crate is written through it; install the extra in this "
            f"environment: {sys.executable} -m pip install '{CRATE_EXTRA}'",
        )


def write_metadata(folder: Path, graph: Graph, root: Entity, authors: Iterable[Entity] = ()) -> dict[str, JsonValue]:
    """Write ro-crate-metadata.json and return what it says.

    Parameters
    ----------
    folder
        The crate's; the files lie there already.
    root
        What is said of the crate as a whole.
    authors
        Who made the study, as entities of their own.
    """
    from rocrate.model.contextentity import ContextEntity  # noqa: PLC0415 - an extra
    from rocrate.rocrate import ROCrate  # noqa: PLC0415 - as above

    crate = ROCrate(version=RO_CRATE)
    crate.metadata.extra_terms.update(TERMS)
    people = list(authors)
    # The files too: they lie there already, and the library would look each one up in a list of all before it.
    for said in [*graph.data.values(), *graph.context.values(), *people]:
        crate.add(ContextEntity(crate, said["@id"], {name: _single(value) for name, value in said.items()}))
    for address, (name, version) in PROFILES.items():
        crate.add(ContextEntity(crate, address, {"@type": "CreativeWork", "name": name, "version": version}))
    about = root | {
        "conformsTo": [ref(address) for address in PROFILES],
        "mainEntity": ref(SPEC),
        "hasPart": [ref(address) for address in graph.data],
        "mentions": [ref(address) for address in graph.mentions],
        "datePublished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if people:
        about["author"] = [ref(str(person["@id"])) for person in people]
    for name, value in about.items():
        crate.root_dataset[name] = value
    crate.metadata["conformsTo"] = [ref(f"https://w3id.org/ro/crate/{RO_CRATE}"), ref(WORKFLOW_CRATE)]
    crate.metadata.write(folder)
    document: dict[str, JsonValue] = crate.metadata.generate()
    return document


def _single(value: JsonValue) -> JsonValue:
    """Return a value as RO-Crate wants it written: one of a kind is no list."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value
