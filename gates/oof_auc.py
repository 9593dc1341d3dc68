"""ROC AUC of out-of-fold predictions, from ranks."""

import numpy as np
import pandas as pd

__all__ = ["roc_auc_by_repeat"]

KEYS = ["penalty", "patient", "repeat"]


def roc_auc_by_repeat(table: pd.DataFrame) -> pd.Series:
    """Return the area under the ROC curve of each penalty, patient and repeat.

    The area is the share of the pairs of a positive and a negative cell in which the positive one has the higher
    decision value; tied pairs count one half (Mann and Whitney 1947). In [0, 1]; higher is better.

    Parameters
    ----------
    table
        One row a prediction, with the columns penalty, patient, repeat, label and decision.

    Returns
    -------
    pandas.Series
        Indexed by penalty, patient and repeat. NaN where a class is absent or a decision value is not a number.
    """
    positive = table["label"].astype(bool)
    keys = [table[key] for key in KEYS]
    rank = table["decision"].astype(float).groupby(keys, observed=True).rank(method="average")
    by_group = pd.DataFrame(
        {"positive": positive, "rank": rank, "rank_of_positive": rank.where(positive, 0.0), "lost": rank.isna()}
    ).groupby(keys, observed=True)
    total = by_group.agg(
        n=("positive", "size"), positive=("positive", "sum"), ranks=("rank_of_positive", "sum"), lost=("lost", "any")
    )
    pairs = total["positive"] * (total["n"] - total["positive"])
    above = total["ranks"] - total["positive"] * (total["positive"] + 1) / 2
    return (above / pairs.where(pairs > 0)).where(~total["lost"], np.nan)
