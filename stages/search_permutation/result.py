"""What the search-wide permutation of a step gives: its two tables, its metrics, and its note."""

from collections.abc import Sequence

import numpy as np

from stagewright.stages.files import save_csv
from stagewright.stages.protocol import StageContext
from stagewright.stages.search_permutation.maxima import LEVEL, Configuration, maxima, scores_by_labelling
from stagewright.stages.search_permutation.search import AUCS
from stagewright.state.layout import search_cell, search_folder

__all__ = ["SearchResult", "search_result"]

SearchResult = tuple[dict[str, float], str]
"""Metrics by name, and a note."""

NOTHING = "search-wide permutation: no stratum of a scored patient has cells of both classes, so nothing was permuted"
LEFT_OUT = "search-wide permutation: no configuration to search, as the label chose the genes of all or all failed"


def search_result(context: StageContext, cells: Sequence[tuple[str, str]]) -> SearchResult:
    """Write which labelling scores how much at best, and each configuration beside it.

    Parameters
    ----------
    cells
        Preprocess tag and method of what was scored, in the order of the grid.
    """
    request, study = context.request, context.request.study
    alphas = np.asarray(study.alphas)
    scores: dict[Configuration, np.ndarray] = {}
    for tag, method in cells:
        path = context.artifacts.staging / search_cell(request.checkpoint, tag, method) / AUCS
        scores |= {(tag, method, penalty): one for penalty, one in scores_by_labelling(path, alphas).items()}
    found = maxima(scores, {str(method): k for method, k in request.k_by_method.items()}, study.alphas)
    folder = search_folder(request.checkpoint)
    save_csv(context.artifacts, folder / "labellings.csv", found.labellings)
    save_csv(context.artifacts, folder / "configurations.csv", found.configurations)
    if not scores:
        return {}, NOTHING if cells else LEFT_OUT
    observed = found.labellings.iloc[0]
    name = "/".join(str(observed[part]) for part in ("preprocess", "method", "penalty"))
    note = (
        f"search-wide permutation: the best of {len(scores)} configurations, {name}, has an AUC within strata of "
        f"{found.best[0]:.4f}; the best of the same search under {found.best.size - 1} permutations lies below "
        f"{found.upper:.4f} in {LEVEL:.0%} of them; p = {found.p:.3g}"
    )
    return {"plan1b.search.auc": float(found.best[0]), "plan1b.best.search_p": found.p}, note
