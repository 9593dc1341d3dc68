"""AUC over pairs of cells of one stratum, where permuted labels have no tie to anything."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from stagewright.gates.oof_auc import roc_auc_by_repeat

__all__ = ["WithinStrata", "within_strata"]


@dataclass(frozen=True, slots=True)
class WithinStrata:
    """AUC over pairs of one stratum: of each patient, with its standard deviation by chance."""

    auc: Mapping[str, float]
    sd: Mapping[str, float]


def within_strata(table: pd.DataFrame, cells: pd.DataFrame) -> WithinStrata:
    """Return the AUC within strata of each patient that has a stratum with both classes."""
    stratum = table["cell"].astype(str).map(cells.set_index("cell")["stratum"])
    pairs_of = table.assign(patient=table["patient"].astype(str) + "\n" + stratum.astype(str))
    auc = roc_auc_by_repeat(pairs_of).groupby(["patient"], observed=True).mean()
    repeat = pairs_of[pairs_of["repeat"] == pairs_of["repeat"].min()]
    counts = repeat.groupby("patient", observed=True)["label"].agg(["sum", "size"]).rename_axis("pairs_of")
    counts["patient"] = [name.partition("\n")[0] for name in counts.index]
    counts["positive"], counts["negative"] = counts["sum"].astype(int), (counts["size"] - counts["sum"]).astype(int)
    both = counts[(counts["positive"] > 0) & (counts["negative"] > 0)]
    found: dict[str, float] = {}
    spread: dict[str, float] = {}
    for patient, rows in both.groupby("patient", sort=True):
        pairs = (rows["positive"] * rows["negative"]).to_numpy(float)
        found[str(patient)] = float((auc.reindex(rows.index).to_numpy(float) * pairs).sum() / pairs.sum())
        variance = pairs * (rows["size"].to_numpy(float) + 1) / 12
        spread[str(patient)] = math.sqrt(variance.sum()) / pairs.sum()
    return WithinStrata(found, spread)
