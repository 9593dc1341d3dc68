"""How often the same configuration of Plan 1B wins when one patient is left out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewright.stages.classify.choice import TIE, choose_alpha
from stagewright.stages.plan1_tables import SummaryRow
from stagewright.stages.protocol import StageContext
from stagewright.state.layout import grid_cell

__all__ = ["winner_stability"]

_Floats = NDArray[np.float64]


def winner_stability(context: StageContext, eligible: Sequence[SummaryRow], best: SummaryRow) -> float | None:
    """Return the share of the patients without whom the same row is the best, by the rule by which it is.

    Parameters
    ----------
    eligible
        The rows that may be the best, in the order of the grid; their `metrics.csv` have been written.
    best
        That of them which is.

    Returns
    -------
    In [0, 1]; higher is more stable; 1 for a single row, None for a single patient: nobody can be left out.
    """
    alphas = np.asarray(context.request.study.alphas)
    scores = [_scores(context, row, alphas) for row in eligible]
    n_patients = min(len(table) for table in scores)
    if n_patients == 1:
        return None
    at = next(number for number, row in enumerate(eligible) if row is best)
    return sum(_wins(scores, at, patient, alphas) for patient in range(n_patients)) / n_patients


def _scores(context: StageContext, row: SummaryRow, alphas: _Floats) -> _Floats:
    """Return the AUC of one configuration, shape (n_patients, n_alphas); patients are the same in all of them."""
    request = context.request
    place = grid_cell(request.checkpoint, request.stage, str(row["preprocess"]), str(row["method"]))
    path = context.artifacts.staging / place / "metrics.csv"
    table = pd.read_csv(path, dtype={"patient": str}, keep_default_na=False, float_precision="round_trip")
    mine = table[table["penalty"] == row["penalty"]]
    return mine["auc_mean"].to_numpy(np.float64).reshape(-1, alphas.size)


def _wins(scores: Sequence[_Floats], at: int, patient: int, alphas: _Floats) -> bool:
    """Return whether no other configuration is better than that in place `at` without one patient."""
    medians = [np.median(np.delete(table, patient, axis=0), axis=0) for table in scores]
    at_alpha = [float(median[choose_alpha([median], alphas)]) for median in medians]
    return at_alpha[at] >= max(at_alpha) - TIE
