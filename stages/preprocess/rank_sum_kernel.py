"""Compiled kernel of the Wilcoxon rank-sum test on a sparse matrix; zeros are ranked in closed form.

Non-negative expression puts all zeros of a gene in one group of ties below everything else, so only what is stored has
to be sorted. Value, class and stratum of a stored entry are packed into one integer whose order is that of the strata
and, within them, of the values; one sort of integers then serves all strata.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["rank_sums", "warm"]

_Function = TypeVar("_Function", bound=Callable[..., object])
_Floats = NDArray[np.float64]


def _compiled(function: _Function) -> _Function:
    return cast("_Function", numba.njit(cache=True, nogil=True)(function))


@_compiled
def rank_sums(
    indptr: NDArray[np.int64],
    rows: NDArray[np.int32],
    values: NDArray[np.float32],
    codes: NDArray[np.uint64],
    sizes: NDArray[np.int64],
    n_positive: NDArray[np.int64],
) -> tuple[_Floats, _Floats, _Floats]:
    """Measure every gene in every stratum.

    Parameters
    ----------
    indptr, rows, values
        A CSC matrix of shape (n_cells, n_genes), non-negative float32.
    codes
        Of each cell twice its stratum, plus 1 where it is positive; shape (n_cells,).
    sizes, n_positive
        Cells, and positive cells, of each stratum.

    Returns
    -------
    Of shape (n_genes, n_strata): the sum of the mid-ranks of the positive cells, and the sum of t**3 - t over groups of
    t equal values; of shape (n_genes, n_strata, 2): the sums of the values over negative and over positive cells.
    """
    n_genes, n_strata = len(indptr) - 1, len(sizes)
    rank_sum, ties = np.empty((n_genes, n_strata)), np.empty((n_genes, n_strata))
    sums = np.zeros((n_genes, n_strata, 2))
    keys = np.empty(np.diff(indptr).max() if n_genes else 0, dtype=np.uint64)
    bits = values.view(np.uint32)
    one = np.uint64(1)
    label_bit = np.uint64(1)
    value_shift = np.uint64(1)
    stratum_shift = np.uint64(33)
    for gene in range(n_genes):
        n_stored = 0
        for position in range(indptr[gene], indptr[gene + 1]):
            if values[position] != 0:
                code = codes[rows[position]]
                stratum = code >> one
                label = code & label_bit
                sums[gene, np.int64(stratum), np.int64(label)] += values[position]
                keys[n_stored] = (stratum << stratum_shift) | (np.uint64(bits[position]) << value_shift) | label
                n_stored += 1
        stored = keys[:n_stored]
        stored.sort()
        start = 0
        for stratum_number in range(n_strata):
            stop = start
            while stop < n_stored and np.int64(stored[stop] >> stratum_shift) == stratum_number:
                stop += 1
            size = sizes[stratum_number]
            zeros = size - (stop - start)
            total = 0.0
            tied = 0.0
            with_label = np.int64(0)
            at = start
            while at < stop:
                value = stored[at] >> value_shift
                end = at
                labelled = np.int64(0)
                while end < stop and (stored[end] >> value_shift) == value:
                    labelled += np.int64(stored[end] & label_bit)
                    end += 1
                count = end - at
                total += labelled * (zeros + (at - start) + 0.5 * (count + 1))
                tied += float(count) * count * count - count
                with_label += labelled
                at = end
            total += (n_positive[stratum_number] - with_label) * 0.5 * (zeros + 1)
            rank_sum[gene, stratum_number] = total
            ties[gene, stratum_number] = tied + (float(zeros) * zeros * zeros - zeros)
            start = stop
    return rank_sum, ties, sums


def warm() -> None:
    """Compile the kernel, or load what an earlier process compiled."""
    indptr, sizes, n_positive = np.array([0, 1]), np.array([2]), np.array([1])
    rank_sums(indptr, np.zeros(1, np.int32), np.ones(1, np.float32), np.zeros(2, np.uint64), sizes, n_positive)
