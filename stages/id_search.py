"""Look for the ids of a data file's patients in the files of a run, and name patients for who asks for the way back."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import JsonValue

from stagewright.stages.cohort.open_data import open_data
from stagewright.stages.cohort.pseudonymise import read_study_columns
from stagewright.stages.cohort.sealed_file import check_sealed
from stagewright.stages.cohort.unreadable import CohortMismatch, CohortUnreadable
from stagewright.state.id_search import IdFound, IdSearch, IdsFound, PseudonymsAnswer, PseudonymsOf
from stagewright.state.pseudonym_key import KeyUnusable
from stagewright.state.raw_ids import RawIds, is_short
from stagewright.state.snapshot import write_atomically

__all__ = ["answer_id_search", "answer_pseudonyms", "search_ids"]

SHOWN = 20


def answer_id_search(request: Path, answer: Path) -> int:
    """Answer the request in one file with another; return the exit status, 0."""
    found = search_ids(IdSearch.model_validate_json(request.read_bytes()))
    write_atomically(answer, found.model_dump_json() + "\n")
    return 0


def answer_pseudonyms(request: Path, answer: Path) -> int:
    """Answer the request in one file with another; return the exit status, 0."""
    asked = PseudonymsOf.model_validate_json(request.read_bytes())
    try:
        found = PseudonymsAnswer(names={**_donors(asked)})
    except (CohortUnreadable, CohortMismatch, KeyUnusable, OSError) as error:
        found = PseudonymsAnswer(fault=str(error))
    write_atomically(answer, found.model_dump_json() + "\n")
    return 0


def search_ids(asked: IdSearch) -> IdsFound:
    """Return which lines of the files name patients by their ids."""
    try:
        donors = _donors(asked.of)
    except (CohortUnreadable, CohortMismatch, KeyUnusable, OSError) as error:
        return IdsFound(fault=str(error))
    ids = RawIds(donors)
    lines: list[IdFound] = []
    for name, path in asked.files.items():
        for number, text in _lines(Path(path)):
            found = ids.in_value(_parsed(text)) if text.startswith("{") else ids.in_text(text)
            if found:
                lines.append(IdFound(file=name, line=number, donors=tuple(sorted(donors[raw] for raw in found))))
    return IdsFound(
        n_ids=len(donors),
        n_short=sum(map(is_short, donors)),
        n_files=len(asked.files),
        n_lines=len(lines),
        found=tuple(lines[:SHOWN]),
    )


def _donors(asked: PseudonymsOf) -> Mapping[str, str]:
    check_sealed(asked.data)
    with open_data(Path(asked.data.path)) as file:
        pseudonyms = read_study_columns(file, asked.scope, asked.key).pseudonyms
    return {} if pseudonyms is None else pseudonyms.donors


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from enumerate(file, start=1)
    except OSError:
        return  # `verify` names a file that cannot be read


def _parsed(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value
