"""Set up what a reproduction works on: a fresh root, the sealed spec with paths that hold there, the same data."""

from pathlib import Path
from typing import cast

from pydantic import JsonValue

from stagewright.state.canonical import data_bytes, digest_data
from stagewright.state.events import RunPlanned
from stagewright.state.layout import gene_list_file
from stagewright.state.refusals import LedgerCorrupt, Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState
from stagewright.tools.step_requests import sealed_spec

__all__ = ["data_of", "spec_for"]


def data_of(run: RunDirectory, planned: RunPlanned, given: Path | None) -> Path:
    """Return where the data of a run lie now, with the sealed content.

    Parameters
    ----------
    given
        A place that a person names, where the data were moved.

    Raises
    ------
    Refusal
        `invalid_data` when there is no file with that content.
    """
    sealed = planned.data
    named = Path(sealed.path)
    places = [given] if given is not None else [named, run.path.parent.parent / named.name]
    for place in places:
        if place.exists() and data_bytes(place) == sealed.bytes and digest_data(place) == sealed.sha256:
            return place.resolve()
    there = next((place for place in places if place.exists()), None)
    why = f"{places[0]} is not there" if there is None else f"{there} is another file now"
    raise Refusal(
        "invalid_data",
        f"the data of {run.run_id} have sha256 {sealed.sha256} and {sealed.bytes} bytes; {why}. Give the file with "
        "--data; nothing was executed.",
    )


def spec_for(
    run: RunDirectory, state: RunState, planned: RunPlanned, data: Path, root: Path, *, workers: int | None
) -> dict[str, JsonValue]:
    """Return the sealed spec as it is declared under `root`, and write the gene lists that it names there.

    Only what changes no result differs: where data and gene lists lie, and how many units work side by side. It is read
    from spec.yaml, because the ledger sorts its keys, and the order of columns shows in the bytes of a file.

    Raises
    ------
    Refusal
        `sealed` when spec.yaml is no longer the file that was sealed.
    """
    spec: dict[str, JsonValue] = sealed_spec(run, state).model_dump(mode="json", exclude_none=True)
    spec["data"] = _part(spec, "data") | {"path": str(data)}
    if workers is not None:
        spec["budget"] = _part(spec, "budget") | {"workers": workers}
    entries = spec.get("preprocess")
    digests = planned.data.gene_lists or {}
    if isinstance(entries, list):
        spec["preprocess"] = [_with_list(run, entry, digests, root) for entry in entries]
    return spec


def _with_list(run: RunDirectory, entry: JsonValue, digests: dict[str, str], root: Path) -> JsonValue:
    path = entry.get("path") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(path, str) or path not in digests:
        return entry
    place = root / "gene_lists" / digests[path][:12] / Path(path).name  # the name is part of what results are called
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.write_bytes((run.path / gene_list_file(digests[path])).read_bytes())
    except OSError as error:
        raise LedgerCorrupt(f"the sealed gene list {path} cannot be read: {error}") from error
    return cast("JsonValue", entry | {"path": str(place)})


def _part(spec: dict[str, JsonValue], name: str) -> dict[str, JsonValue]:
    part = spec.get(name)
    return part if isinstance(part, dict) else {}
