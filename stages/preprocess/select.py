"""Select the genes that one entry of a goal spec's preprocess list asks for."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from stagewright.stages.cohort.counts_source import Counts
from stagewright.stages.cohort.load import Cohort
from stagewright.stages.preprocess.all_filtered import select_all_filtered
from stagewright.stages.preprocess.detection import cells_per_gene
from stagewright.stages.preprocess.gene_list import select_gene_list
from stagewright.stages.preprocess.gene_sets import GeneSets
from stagewright.stages.preprocess.hvg import select_hvg
from stagewright.stages.preprocess.hybrid import select_hybrid
from stagewright.stages.preprocess.label_screen import Screened, select_deg_weak_screen, select_two_stage
from stagewright.stages.preprocess.normalise import TARGET_SUM
from stagewright.stages.preprocess.selection import GeneSelection
from stagewright.state.spec.preprocess import AllFiltered, DegWeakScreen, GeneList, Hvg, Hybrid, Preprocess, TwoStage

__all__ = ["column_of", "select_genes", "select_genes_of"]


def select_genes(
    entry: Preprocess, cohort: Cohort, *, gene_sets: GeneSets | None = None, target_sum: float = TARGET_SUM
) -> GeneSelection:
    """Return which genes an entry keeps of a cohort; see `select_genes_of`."""
    name = column_of(entry)
    return select_genes_of(
        entry,
        cohort.source,
        cohort.positive,
        columns={} if name is None else {name: cohort.column(name)},
        var_names=cohort.var_names,
        gene_sets=gene_sets,
        target_sum=target_sum,
    )


def column_of(entry: Preprocess) -> str | None:
    """Return the obs column that an entry needs beside the label: its batches, or within what it compares."""
    match entry:
        case Hvg():
            return entry.batch
        case DegWeakScreen() | TwoStage():
            return entry.within
        case _:
            return None


def select_genes_of(
    entry: Preprocess,
    counts: Counts,
    positive: NDArray[np.bool_],
    *,
    columns: Mapping[str, NDArray[np.generic]] | None = None,
    var_names: Iterable[str] | None = None,
    gene_sets: GeneSets | None = None,
    target_sum: float = TARGET_SUM,
) -> GeneSelection:
    """Return which genes an entry keeps of any cells, for example of those of a training fold.

    Parameters
    ----------
    counts
        Raw counts of shape (n_cells, n_genes): a CSR matrix, or counts that are read in blocks.
    positive
        Whether a cell is of the positive class, shape (n_cells,).
    columns
        By name the obs column that `column_of` the entry names, shape (n_cells,); needed when it names one.
    var_names
        Names of the genes, shape (n_genes,); needed for a gene list.
    gene_sets
        All sets of the file that a gene list names; needed for it.
    target_sum
        Of the log-normalised scale on which the Wilcoxon test compares cells.

    Raises
    ------
    ValueError
        When the entry finds no gene, a class has too few cells for it, or what it needs is not given.
    """
    match entry:
        case Hvg():
            return select_hvg(counts, n_top_genes=entry.n_top_genes, batch=_column(entry, columns))
        case AllFiltered():
            return select_all_filtered(
                counts,
                min_cells_fraction=entry.min_cells_fraction,
                enrichment_ratio=entry.enrichment_ratio,
                positive=positive,
                noise_filter=entry.noise_filter,
            )
        case DegWeakScreen():
            cells = Screened(counts, positive, _column(entry, columns), target_sum)
            return select_deg_weak_screen(cells, p=entry.p, lfc=entry.lfc, min_genes=entry.min_genes)
        case Hybrid():
            return select_hybrid(
                counts,
                positive,
                n_top_genes=entry.n_top_genes,
                min_cells_fraction=entry.min_cells_fraction,
                enrichment_ratio=entry.enrichment_ratio,
            )
        case TwoStage():
            return select_two_stage(
                Screened(counts, positive, _column(entry, columns), target_sum),
                min_cells_fraction=entry.min_cells_fraction,
                n_top_genes=entry.n_top_genes,
                n_hvg=entry.n_hvg,
            )
        case GeneList():
            if var_names is None or gene_sets is None:
                raise ValueError("a gene list needs the names of the genes and the sets of its file")
            return select_gene_list(var_names, gene_sets.chosen(entry.sets), cells_per_gene(counts) > 0)


def _column(entry: Preprocess, columns: Mapping[str, NDArray[np.generic]] | None) -> NDArray[np.generic] | None:
    name = column_of(entry)
    if name is None:
        return None
    if columns is None or name not in columns:
        raise ValueError(f"{entry.tag} needs the obs column {name!r}, which is not among the given ones")
    return columns[name]
