"""Write the built-in cohort: a simulated multi-patient study in which the answer is known.

Counts follow a negative binomial around a mixture of gene programmes (see `programmes`), scaled by each cell's depth,
its patient and its technology. What was planted is stored in the file, so that a test can compare:

- `varm["programme_weights"]`: array of shape (n_genes, n_programmes), the weight of each gene in each programme.
- `uns["programmes"]`: their names and kinds, in the same order.
- `var["programme"]`: the programme of each gene, or `none`.
- `uns["simulation"]`: seed, sizes, and which patients are awkward on purpose.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from stagewright.stages.cohort.programmes import Programmes, plant_programmes
from stagewright.stages.cohort.sampling import FEW, SINGLE_CLASS, Patient, recruit, sample_cells

MIN_PATIENTS = 8
MIN_CELLS_PER_PATIENT = 40
MIN_GENES = 300

MEDIAN_DEPTH = {"CITE": 390.0, "RNA": 700.0}
"""Transcripts of a median cell; the two technologies differ in depth."""
DEPTH_SPREAD = 0.4
PATIENT_SPREAD = 0.3
TECH_SPREAD = 0.25
"""Standard deviations of log factors: of a cell's depth, and of each gene in a patient and in a technology."""

IDENTITY_USAGE = 0.12
SHARED_USAGE = 0.03
MALIGNANT_USAGE = 0.1
"""Mean share of a malignant cell's transcripts that comes from malignant programmes."""
MALIGNANT_LEAK = 0.3
"""What normal cells show of it: the programmes are raised in malignant cells, not absent elsewhere."""
MALIGNANT_LEAD = (5.0, 2.0, 2.0)
"""Dirichlet weights of the malignant programmes in a patient: the first leads in most, as a shared disease biology."""
DISPERSION = 0.25
"""Variance = mean + DISPERSION * mean ** 2."""


@dataclass(frozen=True, slots=True)
class _Biology:
    """What all patients share."""

    programmes: Programmes
    tech_factor: dict[str, NDArray[np.float64]]
    """For each technology an array of shape (n_genes,)."""


def generate_cohort(
    path: str | Path,
    *,
    seed: int = 0,
    n_patients: int = 10,
    cells_per_patient: int = 360,
    n_genes: int = 2_400,
) -> None:
    """Write a simulated cohort as h5ad; the file appears complete or not at all.

    X holds raw counts (CSR, float32 integers, about 10 % non-zero). obs holds `patient`, `CN.label` (cancer, normal),
    `timepoint_type` (Dx, MRD), `Tech` (CITE, RNA), `source` and `predicted.annotation`, which leaks part of the label.
    The last patient has normal cells only, the one before it four malignant cells, at every filter on `Tech` = CITE
    or `timepoint_type` = MRD.

    Parameters
    ----------
    path
        File to write; its folder is made when missing, an existing file is replaced.
    seed
        Non-negative. The same seed, sizes and numpy give the same arrays, byte for byte.
    n_patients
        At least 8.
    cells_per_patient
        At least 40.
    n_genes
        At least 300.

    Raises
    ------
    ValueError
        A size is below its minimum, or the seed is negative.
    """
    for name, value, least in (
        ("seed", seed, 0),
        ("n_patients", n_patients, MIN_PATIENTS),
        ("cells_per_patient", cells_per_patient, MIN_CELLS_PER_PATIENT),
        ("n_genes", n_genes, MIN_GENES),
    ):
        if value < least:
            raise ValueError(f"{name} is {value}; it must be at least {least}")

    shared_rng = np.random.default_rng([seed, 0])
    programmes = plant_programmes(shared_rng, n_genes)
    tech_factor = {tech: shared_rng.lognormal(sigma=TECH_SPREAD, size=n_genes) for tech in MEDIAN_DEPTH}
    biology = _Biology(programmes=programmes, tech_factor=tech_factor)
    patients = recruit(shared_rng, n_patients)
    parts = [
        # A generator for each patient: the cells of one do not depend on how many cells another has.
        _simulate_patient(np.random.default_rng([seed, number]), patient, cells_per_patient, biology)
        for number, patient in enumerate(patients, start=1)
    ]
    obs = pd.concat([part_obs for part_obs, _ in parts], ignore_index=True).astype("category")
    obs.index = pd.Index([f"cell_{number:06d}" for number in range(len(obs))])
    cohort = anndata.AnnData(
        X=sparse.csr_matrix(sparse.vstack([counts for _, counts in parts], format="csr")),
        obs=obs,
        var=_describe_genes(programmes),
        varm={"programme_weights": programmes.weights.T.copy()},
        uns={
            "programmes": {"name": np.array(programmes.names), "kind": np.array(programmes.kinds)},
            "simulation": {
                "seed": seed,
                "n_patients": n_patients,
                "cells_per_patient": cells_per_patient,
                "n_genes": n_genes,
                "single_class_patient": next(one.name for one in patients if one.role == SINGLE_CLASS),
                "few_malignant_patient": next(one.name for one in patients if one.role == FEW),
            },
        },
    )
    _write_whole(cohort, Path(path))


