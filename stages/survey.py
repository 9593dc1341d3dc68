"""Look into a data file for planning: does it hold what the goal spec names? Reads obs and metadata, no matrix."""

from pathlib import Path

from stagewright.stages.cohort.inspect_h5ad import inspect_h5ad
from stagewright.stages.cohort.obs_column import read_names
from stagewright.stages.cohort.open_h5ad import CohortMismatch, CohortUnreadable, open_h5ad
from stagewright.stages.cohort.records import CohortCounts, FileFacts
from stagewright.stages.cohort.tabulate import tabulate
from stagewright.state.canonical import digest_file
from stagewright.state.records import SealedData
from stagewright.state.snapshot import write_atomically
from stagewright.state.survey import PatientCells, Survey, SurveyRequest

__all__ = ["answer_survey", "survey"]


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
        counts = tabulate(path, asked.scope)
        genes_found = _genes_found(path, asked)
    except (CohortUnreadable, CohortMismatch) as error:
        return Survey(fault=str(error))
    except (OSError, KeyError, TypeError, ValueError) as error:  # a file that no check above foresaw
        return Survey(fault=f"{path} cannot be read as an AnnData file ({type(error).__name__}: {error})")
    return Survey(
        data=SealedData(path=str(path), bytes=path.stat().st_size, sha256=digest_file(path)),
        n_obs=facts["n_obs"],
        n_vars=facts["n_vars"],
        n_obs_in_scope=counts["n_kept"],
        n_other_label=counts["n_other_label"],
        filters=tuple(f"{step['column']}: {step['n_before']} -> {step['n_after']} cells" for step in counts["steps"]),
        patients=tuple(
            PatientCells(patient=item["patient"], positive=item["positive"], negative=item["negative"])
            for item in counts["patients"]
        ),
        warnings=_warnings(counts),
        genes_found=genes_found,
    )


def _genes_found(path: Path, asked: SurveyRequest) -> dict[str, int]:
    if not asked.genes:
        return {}
    with open_h5ad(path) as file:
        present = {str(name) for name in read_names(file, "raw/var" if asked.scope.counts == "raw" else "var")}
    return {name: sum(gene in present for gene in genes) for name, genes in asked.genes.items()}


def _fault(facts: FileFacts, asked: SurveyRequest) -> str | None:
    matrices = {matrix["location"] for matrix in facts["matrices"]}
    if asked.scope.counts not in matrices:
        return f"data.counts: the file has no {asked.scope.counts}; it has {', '.join(sorted(matrices))}"
    if not facts["obs_names_unique"]:
        return "obs names are not unique, so results could not be told apart; make them unique and save the file again"
    if not facts["var_names_unique"]:
        repeated = ", ".join(facts["repeated_var_names"])
        return f"var names are not unique (e.g. {repeated}); make them unique and save the file again"
    return None


def _warnings(counts: CohortCounts) -> tuple[str, ...]:
    warnings = []
    if counts["n_other_label"]:
        warnings.append(f"{counts['n_other_label']} cells have neither of the two labels and are left out")
    if counts["n_without_patient"]:
        warnings.append(f"{counts['n_without_patient']} cells have no patient and are left out")
    return tuple(warnings)
