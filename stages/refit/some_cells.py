"""Some cells of a cohort, as a cohort."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewright.stages.cohort.counts_source import MemoryCounts
from stagewright.stages.cohort.load import Cohort

__all__ = ["relabelled", "some_cells"]


def some_cells(cohort: Cohort, rows: NDArray[np.intp]) -> Cohort:
    """Return the cells of some rows, with a copy of their counts."""
    return replace(
        cohort,
        source=MemoryCounts(cohort.counts[rows]),
        obs=cohort.obs.iloc[rows],
        patients=cohort.patients.iloc[rows],
        positive=cohort.positive[rows],
    )


def relabelled(cohort: Cohort, obs: pd.DataFrame, positive: NDArray[np.bool_]) -> Cohort:
    """Return the same cells with other labels."""
    return replace(cohort, obs=obs, positive=positive)
