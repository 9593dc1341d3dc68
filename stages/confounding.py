"""How much of the label other columns tell: what a classifier could have learnt instead of the biology."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import JsonValue

from stagewright.stages.classify.metrics import roc_auc
from stagewright.stages.cohort.association import cramers_v
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.state.spec.data import DataScope

__all__ = ["confounding"]


def confounding(cohort: EmbeddedCohort, scope: DataScope) -> tuple[pd.DataFrame, dict[str, JsonValue]]:
    """Compare the label with patient, time point and every declared column, and with the depth of the cells.

    Returns
    -------
    pandas.DataFrame
        The contingency: one row for each column and level, with its positive and negative cells.
    dict
        For each column the bias-corrected Cramer's V with the label (Bergsma 2013; 1 when it determines the label); the
        AUC of predicting each cell by the share of positive cells in its level, the most that the column alone can say;
        and the AUC of that share among the other cells of the level. The last orders the cells within a level against
        the label, so it lies below 0.5 for a column that says nothing. For library size and detected genes the AUC over
        all cells as it is.
    """
    named = {"patient": scope.patient} | ({} if scope.timepoint is None else {"timepoint": scope.timepoint.column})
    named |= {role: column for role, column in scope.columns.items() if column != scope.label.column}
    label = pd.Series(cohort.positive)
    counts: list[pd.DataFrame] = []
    columns: dict[str, JsonValue] = {}
    for role, column in named.items():
        levels = cohort.obs[column].astype(str).reset_index(drop=True)
        table = pd.crosstab(levels, label).reindex(columns=[True, False], fill_value=0)
        counts.append(
            pd.DataFrame(
                {
                    "role": role,
                    "column": column,
                    "level": table.index.astype(str),
                    "n_positive": table[True].to_numpy(),
                    "n_negative": table[False].to_numpy(),
                }
            )
        )
        columns[role] = {
            "column": column,
            "n_levels": len(table),
            "cramers_v": round(cramers_v(levels, label), 6),
            "auc_of_prevalence": _auc(_shares(levels, cohort.positive), cohort.positive),
            "auc_of_prevalence_of_others": _auc(_shares_of_others(levels, cohort.positive), cohort.positive),
        }
    depth = {
        "library_size": _auc(cohort.depth.library_size, cohort.positive),
        "detected_genes": _auc(cohort.depth.detected_genes.astype(np.float64), cohort.positive),
    }
    n_positive = int(cohort.positive.sum())
    found: dict[str, JsonValue] = {
        "n_positive": n_positive,
        "n_negative": int(cohort.positive.size - n_positive),
        "columns": columns,
        "auc_of_depth": {**depth},
    }
    return pd.concat(counts, ignore_index=True), found


def _shares(levels: pd.Series, positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return, for each cell, the share of positive cells in its level."""
    return pd.Series(positive.astype(np.float64)).groupby(levels).transform("mean").to_numpy(dtype=np.float64)


def _shares_of_others(levels: pd.Series, positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return, for each cell, the share of positive cells among the others of its level; of all where it is alone."""
    by_level = pd.Series(positive.astype(np.float64)).groupby(levels)
    others = by_level.transform("size") - 1
    share = ((by_level.transform("sum") - positive) / others.where(others > 0)).fillna(float(positive.mean()))
    return share.to_numpy(dtype=np.float64)


def _auc(value: NDArray[np.float64], positive: NDArray[np.bool_]) -> float | None:
    auc = float(roc_auc(value, positive))
    return None if np.isnan(auc) else round(auc, 6)
