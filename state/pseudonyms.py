"""Name patients by a keyed hash: the same patient by the same name under one key, and no way back without the key.

One rule for planning, stages and gates, which cannot see each other and have to agree on every name. They apply it
where obs is read, so that nothing that is made of it has any other name. Orders and seeds follow the pseudonyms, never
the ids behind them: a table in the order of the ids, or folds whose seed is made of an id, would tell who is who to
everybody with a list of patients.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stagewright.state.raw_ids import has_word, is_short
from stagewright.state.spec.data import ColumnFilter, DataScope

__all__ = ["Pseudonyms", "make_pseudonyms"]

DONOR, CELL = "donor", "cell"
FEWEST_DIGITS, MORE_DIGITS, MOST_DIGITS = 8, 4, 64
CELL_DIGITS = 20
Pairs = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Pseudonyms:
    """The names of one data file under one key.

    Attributes
    ----------
    patient_column
        Of obs.
    columns
        By obs column, the new name of each level that names a patient; the patient column is one of them.
    cells
        Whether names of cells name patients, so that cells are renamed.
    """

    patient_column: str
    columns: Mapping[str, Mapping[str, str]]
    cells: bool
    _key: bytes = field(repr=False)

    @property
    def donors(self) -> Mapping[str, str]:
        """The pseudonym of each patient, by its id."""
        return self.columns[self.patient_column]

    def cell(self, name: str) -> str:
        """Return the name of a cell."""
        return f"{CELL}-{_hash(self._key, CELL, name)[:CELL_DIGITS]}" if self.cells else name

    def scope(self, scope: DataScope) -> DataScope:
        """Return a scope whose filters and time points name levels as they are named now."""
        filters = tuple(self._filter(item) for item in scope.filters)
        timepoint = scope.timepoint
        if timepoint is not None:
            timepoint = timepoint.model_copy(update={"keep": self._levels(timepoint.column, timepoint.keep)})
        return scope.model_copy(update={"filters": filters, "timepoint": timepoint})

    def _filter(self, item: ColumnFilter) -> ColumnFilter:
        levels = {
            "keep": None if item.keep is None else self._levels(item.column, item.keep),
            "drop": None if item.drop is None else self._levels(item.column, item.drop),
        }
        return item.model_copy(update=levels)

    def _levels(self, column: str, levels: tuple[str, ...]) -> tuple[str, ...]:
        renamed = self.columns.get(column, {})
        return tuple(renamed.get(level, level) for level in levels)


def make_pseudonyms(
    key: bytes, patient_column: str, patients: Iterable[str], columns: Mapping[str, Pairs], cells: Pairs
) -> Pseudonyms:
    """Return the names for a data file; everything is to be of the whole file, so that a part of it agrees.

    Parameters
    ----------
    patients
        Every id of the patient column.
    columns
        Of each other obs column that is loaded, but for the label's: every pair of level and patient that a cell has.
    cells
        Every cell's name and patient.
    """
    donors = _named(key, DONOR, sorted(set(patients)))
    renamed = {patient_column: donors}
    for column, pairs in columns.items():
        levels = _levels_that_name(list(pairs), donors)
        if levels:
            renamed[column] = _named(key, column, sorted(levels - donors.keys()))
            renamed[column] |= {level: donors[level] for level in levels & donors.keys()}
    return Pseudonyms(patient_column, renamed, _cells_name(cells, donors), key)


def _named(key: bytes, kind: str, texts: list[str]) -> dict[str, str]:
    """Return the pseudonyms of different texts, with the fewest digits by which all of them are told apart."""
    hashes = [_hash(key, kind, text) for text in texts]
    digits = next(
        n
        for n in range(FEWEST_DIGITS, MOST_DIGITS + 1, MORE_DIGITS)
        if len({one[:n] for one in hashes}) == len(texts) or n == MOST_DIGITS
    )
    return {text: f"{kind}-{one[:digits]}" for text, one in zip(texts, hashes, strict=True)}


def _levels_that_name(pairs: list[tuple[str, str]], donors: Mapping[str, str]) -> set[str]:
    """Return the levels that have the id of a patient in them whose cells have the level.

    An id that may stand in a level by chance counts only where the column repeats the patient column as a whole.
    """
    repeats = all(level == patient for level, patient in pairs)
    return {
        level
        for level, patient in pairs
        if patient in donors and (repeats or (not is_short(patient) and has_word(level, patient)))
    }


def _cells_name(cells: Pairs, donors: Mapping[str, str]) -> bool:
    """Return whether the name of a cell has its patient's id in it; of short ids, whether all names have."""
    of_short: set[str] = set()
    all_short = True
    for name, patient in cells:
        if patient not in donors:
            continue
        if not is_short(patient):
            if patient in name and has_word(name, patient):
                return True
        elif all_short:
            of_short.add(patient)
            all_short = patient in name and has_word(name, patient)
    return all_short and len(of_short) > 1


def _hash(key: bytes, kind: str, text: str) -> str:
    return hmac.digest(key, f"{kind}\n{text}".encode(), "sha256").hex()
