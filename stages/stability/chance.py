"""How alike components would be matched that have nothing in common: the level that a stability has to exceed."""

from collections.abc import Sequence
from itertools import combinations, cycle, islice

import numpy as np

from stagewright.stages.stability.matching import Loadings, Measure, assign, unit_columns

__all__ = ["chance_level"]

N_DRAWS = 10
SEED = 20_261_127


def chance_level(loadings: Sequence[Loadings], *, measure: Measure = "correlation") -> float | None:
    """Highest median matched similarity, in ten draws, after the genes of each component are permuted.

    The best of K partners is alike by chance, the more so the larger K and the fewer the genes. Permuting the genes
    of each component of one fit of a pair, each by itself, keeps shapes and distributions and nothing else.

    Parameters
    ----------
    loadings
        One array of shape (n_genes, k) per fit. The draws go through the pairs of fits in turn.
    measure
        As in `pairwise_stability`.

    Returns
    -------
    In [0, 1]; to be compared with the median of the matched similarities. None with fewer than two fits. The draws
    are the same whenever the loadings are.
    """
    pairs = [*combinations(range(len(loadings)), 2)]
    if not pairs:
        return None
    k = loadings[0].shape[1]
    # A permutation changes neither mean nor length: the components are brought to unit length once for all draws.
    unit = unit_columns(loadings, measure=measure).T.reshape(len(loadings), k, -1)
    rng = np.random.default_rng(SEED)
    medians = [
        float(np.median(assign(np.abs(unit[i] @ rng.permuted(unit[j], axis=1).T))))
        for i, j in islice(cycle(pairs), N_DRAWS)
    ]
    return max(medians)
