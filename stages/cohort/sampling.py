"""Who was sampled, when and how: the cells of the built-in cohort before they have counts.

Two patients are there to be awkward, as in every real cohort: the last one is in remission and has normal cells only;
the one before it has four malignant cells. Neither was sampled at diagnosis.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewright.stages.cohort.programmes import IDENTITIES

FEW_MALIGNANT = 4
MRD_SHARE = 0.6
CITE_SHARE = 0.65
SINGLE_CLASS, FEW = "single_class", "few_malignant"

NORMAL_MIX = (0.32, 0.28, 0.12, 0.18, 0.10)
"""Share of each cell type, in the order of `IDENTITIES`, among normal cells."""
MALIGNANT_MIX = (0.50, 0.38, 0.12, 0.0, 0.0)
"""The same among malignant cells: they resemble myeloid cells, so cell type alone does not give them away."""

ANNOTATION = {
    "progenitor": "HSPC",
    "monocyte": "Mono",
    "erythroid": "Erythroid",
    "t_cell": "T",
    "b_cell": "B",
}
BLAST = "AML blast"
BLAST_GIVEN_MALIGNANT = 0.6
BLAST_GIVEN_NORMAL_MYELOID = 0.04
MISANNOTATED = 0.05


@dataclass(frozen=True, slots=True)
class Patient:
    """One patient of the cohort."""

    name: str
    source: str
    malignant_share: dict[str, float]
    """Share of malignant cells at each time point that was sampled, in [0, 1]."""
    role: str = ""
    """`single_class`, `few_malignant`, or empty."""


def recruit(rng: np.random.Generator, n_patients: int) -> list[Patient]:
    """Draw the patients; the last two are the awkward ones."""
    patients: list[Patient] = []
    for number in range(1, n_patients + 1):
        shares = {"Dx": float(rng.uniform(0.4, 0.75)), "MRD": float(rng.uniform(0.12, 0.4))}
        role = ""
        if number == n_patients:
            role, shares = SINGLE_CLASS, {"MRD": 0.0}
        elif number == n_patients - 1:
            role, shares = FEW, {"MRD": 0.0}
        source = "site_1" if number % 2 else "site_2"
        patients.append(Patient(name=f"P{number:02d}", source=source, malignant_share=shares, role=role))
    return patients


def sample_cells(rng: np.random.Generator, patient: Patient, n_cells: int) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """Draw one patient's cells.

    Returns
    -------
    obs
        One row a cell: patient, CN.label, timepoint_type, Tech, source, predicted.annotation.
    identity
        Array of shape (n_cells,): the row of each cell's identity programme.
    """
    if "Dx" in patient.malignant_share:
        timepoint = np.where(rng.random(n_cells) < MRD_SHARE, "MRD", "Dx")
    else:
        timepoint = np.full(n_cells, "MRD")
    tech = np.where(rng.random(n_cells) < CITE_SHARE, "CITE", "RNA")
    share = np.array([patient.malignant_share[str(name)] for name in timepoint])
    malignant = rng.random(n_cells) < share
    if patient.role == FEW:
        malignant[rng.choice(np.flatnonzero(tech == "CITE"), size=FEW_MALIGNANT, replace=False)] = True

    types = len(IDENTITIES)
    identity = np.where(
        malignant, rng.choice(types, size=n_cells, p=MALIGNANT_MIX), rng.choice(types, size=n_cells, p=NORMAL_MIX)
    )
    obs = pd.DataFrame(
        {
            "patient": patient.name,
            "CN.label": np.where(malignant, "cancer", "normal"),
            "timepoint_type": timepoint,
            "Tech": tech,
            "source": patient.source,
            "predicted.annotation": _annotate(rng, identity, malignant),
        }
    )
    return obs, identity


def _annotate(
    rng: np.random.Generator, identity: NDArray[np.intp], malignant: NDArray[np.bool_]
) -> NDArray[np.object_]:
    """Annotate cells as a reference mapping would: mostly right, and in part a copy of the label."""
    n_cells = identity.size
    seen = np.where(rng.random(n_cells) < MISANNOTATED, rng.integers(len(IDENTITIES), size=n_cells), identity)
    labels = np.array([ANNOTATION[name] for name in IDENTITIES], dtype=object)[seen]
    myeloid = identity < IDENTITIES.index("t_cell")
    blast_rate = np.where(malignant, BLAST_GIVEN_MALIGNANT, np.where(myeloid, BLAST_GIVEN_NORMAL_MYELOID, 0.0))
    labels[rng.random(n_cells) < blast_rate] = BLAST
    return labels
