"""Genes chosen by the Wilcoxon test between the classes: a weak screen with a floor, and the top of a prefilter."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.stages.cohort.counts_source import Counts, GeneSubset, MemoryCounts, as_source
from stagewright.stages.preprocess.all_filtered import select_all_filtered
from stagewright.stages.preprocess.expression import expression_by_genes
from stagewright.stages.preprocess.hvg import select_hvg
from stagewright.stages.preprocess.normalise import check_counts, log_normalise
from stagewright.stages.preprocess.selection import GeneSelection, LogValue
from stagewright.stages.preprocess.wilcoxon import RankSumTest, wilcoxon

__all__ = ["Screened", "select_deg_weak_screen", "select_two_stage"]

FEW_CELLS = 25
"""Up to this many cells of a class the normal approximation is rough; the log says so."""


@dataclass(frozen=True, slots=True)
class Screened:
    """The cells that a label screen compares.

    Attributes
    ----------
    counts
        Raw counts of shape (n_cells, n_genes): a CSR matrix, or counts that are read in blocks.
    positive
        Boolean array of shape (n_cells,).
    strata
        Compare within these levels only, shape (n_cells,), or None.
    target_sum
        Of the log-normalised scale on which cells are compared.
    """

    counts: Counts
    positive: npt.NDArray[np.bool_]
    strata: npt.NDArray[np.generic] | None = None
    target_sum: float = 1e4

    def test(self) -> RankSumTest:
        """Compare the classes gene by gene."""
        if sparse.issparse(self.counts):
            check_counts(self.counts)
        source = as_source(self.counts)
        if isinstance(source, MemoryCounts):
            return wilcoxon(log_normalise(source.matrix, self.target_sum), self.positive, strata=self.strata)
        return wilcoxon(expression_by_genes(source, self.target_sum), self.positive, strata=self.strata)


def select_deg_weak_screen(cells: Screened, *, p: float, lfc: float, min_genes: int) -> GeneSelection:
    """Select genes with a weak difference between the classes, and at least a given number of genes.

    A gene passes when its adjusted p is below `p` and its absolute log2 fold change above `lfc`. When fewer than
    `min_genes` pass, the detected genes with the largest absolute scores (the smallest p) fill up; equal ones in the
    order of the genes.

    Returns
    -------
    GeneSelection
        Supervised. The table has `score`, `p`, `p_adjusted`, `log2_fold_change`, `passed_thresholds`,
        `filled_by_rank`.

    Raises
    ------
    ValueError
        The counts are not raw counts, a class has too few cells, or no gene is detected at all.
    """
    test = cells.test()
    detected = _detected(cells.counts)
    passed = detected & (test.p_adjusted < p) & (np.abs(test.log2_fold_change) > lfc)
    short = max(0, min_genes - int(passed.sum()))
    filled = _top(test, detected & ~passed, short)
    mask = passed | filled
    log: dict[str, LogValue] = {
        "method": "deg_weak_screen",
        "p_adjusted_below": p,
        "abs_log2_fold_change_above": lfc,
        "min_genes": min_genes,
        "n_genes_before": len(mask),
        "n_genes_all_zero": int(np.count_nonzero(~detected)),
        "n_genes_passed": int(passed.sum()),
        "n_genes_filled_by_rank": int(filled.sum()),
        "n_genes_after": int(mask.sum()),
    }
    if mask.sum() < min_genes:
        log["note"] = "there are fewer genes with counts than min_genes: all are kept"
    table = _table(test) | {"passed_thresholds": passed, "filled_by_rank": filled}
    return GeneSelection("deg_weak_screen", mask, supervised=True, log=log | _test_log(cells, test), table=table)


def select_two_stage(
    cells: Screened, *, min_cells_fraction: float, n_top_genes: int, n_hvg: int | None = None
) -> GeneSelection:
    """Select among the genes that enough cells express: first without the label, then by it.

    Candidates are detected in at least `min_cells_fraction` of the cells. With `n_hvg` that many of them are taken for
    their variability (seurat_v3), and the candidates with the largest absolute Wilcoxon scores top up to
    `n_top_genes`; without it all are chosen by their scores. Equal scores go in the order of the genes.

    Returns
    -------
    GeneSelection
        Supervised. The table has `score`, `p`, `p_adjusted`, `log2_fold_change`, `by_variability`, `by_label`.

    Raises
    ------
    ValueError
        The counts are not raw counts, a class has too few cells, or no gene is detected in enough cells.
    """
    test = cells.test()
    candidates = select_all_filtered(cells.counts, min_cells_fraction=min_cells_fraction)
    by_variability = np.zeros(len(candidates.mask), dtype=np.bool_)
    if n_hvg is not None:
        places = np.flatnonzero(candidates.mask)
        variable = select_hvg(GeneSubset(as_source(cells.counts), places), n_top_genes=n_hvg)
        by_variability[places[variable.mask]] = True
    by_label = _top(test, candidates.mask & ~by_variability, n_top_genes - int(by_variability.sum()))
    mask = by_variability | by_label
    log: dict[str, LogValue] = {
        "method": "two_stage",
        "min_cells_fraction": min_cells_fraction,
        "min_cells": candidates.log["min_cells"],
        "n_top_genes": n_top_genes,
        "n_hvg": n_hvg,
        "n_genes_before": len(mask),
        "n_genes_prefiltered": candidates.n_selected,
        "n_genes_by_variability": int(by_variability.sum()),
        "n_genes_by_label": int(by_label.sum()),
        "n_genes_after": int(mask.sum()),
    }
    if mask.sum() < n_top_genes:
        log["note"] = "n_top_genes is not below the genes that are detected in enough cells: all of those are kept"
    table = _table(test) | {"by_variability": by_variability, "by_label": by_label}
    return GeneSelection("two_stage", mask, supervised=True, log=log | _test_log(cells, test), table=table)


def _detected(counts: Counts) -> npt.NDArray[np.bool_]:
    detected: npt.NDArray[np.bool_] = as_source(counts).cells_per_gene > 0
    if not detected.any():
        raise ValueError(f"All {counts.shape[1]} genes are zero in all {counts.shape[0]} cells; check `data.counts`.")
    return detected


def _top(test: RankSumTest, among: npt.NDArray[np.bool_], number: int) -> npt.NDArray[np.bool_]:
    """Mark the genes with the largest absolute scores among some; the scores order genes whose p is 0 in float64."""
    chosen = np.zeros(len(among), dtype=np.bool_)
    places = np.flatnonzero(among)
    order = np.argsort(-np.abs(test.score[places]), kind="stable")
    chosen[places[order[:number]]] = True
    return chosen


def _table(test: RankSumTest) -> dict[str, npt.NDArray[np.generic]]:
    return {
        "score": test.score,
        "p": test.p,
        "p_adjusted": test.p_adjusted,
        "log2_fold_change": test.log2_fold_change,
    }


def _test_log(cells: Screened, test: RankSumTest) -> dict[str, LogValue]:
    log: dict[str, LogValue] = {
        "test": "Wilcoxon rank-sum, tie-corrected, Benjamini-Hochberg over all genes",
        "target_sum": cells.target_sum,
        "n_positive_cells": test.n_positive,
        "n_negative_cells": test.n_negative,
    }
    if cells.strata is not None:
        log["n_strata_compared"] = test.n_strata
        log["n_cells_in_strata_of_one_class"] = len(cells.positive) - test.n_positive - test.n_negative
    if min(test.n_positive, test.n_negative) <= FEW_CELLS:
        log["approximation"] = f"a class has at most {FEW_CELLS} cells: p values by the normal approximation are rough"
    return log
