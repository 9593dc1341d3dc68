"""Labels that a step permuted are permuted within their strata."""

import math
from collections.abc import Iterator

import pandas as pd

from stagewright.gates.protocol import Finding
from stagewright.state.records import Verdict

__all__ = ["AGAIN", "LEAK", "REMEDY", "WHY", "label_faults"]

FEW_ARRANGEMENTS = 6.0
"""log10: of a million arrangements the observed one is not drawn by chance."""
WHY = "A negative control is one only if its labels were permuted as declared and its scores are those it reports."
AGAIN = "To pass: adjust, so that the step is executed again; if it comes back, the stage itself is wrong."
LEAK = (
    "Labels that were permuted have no tie to expression, so out of fold they are told apart by chance only. More "
    "means that the label reached what was fitted before the folds were drawn, and the observed scores are flattered "
    "the same way."
)
REMEDY = (
    "To pass: a new run with cv.scope pipeline, which refits what saw the label inside each training fold, or a "
    "preprocess that uses no label."
)


def label_faults(gate: str, name: str, table: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Finding]:
    """Compare the permuted labels of the cells that were scored with those in obs.

    Failures are a cell with two labels, a stratum with other class counts than obs has, and labels that all stand where
    they were; the last is a warning where so few arrangements exist that the observed one may be drawn.

    Parameters
    ----------
    gate, name
        The gate that asks, and the subject of its findings.
    table
        Predictions of one permutation, with the columns cell and label.
    cells
        From `strata_of_cells`.
    """

    def record(severity: Verdict, measured: str, wanted: str) -> Finding:
        reason = f"{WHY} {AGAIN}"
        return Finding(gate=gate, subject=name, severity=severity, measured=measured, threshold=wanted, reason=reason)

    labels = table.assign(cell=table["cell"].astype(str)).groupby("cell", observed=True)["label"].agg(["min", "max"])
    if not labels["min"].eq(labels["max"]).all():
        yield record("fail", "a cell with two labels", "one label for each cell and permutation")
    both = cells.set_index("cell").assign(permuted=labels["max"].astype(float))
    both["scored"] = both["permuted"].notna()
    # Patients may be left out; strata are compared where all their cells were scored.
    strata = both.groupby("stratum").agg(
        whole=("scored", "all"), n=("positive", "size"), before=("positive", "sum"), now=("permuted", "sum")
    )
    strata = strata[strata["whole"]]
    other = int((strata["before"] != strata["now"]).sum())
    if other:
        measured = f"{other} of {len(strata)} strata with other class counts"
        yield record("fail", measured, "the class counts of obs in each stratum")
    mixed = strata.index[(strata["before"] > 0) & (strata["before"] < strata["n"])]
    where = both[both["stratum"].isin(mixed)]
    if len(where) and where["permuted"].eq(where["positive"].astype(float)).all():
        # Where few arrangements exist, the one that was observed is a permutation like the others.
        severity: Verdict = "fail" if _log10_arrangements(strata.loc[mixed]) >= FEW_ARRANGEMENTS else "warn"
        yield record(severity, "every label where it was", "labels permuted within strata")


def _log10_arrangements(strata: pd.DataFrame) -> float:
    """Return the logarithm of the number of ways in which the labels of the strata can lie."""
    ways = (
        math.lgamma(n + 1) - math.lgamma(positive + 1) - math.lgamma(n - positive + 1)
        for n, positive in zip(strata["n"].astype(int), strata["before"].astype(int), strict=True)
    )
    return math.fsum(ways) / math.log(10)
