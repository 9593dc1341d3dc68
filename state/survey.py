"""What planning asks of a data file and what a child process answers: facts from its obs and metadata alone."""

from pydantic import Field, JsonValue

from stagewright.state.holdout import HoldoutDraw, HoldoutWish
from stagewright.state.pseudonym_key import PseudonymKey
from stagewright.state.records import Record, SealedData
from stagewright.state.spec.data import DataScope

__all__ = ["PatientCells", "SuggestAnswer", "SuggestRequest", "Survey", "SurveyRequest"]


class SurveyRequest(Record):
    """Look into a file with the eyes of one data scope; count which of some lists of genes it has, by their names.

    With a wish for a hold-out, patients are drawn for it first, and everything else is said of the others. With
    pseudonyms, patients are named by them, and `texts` (by what each is) are looked through for ids.
    """

    path: str
    scope: DataScope
    genes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    holdout: HoldoutWish | None = None
    pseudonyms: PseudonymKey | None = None
    texts: dict[str, str] = Field(default_factory=dict)


class PatientCells(Record):
    """Cells in scope of one patient, by class."""

    patient: str
    positive: int
    negative: int


class Survey(Record):
    """What was found.

    Attributes
    ----------
    fault
        Why the file or the scope cannot be used; None when it can.
    n_obs, n_vars
        Shape of the whole file.
    n_obs_in_scope
        Cells that are left after filters and time points, with a patient and one of the two labels.
    filters
        What each filter left, in words.
    levels
        Of the obs columns that the study loads, over the whole file; without those that have more than 50.
    genes_found
        How many genes of each list the file has.
    holdout
        Who was drawn for the hold-out; of them nothing else is said.
    pseudonym_key_id
        Of the key by which patients are named here; None where they are named by their ids.
    """

    fault: str | None = None
    data: SealedData | None = None
    n_obs: int = 0
    n_vars: int = 0
    n_obs_in_scope: int = 0
    n_other_label: int = 0
    filters: tuple[str, ...] = ()
    patients: tuple[PatientCells, ...] = ()
    warnings: tuple[str, ...] = ()
    levels: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    genes_found: dict[str, int] = Field(default_factory=dict)
    holdout: HoldoutDraw | None = None
    pseudonym_key_id: str | None = None


class SuggestRequest(Record):
    """Guess the data section of a goal spec from a file."""

    path: str


class SuggestAnswer(Record):
    """What was guessed.

    Attributes
    ----------
    fault
        Why the file cannot be used; None when it can.
    facts, guesses
        In the shapes `FileFacts` and `Suggestions` of the stages' room.
    """

    fault: str | None = None
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    guesses: dict[str, JsonValue] = Field(default_factory=dict)
