"""How much data a stage has at hand: evidence for what a failure for want of memory would take."""

from dataclasses import dataclass

__all__ = ["Workload"]


@dataclass(slots=True)
class Workload:
    """The matrix that a stage has loaded, with all its genes; None where nothing is loaded yet.

    Attributes
    ----------
    n_nonzero
        Stored values of the matrix.
    """

    n_cells: int | None = None
    n_genes: int | None = None
    n_nonzero: int | None = None

    def is_now(self, shape: tuple[int, int], n_nonzero: int) -> None:
        """Take note of the matrix that was loaded, of `shape` (n_cells, n_genes)."""
        self.n_cells, self.n_genes = shape
        self.n_nonzero = n_nonzero
