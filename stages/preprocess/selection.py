"""The record of one gene selection."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

LogValue: TypeAlias = "str | int | float | bool | list[LogValue] | dict[str, LogValue] | None"


@dataclass(frozen=True, slots=True)
class GeneSelection:
    """Genes that one preprocess method keeps.

    Attributes
    ----------
    method
        Name of the method as the goal spec has it.
    mask
        Boolean array of shape (n_genes,); True where the gene is kept, in the order of the counts' columns.
    supervised
        True when the label took part in the choice, so that the selection belongs inside the cross-validation.
    log
        What `gene_log.json` holds: parameters, thresholds and counts of genes before and after. JSON values only.
    table
        Scores per gene, each an array of shape (n_genes,).
    """

    method: str
    mask: npt.NDArray[np.bool_]
    supervised: bool
    log: dict[str, LogValue]
    table: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)

    @property
    def n_selected(self) -> int:
        """Number of genes kept."""
        return int(self.mask.sum())
