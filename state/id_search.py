"""What the child is asked that looks for ids of patients in files, and what it answers: pseudonyms, never an id.

The ids stay in the child. Only whoever asks for the way back (`PseudonymsOf`) is given them.
"""

from pydantic import Field

from stagewright.state.pseudonym_key import PseudonymKey
from stagewright.state.records import Record, SealedData
from stagewright.state.spec.data import DataScope

__all__ = ["IdFound", "IdSearch", "IdsFound", "PseudonymsAnswer", "PseudonymsOf"]


class PseudonymsOf(Record):
    """Name the patients of a data file."""

    data: SealedData
    scope: DataScope
    key: PseudonymKey


class PseudonymsAnswer(Record):
    """The pseudonym of each patient by its id.

    Attributes
    ----------
    fault
        Why there is no answer; None when there is one.
    """

    fault: str | None = None
    names: dict[str, str] = Field(default_factory=dict)


class IdSearch(Record):
    """Look for the ids of the patients in these files; by the name that the answer has, where each lies."""

    of: PseudonymsOf
    files: dict[str, str]


class IdFound(Record):
    """One line of a file that names patients by their ids, and their pseudonyms."""

    file: str
    line: int
    donors: tuple[str, ...]


class IdsFound(Record):
    """What was found.

    Attributes
    ----------
    fault
        Why nothing could be looked for; None when it could.
    n_ids, n_short
        Patients, and those of them whose ids are so short that they count only where a patient is meant.
    n_lines
        Lines with an id in all; `found` has the first of them.
    """

    fault: str | None = None
    n_ids: int = 0
    n_short: int = 0
    n_files: int = 0
    n_lines: int = 0
    found: tuple[IdFound, ...] = ()
