"""Select the genes that one entry of a goal spec's preprocess list asks for."""

from stagewright.stages.cohort.load import Cohort
from stagewright.stages.preprocess.all_filtered import select_all_filtered
from stagewright.stages.preprocess.hvg import select_hvg
from stagewright.stages.preprocess.selection import GeneSelection
from stagewright.state.spec.preprocess import AllFiltered, Hvg, Preprocess

__all__ = ["select_genes"]


def select_genes(entry: Preprocess, cohort: Cohort) -> GeneSelection:
    """Return which genes an entry keeps of a cohort.

    Raises
    ------
    ValueError
        When the entry's method is not built in, or finds no gene.
    """
    match entry:
        case Hvg():
            batch = None if entry.batch is None else cohort.column(entry.batch)
            return select_hvg(cohort.counts, n_top_genes=entry.n_top_genes, batch=batch)
        case AllFiltered():
            return select_all_filtered(
                cohort.counts,
                min_cells_fraction=entry.min_cells_fraction,
                enrichment_ratio=entry.enrichment_ratio,
                positive=cohort.positive,
            )
        case _:
            raise ValueError(f"preprocess {entry.method} is not built into this version; use hvg or all_filtered")