def _simulate_patient(
    rng: np.random.Generator, patient: Patient, n_cells: int, biology: _Biology
) -> tuple[pd.DataFrame, sparse.csr_matrix]:
    """Draw one patient's cells and their counts."""
    obs, identity = sample_cells(rng, patient, n_cells)
    malignant = (obs["CN.label"] == "cancer").to_numpy()
    usage = _draw_usage(rng, identity, malignant, biology.programmes)
    programmes = biology.programmes
    rate = (1.0 - usage.sum(axis=1))[:, None] * programmes.baseline
    for row in range(len(programmes.names)):
        # One programme after the other, no matrix product: the sum must not depend on the BLAS in use.
        rate += usage[:, row, None] * programmes.weights[row]
    tech = obs["Tech"].to_numpy()
    rate *= rng.lognormal(sigma=PATIENT_SPREAD, size=rate.shape[1])
    rate *= np.stack([biology.tech_factor[str(name)] for name in tech])
    rate /= rate.sum(axis=1, keepdims=True)
    median = np.array([MEDIAN_DEPTH[str(name)] for name in tech])
    rate *= (median * rng.lognormal(sigma=DEPTH_SPREAD, size=n_cells))[:, None]
    shape = 1.0 / DISPERSION
    counts = rng.negative_binomial(shape, shape / (shape + rate))
    return obs, sparse.csr_matrix(counts.astype(np.float32))


def _draw_usage(
    rng: np.random.Generator, identity: NDArray[np.intp], malignant: NDArray[np.bool_], programmes: Programmes
) -> NDArray[np.float64]:
    """Draw the share of each cell's transcripts that each programme makes.

    Returns
    -------
    Array of shape (n_cells, n_programmes); the rest of a row is the baseline.
    """
    n_cells = identity.size
    usage = np.zeros((n_cells, len(programmes.names)))
    usage[np.arange(n_cells), identity] = IDENTITY_USAGE * rng.gamma(4.0, 0.25, size=n_cells)
    for row in programmes.rows("shared"):
        usage[:, row] = SHARED_USAGE * rng.gamma(1.0, size=n_cells)
    malignant_rows = programmes.rows("malignant")
    # Patients differ in which malignant programme leads, as clones do.
    lead = rng.dirichlet(MALIGNANT_LEAD)
    level = np.where(malignant, 1.0, MALIGNANT_LEAK) * MALIGNANT_USAGE
    for row, weight in zip(malignant_rows, lead, strict=True):
        usage[:, row] = level * weight * rng.gamma(2.0, 0.5, size=n_cells)
    total = usage.sum(axis=1, keepdims=True)
    # The tails of the gamma draws may not take a whole cell: the baseline keeps a fifth.
    return np.asarray(usage * np.minimum(1.0, 0.8 / total))


def _describe_genes(programmes: Programmes) -> pd.DataFrame:
    """Make var: one row a gene, with the programme it belongs to."""
    member = programmes.weights > 0
    names = np.array([*programmes.names, "none"], dtype=object)
    programme = names[np.where(member.any(axis=0), member.argmax(axis=0), len(programmes.names))]
    genes = pd.Index([f"GENE{number:05d}" for number in range(1, member.shape[1] + 1)])
    return pd.DataFrame({"programme": pd.Categorical(programme)}, index=genes)


def _write_whole(cohort: anndata.AnnData, path: Path) -> None:
    """Write beside the target and rename, so that a reader never meets half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        cohort.write_h5ad(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
