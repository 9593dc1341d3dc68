"""Highly variable genes, and the rare genes that mark the positive class."""

import numpy as np
import numpy.typing as npt

from stagewright.stages.cohort.counts_source import Counts
from stagewright.stages.preprocess.hvg import select_hvg
from stagewright.stages.preprocess.rescue import rescue
from stagewright.stages.preprocess.selection import GeneSelection, LogValue

__all__ = ["select_hybrid"]


def select_hybrid(
    counts: Counts,
    positive: npt.NDArray[np.bool_],
    *,
    n_top_genes: int,
    min_cells_fraction: float,
    enrichment_ratio: float,
) -> GeneSelection:
    """Select the union of `select_hvg` and of the genes that the enrichment of `select_all_filtered` rescues.

    Returns
    -------
    GeneSelection
        Supervised. The table has the scores of both, and `highly_variable` and `rescued`, which may overlap.

    Raises
    ------
    ValueError
        As either of the two.
    """
    variable = select_hvg(counts, n_top_genes=n_top_genes)
    rescued = rescue(counts, positive, min_cells_fraction=min_cells_fraction, enrichment_ratio=enrichment_ratio)
    mask = variable.mask | rescued.mask
    log: dict[str, LogValue] = {
        "method": "hybrid",
        "n_genes_before": len(mask),
        "hvg": variable.log,
        "rescue": rescued.log,
        "n_genes_highly_variable": variable.n_selected,
        "n_genes_rescued": int(rescued.mask.sum()),
        "n_genes_rescued_only": int(np.count_nonzero(rescued.mask & ~variable.mask)),
        "n_genes_after": int(mask.sum()),
    }
    table = {**variable.table, **rescued.table, "highly_variable": variable.mask, "rescued": rescued.mask}
    return GeneSelection("hybrid", mask, supervised=True, log=log, table=table)
