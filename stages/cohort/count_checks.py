"""Look at stored values on their way in: which of them cannot be counts, and where the first of them lies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from stagewright.stages.preprocess.normalise import CountsUnusable

__all__ = ["CountChecks"]

LARGEST = 2**24
"""Up to here float32 holds every whole number; no cell has this many transcripts of a gene."""


@dataclass(slots=True)
class CountChecks:
    """What was found in the blocks so far.

    Attributes
    ----------
    n_values
        Stored values looked at.
    first
        Row, column and value of the first one that is no count.
    """

    n_values: int = 0
    n_rows: int = 0
    n_not_finite: int = 0
    n_negative: int = 0
    n_fractional: int = 0
    n_too_large: int = 0
    first: tuple[int, int, float] | None = None

    def as_counts(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return a block as float32 without stored zeros, and take note of what in it is no count.

        Parameters
        ----------
        block
            The next rows, CSR of any real dtype; may be changed.
        """
        values = block.data
        bad = _not_counts(values)
        if bad is not None:
            finite = np.isfinite(values)
            whole = np.zeros_like(finite)
            np.equal(values, np.rint(values), out=whole, where=finite)
            self.n_not_finite += int(np.count_nonzero(~finite))
            self.n_negative += int(np.count_nonzero(values < 0))
            self.n_fractional += int(np.count_nonzero(finite & ~whole))
            self.n_too_large += int(np.count_nonzero(finite & (values > LARGEST)))
            if self.first is None:
                at = int(np.flatnonzero(bad)[0])
                row = int(np.searchsorted(block.indptr, at, side="right")) - 1
                self.first = (self.n_rows + row, int(block.indices[at]), float(values[at]))
            values = np.where(bad, 0, values)  # a cast of what float32 cannot hold would only add a warning
        self.n_values += len(values)
        self.n_rows += block.shape[0]
        counts = sparse.csr_matrix(
            (values.astype(np.float32, copy=False), block.indices, block.indptr), shape=block.shape
        )
        counts.sum_duplicates()  # sorts, too
        if not counts.data.all():
            counts.eliminate_zeros()
        return counts

    def report(self, location: str, cells: NDArray[np.object_], genes: NDArray[np.object_], hint: str) -> None:
        """Raise when any value was no count.

        Parameters
        ----------
        location
            Where the values lie, as `data.counts` names it.
        cells, genes
            Names of the rows and columns.
        hint
            What to do instead.

        Raises
        ------
        CountsUnusable
            Says how many of what kind, where the first is, and what to do.
        """
        if self.first is None:
            return
        kinds = [
            (self.n_not_finite, "NaN or infinite"),
            (self.n_negative, "negative"),
            (self.n_fractional, "not whole numbers"),
            (self.n_too_large, f"above {LARGEST:,}"),
        ]
        said = " and ".join(f"{number:,} are {kind}" for number, kind in kinds if number)
        row, column, value = self.first
        raise CountsUnusable(
            f"Of {self.n_values:,} stored counts in {location} {said} (the first, {value:g}, in cell {cells[row]}, "
            f"gene {genes[column]}); counts must be whole numbers >= 0. {hint}"
        )


def _not_counts(values: NDArray[np.number]) -> NDArray[np.bool_] | None:
    """Return which values are no counts; None when all are, found out without a copy."""
    if values.dtype == np.bool_ or len(values) == 0:
        return None
    if np.issubdtype(values.dtype, np.integer):
        if values.min() >= 0 and values.max() <= LARGEST:
            return None
        return np.asarray((values < 0) | (values > LARGEST))
    # One comparison finds all: NaN is not equal to itself, and the rounding of what is infinite is above the largest.
    with np.errstate(invalid="ignore"):
        fine = (values >= 0) & (values <= LARGEST) & (values == np.rint(values))
    return None if fine.all() else ~fine
