"""How much data a stage has at hand: evidence for what a failure for want of memory would take."""

from dataclasses import dataclass

__all__ = ["Workload"]


@dataclass(slots=True)
class Workload:
    """The matrix that a stage is at work on; None where nothing is loaded yet.

    Attributes
    ----------
    n_genes
        Of the gene selection at work, once genes are selected; of the data before.
    n_nonzero
        Stored values of the matrix.
    """

    n_cells: int | None = None
    n_genes: int | None = None
    n_nonzero: int | None = None

    def is_now(self, shape: tuple[int, int], n_nonzero: int) -> None:
        """Take note of the matrix at work, of `shape` (n_cells, n_genes)."""
        self.n_cells, self.n_genes = shape
        self.n_nonzero = n_nonzero
