"""Look into a data file for planning: does it hold what the goal spec names? Reads obs and metadata, no matrix."""

from pathlib import Path

from stagewright.stages.cohort.inspect_h5ad import inspect_h5ad
from stagewright.stages.cohort.obs_column import read_names
from stagewright.stages.cohort.open_data import open_data
from stagewright.stages.cohort.pseudonymise import read_study_columns
from stagewright.stages.cohort.records import CohortCounts, FileFacts
from stagewright.stages.cohort.tabulate import tabulate
from stagewright.stages.cohort.unreadable import CohortMismatch, CohortUnreadable
from stagewright.stages.holdout.draw import draw_holdout, patient_digests
from stagewright.state.canonical import data_bytes, digest_data
from stagewright.state.holdout import HoldoutDraw, kept_patients
from stagewright.state.pseudonym_key import KeyUnusable
from stagewright.state.pseudonyms import Pseudonyms
from stagewright.state.raw_ids import RawIds
from stagewright.state.records import SealedData
from stagewright.state.snapshot import write_atomically
from stagewright.state.survey import PatientCells, Survey, SurveyRequest

__all__ = ["answer_survey", "survey"]

NUMBERS = ("bool", "int", "float")


def answer_survey(request: Path, answer: Path) -> int:
    """Answer the survey request in one file with another; return the exit status, 0."""
    asked = SurveyRequest.model_validate_json(request.read_bytes())
    write_atomically(answer, survey(asked).model_dump_json() + "\n")
    return 0


def survey(asked: SurveyRequest) -> Survey:
    """Return what planning has to know of a data file, or the fault that keeps a study from using it."""
    path = Path(asked.path)
    try:
        facts = inspect_h5ad(path)
        fault = _fault(facts, asked)
        if fault is not None:
            return Survey(fault=fault)
        pseudonyms = _pseudonyms(path, asked)
        counts, drawn = _counted(path, asked, pseudonyms)
        genes_found = _genes_found(path, asked)
    except (CohortUnreadable, CohortMismatch, KeyUnusable) as error:
        return Survey(fault=str(error))
    except (OSError, KeyError, TypeError, ValueError) as error:  # a file that no check above foresaw
        said = type(error).__name__ if asked.pseudonyms else f"{type(error).__name__}: {error}"  # it may quote an id
        return Survey(fault=f"{path} cannot be read as an AnnData file ({said})")
    return Survey(
        data=SealedData(path=str(path), bytes=data_bytes(path), sha256=digest_data(path)),
        n_obs=facts["n_obs"],
        n_vars=next(item["n_vars"] for item in facts["matrices"] if item["location"] == asked.scope.counts),
        n_obs_in_scope=counts["n_kept"],
        n_other_label=counts["n_other_label"],
        filters=tuple(f"{step['column']}: {step['n_before']} -> {step['n_after']} cells" for step in counts["steps"]),
        patients=tuple(
            PatientCells(patient=item["patient"], positive=item["positive"], negative=item["negative"])
            for item in counts["patients"]
        ),
        warnings=(*_warnings(facts, asked, counts), *_ids_in_texts(asked, pseudonyms)),
        levels=_levels(facts, asked, pseudonyms),
        genes_found=genes_found,
        holdout=drawn,
        pseudonym_key_id=None if asked.pseudonyms is None else asked.pseudonyms.key_id,
    )


def _pseudonyms(path: Path, asked: SurveyRequest) -> Pseudonyms | None:
    if asked.pseudonyms is None:
        return None
    with open_data(path) as file:
        return read_study_columns(file, asked.scope, asked.pseudonyms).pseudonyms


def _counted(
    path: Path, asked: SurveyRequest, pseudonyms: Pseudonyms | None
) -> tuple[CohortCounts, HoldoutDraw | None]:
    """Return the counts of the patients that the study works with, and those that were drawn for its hold-out."""
    counts = tabulate(path, asked.scope, asked.pseudonyms)
    if asked.holdout is None:
        return counts, None
    digests = patient_digests(path, asked.scope.patient, None if pseudonyms is None else pseudonyms.donors)
    drawn = draw_holdout(counts["patients"], digests, asked.holdout)
    working = [item["patient"] for item in counts["patients"] if item["patient"] not in drawn.patients]
    if not working:
        return {**counts, "n_kept": 0, "steps": [], "patients": []}, drawn
    others = tabulate(path, kept_patients(asked.scope, working), asked.pseudonyms)
    # The first step is the hold-out's own; cells without a patient, which it removed too, belong to nobody.
    kept: CohortCounts = {**others, "steps": others["steps"][1:], "n_without_patient": counts["n_without_patient"]}
    return kept, drawn


