"""Where the stages' artifacts lie inside a run directory. Stages write there, gates expect them there."""

from pathlib import PurePosixPath

from stagewright.state.spec.goal import Checkpoint

__all__ = [
    "NULL_TWIN",
    "TWIN",
    "analysis",
    "classification_cell",
    "command_output",
    "fold_genes_folder",
    "gene_list_file",
    "grid_cell",
    "grid_folder",
    "held_out_file",
    "k_curves_file",
    "k_folder",
    "null_twin_summary",
    "permutation_folder",
    "permuted_cell",
    "permuted_grid_folder",
    "plan1c_folder",
    "plan1c_twin_summary",
    "preprocess_folder",
    "replicate_folder",
    "search_cell",
    "search_folder",
    "survey_file",
    "twin_genes_folder",
]

TWIN = 0
"""The permutation of the labels that is the null twin of Plan 1B and 1C; Plan 2 counts its own from 1."""
NULL_TWIN = "null_twin"


def analysis(checkpoint: Checkpoint) -> PurePosixPath:
    """Return the folder of a checkpoint's results, relative to the run directory."""
    return PurePosixPath(checkpoint) / "analysis"


def k_folder(checkpoint: Checkpoint, method: str, k: int) -> PurePosixPath:
    """Return Plan 0's folder for one method and K."""
    return analysis(checkpoint) / "plan0" / "stability" / method / f"k_{k}"


def replicate_folder(checkpoint: Checkpoint, method: str, k: int, seed: int) -> PurePosixPath:
    """Return Plan 0's folder for one replicate of one method and K; `seed` is its number."""
    return k_folder(checkpoint, method, k) / "replicates" / f"seed_{seed}"


def held_out_file(checkpoint: Checkpoint, method: str, k: int) -> PurePosixPath:
    """Return where Plan 0 writes how well held-out cells are predicted by one method and K."""
    return k_folder(checkpoint, method, k) / "held_out.json"


def k_curves_file(checkpoint: Checkpoint, method: str) -> PurePosixPath:
    """Return where Plan 0 writes the two curves by which the authors of consensus NMF choose K."""
    return analysis(checkpoint) / "plan0" / "stability" / method / "k_selection_stats.csv"


def preprocess_folder(checkpoint: Checkpoint, tag: str) -> PurePosixPath:
    """Return Plan 1's folder for the data of one preprocess, with its embeddings."""
    return analysis(checkpoint) / "preprocess_cache" / tag


def classification_cell(checkpoint: Checkpoint, tag: str, method: str) -> PurePosixPath:
    """Return the folder of one cell of the classification grid: one preprocess and one method."""
    return analysis(checkpoint) / "classification_grid" / tag / method


def fold_genes_folder(
    checkpoint: Checkpoint, tag: str, repeat: int, fold: int, permutation: int | None = None
) -> PurePosixPath:
    """Return where a gene selection on the training cells of one fold is logged, under CV scope `pipeline`."""
    root = analysis(checkpoint) if permutation is None else permutation_folder(checkpoint, permutation)
    return root / "preprocess_cache" / tag / "folds" / f"repeat_{repeat}_fold_{fold}"


def permutation_folder(checkpoint: Checkpoint, number: int) -> PurePosixPath:
    """Return the folder for one permutation of the labels, which mirrors the folder of a checkpoint's results.

    Plan 2 counts its permutations from 1; number `TWIN` is that of the null twin of Plan 1B and 1C.
    """
    if number == TWIN:
        return analysis(checkpoint) / NULL_TWIN
    return analysis(checkpoint) / "plan2" / f"permutation_{number}"


def permuted_grid_folder(checkpoint: Checkpoint, number: int, stage: str) -> PurePosixPath:
    """Return the folder of a stage's grid under one permutation of the labels."""
    return permutation_folder(checkpoint, number) / grid_folder(checkpoint, stage).name


def permuted_cell(checkpoint: Checkpoint, number: int, stage: str, tag: str, method: str) -> PurePosixPath:
    """Return the folder of one cell of a stage's grid under one permutation of the labels."""
    return permuted_grid_folder(checkpoint, number, stage) / tag / method


def null_twin_summary(checkpoint: Checkpoint) -> PurePosixPath:
    """Return where Plan 1B writes one row for each configuration of its null twin."""
    return permutation_folder(checkpoint, TWIN) / "null_twin_summary.csv"


def plan1c_twin_summary(checkpoint: Checkpoint) -> PurePosixPath:
    """Return where Plan 1C writes one row for each model of its null twin."""
    return permutation_folder(checkpoint, TWIN) / "plan1c_summary.csv"


def twin_genes_folder(checkpoint: Checkpoint, stage: str, tag: str) -> PurePosixPath:
    """Return where the genes are logged that the permuted labels of a stage's null twin chose.

    Plan 1B and 1C have the same ones; each step seals a log of its own.
    """
    if stage == "plan1c":
        return permuted_grid_folder(checkpoint, TWIN, stage) / tag
    return permutation_folder(checkpoint, TWIN) / "preprocess_cache" / tag


def search_folder(checkpoint: Checkpoint) -> PurePosixPath:
    """Return where Plan 1B writes what its search scores under many labellings of the cells."""
    return analysis(checkpoint) / "search_permutation"


def search_cell(checkpoint: Checkpoint, tag: str, method: str) -> PurePosixPath:
    """Return the folder of one preprocess and method of that search."""
    return search_folder(checkpoint) / tag / method


def plan1c_folder(checkpoint: Checkpoint) -> PurePosixPath:
    """Return the folder of Plan 1C, with its summary."""
    return analysis(checkpoint) / "plan1c"


def grid_folder(checkpoint: Checkpoint, stage: str) -> PurePosixPath:
    """Return the folder where a stage of Plan 1 writes its summary and the cells of its grid."""
    return plan1c_folder(checkpoint) if stage == "plan1c" else analysis(checkpoint) / "classification_grid"


def grid_cell(checkpoint: Checkpoint, stage: str, tag: str, method: str) -> PurePosixPath:
    """Return the folder where a stage writes what it found on one embedding: one preprocess and one method."""
    if stage == "plan1c":
        return plan1c_folder(checkpoint) / tag / method
    return classification_cell(checkpoint, tag, method)


def gene_list_file(sha256: str) -> PurePosixPath:
    """Return where a run keeps the content of a gene list: sealed at planning, like its spec."""
    return PurePosixPath("gene_lists") / f"{sha256}.gmt"


def survey_file() -> PurePosixPath:
    """Return where a run keeps what was found in its data at planning; sealed like its spec."""
    return PurePosixPath("survey.json")


def command_output(checkpoint: Checkpoint, stage: str) -> PurePosixPath:
    """Return the folder that a command stage writes to."""
    return analysis(checkpoint) / stage
