"""Which cells a study looks at: one rule for planning, which counts them, and for stages, which load them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewright.stages.cohort.records import FilterStep
from stagewright.stages.cohort.unreadable import CohortMismatch
from stagewright.state.spec.data import DataScope

MAX_NAMED = 20


@dataclass(frozen=True, slots=True)
class Selection:
    """The cells of a study, as masks of shape (n_obs,)."""

    filtered: NDArray[np.bool_]
    """Pass the filters and the time points, whatever their label."""
    in_study: NDArray[np.bool_]
    """Pass the filters, carry one of the two labels and have a patient."""
    steps: list[FilterStep]


def select_cells(levels: Mapping[str, pd.Series], scope: DataScope) -> Selection:
    """Apply filters in the order of the spec, then the time points, then labels and patients.

    Parameters
    ----------
    levels
        The columns of obs that the scope names (`scope.obs_columns`), as text: see `obs_column.level_texts`.
    scope
        The data section of a goal spec.

    Returns
    -------
    Masks over all cells, and what each filter removed. `keep` removes cells whose value is missing, `drop` does not.

    Raises
    ------
    CohortMismatch
        A level that the scope names is not in its column, of the whole file; names those that are.
    """
    kept = np.ones(len(levels[scope.patient]), dtype=bool)
    steps: list[FilterStep] = []
    for item in scope.filters:
        named = item.keep if item.keep is not None else item.drop or ()
        _require_levels(levels[item.column], item.column, named)
        among = levels[item.column].isin(named).to_numpy()
        _apply(kept, among if item.keep is not None else ~among, item.column, steps)
    if scope.timepoint is not None:
        column = levels[scope.timepoint.column]
        _require_levels(column, scope.timepoint.column, scope.timepoint.keep)
        _apply(kept, column.isin(scope.timepoint.keep).to_numpy(), scope.timepoint.column, steps)
    classes = (scope.label.positive, scope.label.negative)
    labels = levels[scope.label.column]
    _require_levels(labels, scope.label.column, classes)
    in_study = kept & labels.isin(classes).to_numpy() & levels[scope.patient].notna().to_numpy()
    return Selection(filtered=kept, in_study=in_study, steps=steps)


def _apply(kept: NDArray[np.bool_], passes: NDArray[np.bool_], column: str, steps: list[FilterStep]) -> None:
    """Narrow `kept` in place and note what that removed."""
    before = int(kept.sum())
    kept &= passes
    steps.append({"column": column, "n_before": before, "n_after": int(kept.sum())})


def _require_levels(column: pd.Series, name: str, named: tuple[str, ...]) -> None:
    """Check that every level which the study names occurs: a misspelt one would silently select nothing."""
    present = sorted(column.dropna().unique())
    for level in named:
        if level not in present:
            shown = ", ".join(present[:MAX_NAMED]) + (", ..." if len(present) > MAX_NAMED else "")
            raise CohortMismatch(
                f"column {name!r} has no level {level!r}; its levels are: {shown}",
                named=level,
                allowed=present[:MAX_NAMED],
            )
