"""A bootstrap sample of a matrix' cells, made when the first fit of it has to run and dropped with the last."""

import threading
from collections.abc import Callable

import pandas as pd

from stagewright.stages.executors.executor import SharedValue
from stagewright.stages.preprocess.scale import cells_of
from stagewright.stages.reduction.sweep import SharedMatrix
from stagewright.stages.stability.bootstrap import Bootstrap, bootstrap_rows

__all__ = ["Bootstrapped"]


class Bootstrapped:
    """One bootstrap sample, shared by the fits of every method and K.

    Parameters
    ----------
    whole
        The matrix that is sampled from.
    share
        Makes the sample an argument of calls.
    patients
        Patient of each of its cells, shape (n_cells,).
    kind, number
        As in `bootstrap_rows`.
    n_fits
        How many fits will be `done` with the sample; after the last one its memory is free.
    """

    def __init__(
        self,
        whole: SharedMatrix,
        share: Callable[[SharedMatrix], SharedValue[SharedMatrix]],
        patients: pd.Series,
        kind: Bootstrap,
        number: int,
        n_fits: int,
    ) -> None:
        self._whole = whole
        self._share = share
        self._patients = patients
        self._kind: Bootstrap = kind
        self._number = number
        self._left = n_fits
        self._matrix: SharedValue[SharedMatrix] | None = None
        self._lock = threading.Lock()

    def named(self) -> dict[str, str | int]:
        """Return what tells this sample from others of the same cells."""
        return {"kind": self._kind, "number": self._number}

    @property
    def matrix(self) -> SharedValue[SharedMatrix]:
        """The sampled rows of the matrix, its one copy, as an argument of calls."""
        with self._lock:
            if self._matrix is None:
                rows = bootstrap_rows(self._patients, self._kind, self._number)
                self._matrix = self._share(SharedMatrix(cells_of(self._whole.x, rows)))
            return self._matrix

    def done(self) -> None:
        """Say that one fit of the sample is through, well or not."""
        with self._lock:
            self._left -= 1
            if self._left <= 0 and self._matrix is not None:
                self._matrix.forget()
                self._matrix = None
