"""Choose a penalty strength: by AUC over patients, then average precision, then recall, then the stronger penalty."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["OBJECTIVE", "TIE", "choice_left_out", "choose_alpha"]

OBJECTIVE = ("roc_auc", "average_precision", "recall_positive")
"""The metrics that decide, the first before the second before the third; then the larger alpha wins."""
TIE = 1e-12
"""Areas are ratios of counts: what differs by less differs by rounding only."""

_Floats = NDArray[np.float64]


def choose_alpha(scores: Sequence[_Floats], alphas: _Floats) -> int:
    """Return the place of the best alpha.

    Parameters
    ----------
    scores
        One array of shape (m,) for each metric of `OBJECTIVE`, higher is better; NaN is worse than any number.
    alphas
        Penalty strengths, shape (m,).
    """
    left = np.arange(alphas.size)
    for score in scores:
        value = np.where(np.isnan(score), -np.inf, score)[left]
        highest = value.max()
        left = left[value >= highest - TIE] if np.isfinite(highest) else left
    return int(left[np.argmax(alphas[left])])


def choice_left_out(by_patient: Sequence[_Floats], alphas: _Floats) -> _Floats:
    """Return each patient's AUC at the alpha that the other patients choose, shape (n_patients,).

    Parameters
    ----------
    by_patient
        One array of shape (n_patients, m) for each metric of `OBJECTIVE`, AUC first.

    Returns
    -------
    numpy.ndarray
        NaN for a single patient, who has no others.
    """
    n_patients = by_patient[0].shape[0]
    if n_patients == 1:
        return np.full(1, np.nan)
    chosen = np.empty(n_patients)
    for patient in range(n_patients):
        others = [np.median(np.delete(metric, patient, axis=0), axis=0) for metric in by_patient]
        chosen[patient] = by_patient[0][patient, choose_alpha(others, alphas)]
    return chosen
