"""Measure out-of-fold predictions within strata, where permuted labels have no tie to anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pyarrow.parquet import read_schema

from stagewright.stages.classify.metrics import roc_auc

__all__ = ["PREDICTIONS", "WithinStrata", "within_strata"]

PREDICTIONS = "oof_predictions.parquet"
MODEL = ("mode", "downsampling")
PREDICTED = ("patient", "cell", "penalty", "repeat", "label", "decision")


@dataclass(frozen=True, slots=True)
class WithinStrata:
    """The AUC of one configuration over pairs of cells of one stratum.

    Attributes
    ----------
    auc
        By patient, mean over the repeats; without patients none of whose strata has both classes.
    counts
        By patient, the positive and negative cells of each stratum with both.
    """

    auc: Mapping[str, float]
    counts: Mapping[str, tuple[tuple[int, int], ...]]

    @property
    def median(self) -> float:
        """Median over patients; NaN without any."""
        return float(np.median([*self.auc.values()])) if self.auc else float("nan")


def within_strata(predictions: Path, stratum_of: pd.Series) -> dict[str, WithinStrata]:
    """Return the AUC within strata for each penalty, or model of Plan 1C.

    Permuting within strata keeps the classes' shares there. Where these differ, a classifier that recognises the
    stratum scores above 0.5 over all of a patient's cells, without any leak. Pairs within a stratum do not reward that:
    there, chance is 0.5.

    Parameters
    ----------
    predictions
        A parquet with patient, cell, penalty, repeat, label and decision; each cell of a patient once in each repeat.
    stratum_of
        Stratum of each cell, by cell name.

    Returns
    -------
    By penalty. A patient's AUC is that of its strata weighted by their pairs, which is the share of all such pairs that
    are in the right order.
    """
    named = [name for name in MODEL if name in read_schema(predictions).names]
    table = pd.read_parquet(predictions, columns=[*named, *PREDICTED])
    if named:  # Plan 1C's models
        table["penalty"] = table[[*named, "penalty"]].astype(str).agg(".".join, axis=1)
    table = table.assign(stratum=table["cell"].map(stratum_of))
    found: dict[str, WithinStrata] = {}
    for penalty, rows in table.groupby("penalty", observed=True, sort=True):
        auc: dict[str, float] = {}
        counts: dict[str, tuple[tuple[int, int], ...]] = {}
        for patient, mine in rows.groupby("patient", observed=True, sort=True):
            ordered = mine.sort_values(["repeat", "cell"], kind="stable")
            n_repeats = ordered["repeat"].nunique()
            decision, label, stratum = (
                ordered[name].to_numpy().reshape(n_repeats, -1) for name in ("decision", "label", "stratum")
            )
            right, sizes = 0.0, []
            for number in np.unique(stratum[0]):
                here = stratum[0] == number
                positive = label[0, here].astype(np.bool_)
                size = (int(positive.sum()), int((~positive).sum()))
                if min(size) > 0:
                    sizes.append(size)
                    right += size[0] * size[1] * float(roc_auc(decision[:, here].T, positive).mean())
            if sizes:
                auc[str(patient)] = right / sum(positive * negative for positive, negative in sizes)
                counts[str(patient)] = tuple(sizes)
        found[str(penalty)] = WithinStrata(auc, counts)
    return found
