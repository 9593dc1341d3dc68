"""The best score of each labelling, and how many permutations reach what was observed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["LEVEL", "Configuration", "Maxima", "maxima", "scores_by_labelling"]

LEVEL = 0.95
"""Quantile of the permuted maxima that the tables name."""

LABELLINGS = ("labelling", "preprocess", "method", "penalty", "alpha", "auc_within_strata")
CONFIGURATIONS = (
    *("preprocess", "method", "k", "penalty", "alpha", "auc_within_strata"),
    *("permuted_median", "permuted_upper", "p_alone", "p_search"),
)

_Floats = NDArray[np.float64]
Configuration = tuple[str, str, str]
"""Preprocess tag, method and penalty."""


@dataclass(frozen=True, slots=True)
class Maxima:
    """The search under every labelling.

    Attributes
    ----------
    best
        Highest score over configurations and alphas by labelling, shape (1 + n,); the observed labelling is the first.
    labellings
        A row for each labelling: its best score, and which configuration and alpha have it.
    configurations
        A row for each configuration: its score at its best alpha under the observed labels, the quantiles of the same
        under permutations, and the share of labellings, the observed one included, whose score (`p_alone`), or whose
        best score over all configurations (`p_search`), is at least that.
    """

    best: _Floats
    labellings: pd.DataFrame
    configurations: pd.DataFrame

    @property
    def p(self) -> float:
        """Share of labellings whose best score is at least the observed one's; at least 1 / (1 + n)."""
        return float((self.best >= self.best[0]).mean())

    @property
    def upper(self) -> float:
        """The `LEVEL` quantile of the permuted maxima."""
        return float(np.quantile(self.best[1:], LEVEL))


def scores_by_labelling(path: Path, alphas: _Floats) -> dict[str, _Floats]:
    """Return the median AUC over patients by labelling and alpha for each penalty, shape (1 + n, m).

    Parameters
    ----------
    path
        A table of `search.AUCS`.
    alphas
        Those of the study, in its order.
    """
    table = pd.read_parquet(path)
    found: dict[str, _Floats] = {}
    for penalty, rows in table.groupby("penalty", observed=True, sort=True):
        n_patients = rows["patient"].nunique()
        auc = rows["auc_within_strata"].to_numpy(np.float64).reshape(n_patients, -1, alphas.size)
        found[str(penalty)] = np.median(auc, axis=0)
    return found


def maxima(scores: Mapping[Configuration, _Floats], ks: Mapping[str, int], alphas: Sequence[float]) -> Maxima:
    """Return the best of all configurations by labelling, after Westfall and Young (1993).

    Parameters
    ----------
    scores
        Of each configuration in the order of the grid, shape (1 + n, m); without any, both tables are empty.
    ks
        K by method.
    alphas
        Strengths of the m columns.
    """
    if not scores:
        return Maxima(np.empty(0), pd.DataFrame(columns=[*LABELLINGS]), pd.DataFrame(columns=[*CONFIGURATIONS]))
    names = [*scores]
    at_best = np.stack([one.max(axis=1) for one in scores.values()])  # (n_configurations, 1 + n)
    winner = at_best.argmax(axis=0)
    best: _Floats = at_best.max(axis=0)
    strengths = np.asarray(alphas)
    places = [int(scores[names[one]][labelling].argmax()) for labelling, one in enumerate(winner)]
    labellings = pd.DataFrame([names[one] for one in winner], columns=["preprocess", "method", "penalty"])
    labellings.insert(0, "labelling", np.arange(best.size))
    labellings = labellings.assign(alpha=strengths[places], auc_within_strata=best)
    rows = [
        {
            "preprocess": tag,
            "method": method,
            "k": ks[method],
            "penalty": penalty,
            "alpha": float(strengths[scores[tag, method, penalty][0].argmax()]),
            "auc_within_strata": own[0],
            "permuted_median": float(np.median(own[1:])),
            "permuted_upper": float(np.quantile(own[1:], LEVEL)),
            "p_alone": float((own >= own[0]).mean()),
            "p_search": float((np.append(best[1:], own[0]) >= own[0]).mean()),
        }
        for (tag, method, penalty), own in zip(names, at_best, strict=True)
    ]
    return Maxima(best, labellings, pd.DataFrame(rows))
