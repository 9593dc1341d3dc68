"""The sealed hold-out: what a run keeps of it, what comes back from it, and how its patients are left out.

A run keeps the patients that it works with and none that were put aside: those, and the salt of the commitment to them,
lie in the lock-box (`lockbox.py`). The scope of every stage and gate is the spec's with one more filter, which keeps
the working patients; so whatever loads cells leaves the others out by the rule that it follows anyway.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from stagewright.state.canonical import digest_json
from stagewright.state.records import Record, Sha256
from stagewright.state.spec.data import ColumnFilter, DataScope

__all__ = [
    "FEWEST_HELD_OUT",
    "HoldoutDraw",
    "HoldoutScore",
    "HoldoutSeal",
    "HoldoutWish",
    "commitment_to",
    "kept_patients",
    "n_put_aside",
    "working_scope",
]

FEWEST_HELD_OUT = 2
"""Patients with both classes: one shows no spread, so its score would have no interval."""


class HoldoutWish(Record):
    """What planning asks for: a share of the patients, and whom earlier plans put aside, in the order in which.

    Attributes
    ----------
    earlier
        Digests of patients. They are put aside again before any other, so that another plan on the same patients does
        not show what an earlier one kept back.
    """

    fraction: float
    earlier: tuple[Sha256, ...] = ()


class HoldoutDraw(Record):
    """Who is put aside. It goes from the child that draws to the lock-box, and into no run.

    Attributes
    ----------
    digests
        Of each patient, over the names of its cells: the same patient under another name, or in a file that was
        written again, is known by it.
    n_both, n_both_in_all
        Patients with both classes among them, and among all patients in scope.
    n_cells
        Their cells in scope.
    """

    patients: tuple[str, ...]
    digests: tuple[Sha256, ...]
    n_both: int
    n_both_in_all: int
    n_cells: int


class HoldoutSeal(Record):
    """What a run keeps of its hold-out.

    Attributes
    ----------
    working
        The patients that stages and gates see, in the order of their names.
    n_patients, n_both, n_cells
        Patients put aside, those of them with both classes, and their cells in scope.
    commitment
        sha256 over the salt and the names of the patients put aside: whoever is shown both can check that it was them.
    queries
        How often the lock-box may be asked about these patients, by all runs together.
    """

    working: Annotated[tuple[str, ...], Field(min_length=1)]
    n_patients: int
    n_both: int
    n_cells: int
    commitment: Sha256
    queries: int


class HoldoutScore(Record):
    """What the lock-box says at the end of a run: no patient, no label.

    Attributes
    ----------
    outcome
        ``scored``, or ``used_up`` when all queries had been used before.
    auc, auc_low, auc_high
        Median over patients of the AUC of a patient's cells, with a bootstrap interval over patients.
    n_patients, n_cells
        Patients that were scored, those with both classes, and their cells.
    configuration
        What was fitted to all working patients and scored.
    query, queries
        Which query about these patients it was, of how many; counted over all runs.
    """

    outcome: Literal["scored", "used_up"]
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    n_patients: int = 0
    n_cells: int = 0
    configuration: str
    query: int
    queries: int

    def said(self) -> str:
        """Return the score, or why there is none, in words.

        >>> HoldoutScore(outcome="used_up", configuration="hvg/pca/k_2/l1", query=3, queries=3).said()
        'hold-out not asked: all 3 queries about these patients were used before'
        """
        if self.outcome == "used_up" or self.auc is None:
            return f"hold-out not asked: all {self.queries} queries about these patients were used before"
        interval = "" if self.auc_low is None else f" (95 % interval {self.auc_low:.3f} to {self.auc_high:.3f})"
        return (
            f"hold-out AUC {self.auc:.3f}{interval}, median over {self.n_patients} patients, {self.n_cells} cells; "
            f"query {self.query} of {self.queries}"
        )

    def metrics(self) -> dict[str, float]:
        """Return the score as metrics; empty where there is none."""
        found = {"holdout.auc": self.auc, "holdout.auc_low": self.auc_low, "holdout.auc_high": self.auc_high}
        return {name: value for name, value in found.items() if value is not None}


def n_put_aside(fraction: float, n_patients: int) -> int:
    """Return how many of so many patients a share is, halves rounded up.

    >>> [n_put_aside(0.25, n) for n in (1, 2, 6, 8)]
    [0, 1, 2, 2]
    """
    return math.floor(fraction * n_patients + 0.5)


def commitment_to(patients: Sequence[str], salt: str) -> str:
    """Return the sha256 over the salt and the names of patients, in canonical JSON."""
    return digest_json({"patients": [*sorted(patients)], "salt": salt})


def working_scope(scope: DataScope, seal: HoldoutSeal | None) -> DataScope:
    """Return the scope that stages and gates are given: the spec's, without the patients that were put aside."""
    return scope if seal is None else kept_patients(scope, seal.working)


def kept_patients(scope: DataScope, patients: Sequence[str]) -> DataScope:
    """Return a scope narrowed to some patients, before any other filter."""
    only = ColumnFilter(column=scope.patient, keep=tuple(patients))
    return scope.model_copy(update={"filters": (only, *scope.filters)})
