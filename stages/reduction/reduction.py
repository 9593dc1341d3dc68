"""The record of one fitted reduction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
ExtraValue: TypeAlias = "str | int | float | bool | list[ExtraValue] | dict[str, ExtraValue] | None"


@dataclass(frozen=True, slots=True)
class Reduction:
    """One fit of one method at one K and one seed.

    Attributes
    ----------
    method
        Name in the catalogue.
    k
        Number of components.
    scores
        float32 of shape (n_cells, k).
    loadings
        float32 of shape (n_genes, k), genes in the order of the matrix' columns. Components are in decreasing order
        of the variance they carry.
    extras
        JSON values. Always: `explained` (in [0, 1], higher is better; see each fit for what it is a share of),
        `converged`, `n_iter`, `objective` (lower is better) and `seed`.
    arrays
        Further arrays by name. Always `gene_mean` and `gene_sd`, shape (n_genes,), of the training cells; for example
        `uniquenesses` of shape (n_genes,).
    """

    method: str
    k: int
    scores: Float32Array
    loadings: Float32Array
    extras: dict[str, ExtraValue]
    arrays: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)


def fix_signs(loadings: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Signs, shape (k,), that make the largest absolute loading of each column of (n_genes, k) positive."""
    largest = np.argmax(np.abs(loadings), axis=0)
    return np.where(loadings[largest, np.arange(loadings.shape[1])] < 0, -1.0, 1.0)