def _levels(facts: FileFacts, asked: SurveyRequest, pseudonyms: Pseudonyms | None) -> dict[str, tuple[str, ...]]:
    """Return the levels of the columns that the study loads, over the whole file, where all of them are known.

    Those of the patient column would name the patients of a hold-out.
    """
    hidden = () if asked.holdout is None else (asked.scope.patient,)
    renamed = {} if pseudonyms is None else pseudonyms.columns
    return {
        item["name"]: tuple(
            renamed.get(item["name"], {}).get(level["level"], level["level"]) for level in item["levels"]
        )
        for item in facts["obs_columns"]
        if item["name"] in asked.scope.obs_columns
        and item["name"] not in hidden
        and item["levels"]
        and item["n_unique"] == len(item["levels"])
    }


def _ids_in_texts(asked: SurveyRequest, pseudonyms: Pseudonyms | None) -> list[str]:
    """Return a warning for each text that names patients by their ids, without naming them once more."""
    if pseudonyms is None:
        return []
    ids = RawIds(pseudonyms.donors)
    filtered = {
        level
        for item in asked.scope.filters
        for level in (*(item.keep or ()), *(item.drop or ()))
        if item.column == asked.scope.patient and level in pseudonyms.donors
    }
    warnings = []
    for what, text in asked.texts.items():
        named = ids.in_text(text) | (filtered if what == next(iter(asked.texts)) else set())
        if named:
            warnings.append(
                f"privacy: {what} names {len(named)} patient{'' if len(named) == 1 else 's'} by the id in the data, "
                "and is sealed, logged and shown as it is; `stagewright pseudonyms RUN` lists what to write instead"
            )
    return warnings


def _genes_found(path: Path, asked: SurveyRequest) -> dict[str, int]:
    if not asked.genes:
        return {}
    with open_data(path) as file:
        present = {str(name) for name in read_names(file, "raw/var" if asked.scope.counts == "raw" else "var")}
    return {name: sum(gene in present for gene in genes) for name, genes in asked.genes.items()}


def _fault(facts: FileFacts, asked: SurveyRequest) -> str | None:
    place = asked.scope.counts
    fault = _matrix_fault(facts, place)
    if fault is not None:
        return fault
    if not facts["obs_names_unique"]:
        return "obs names are not unique, so results could not be told apart; make them unique and save the file again"
    repeated = facts["repeated_raw_var_names"] if place == "raw" else facts["repeated_var_names"]
    if repeated:
        return f"var names are not unique (e.g. {', '.join(repeated)}); make them unique and save the file again"
    return None


def _matrix_fault(facts: FileFacts, place: str) -> str | None:
    """Say why the matrix of counts cannot be used, from its place, shape and dtype."""
    matrices = {matrix["location"]: matrix for matrix in facts["matrices"]}
    if place not in matrices:
        return f"data.counts: the file has no {place}; it has {', '.join(sorted(matrices))}"
    matrix = matrices[place]
    if not (matrix["n_obs"] and matrix["n_vars"]):
        return (
            f"data.counts: {place} is {matrix['n_obs']} cells x {matrix['n_vars']} genes, so there is nothing to "
            "study; write the file before its cells or genes are filtered away"
        )
    if matrix["dtype"].lstrip("u").rstrip("0123456789") not in NUMBERS:
        return f"data.counts: {place} holds {matrix['dtype']}; counts are integers or real numbers"
    return None


def _warnings(facts: FileFacts, asked: SurveyRequest, counts: CohortCounts) -> tuple[str, ...]:
    warnings = []
    place = asked.scope.counts
    if any(matrix["location"] == place and matrix["dtype"] == "bool" for matrix in facts["matrices"]):
        warnings.append(f"{place} holds yes or no, not counts: each yes is taken as a count of one")
    if counts["n_other_label"]:
        warnings.append(f"{counts['n_other_label']} cells have neither of the two labels and are left out")
    if counts["n_without_patient"]:
        warnings.append(f"{counts['n_without_patient']} cells have no patient and are left out")
    return tuple(warnings)
