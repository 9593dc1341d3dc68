"""Held-out prediction against the same computed with dense covariances, cell by cell."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.optimize import nnls
from scipy.stats import multivariate_normal
from threadpoolctl import threadpool_limits

from stagewright.stages.cohort.generate import generate_cohort
from stagewright.stages.preprocess.normalise import log_normalise
from stagewright.stages.reduction.catalogue import FitUnit
from stagewright.stages.reduction.reduction import Reduction
from stagewright.stages.reduction.standardise import Standardised, standardise
from stagewright.stages.reduction.sweep import FitSettings, SharedMatrix, sweep
from stagewright.stages.stability.choose_k import KRow, choose_k
from stagewright.stages.stability.held_out import HeldOutFigures, held_out_figures
from stagewright.stages.stability.hold_out import HeldOutCells, hold_out

N_PROGRAMMES = 5


@pytest.fixture(scope="module")
def expression() -> tuple[sparse.csr_matrix, pd.Series]:
    """Expression of 600 cells of 6 patients that mix five programmes of disjoint genes, 120 genes, one seen once."""
    rng = np.random.default_rng(4)
    usage = rng.gamma(0.5, 1.0, (600, N_PROGRAMMES))
    weights = np.kron(np.eye(N_PROGRAMMES), np.ones(24)) * rng.gamma(2.0, 0.5, 120)
    counts = rng.poisson(0.3 + usage @ weights)
    counts[:, 7] = 0
    counts[11, 7] = 3
    return sparse.csr_matrix(np.log1p(counts).astype(np.float32)), pd.Series([f"P{cell % 6}" for cell in range(600)])


def _fit(
    method: str, k: int, x: sparse.csr_matrix, split: HeldOutCells, rotation: str
) -> tuple[Reduction, SharedMatrix]:
    training = SharedMatrix(sparse.csr_matrix(x[~split.held_out]))
    settings = FitSettings(rotation={} if rotation == "none" else {method: rotation})
    with threadpool_limits(limits=1, user_api="blas"):  # as in a stage; many threads on small matrices are slow
        _, reduction = next(sweep([FitUnit(method, k, 1)], training, settings))
    return reduction, training


def _figures(method: str, k: int, x: sparse.csr_matrix, split: HeldOutCells, rotation: str = "none") -> HeldOutFigures:
    reduction, training = _fit(method, k, x, split, rotation)
    cells = sparse.csr_matrix(x[split.held_out])
    return held_out_figures(reduction, training.standardised, cells, standardise(x).inverse_sd, split)


def _oracle(
    reduction: Reduction, training: np.ndarray, cells: np.ndarray, sd_of_all: np.ndarray, split: HeldOutCells
) -> tuple[np.ndarray, np.ndarray, float]:
    """Squared errors and totals of each cell, and the mean log-likelihood, from whole covariance matrices."""
    mean, sd = training.mean(axis=0), training.std(axis=0)
    seen = sd > 0
    safe = np.where(seen, sd, 1.0)
    predicted = np.zeros_like(cells)
    halves = (split.first_half, ~split.first_half)
    loadings = reduction.loadings.astype(float)
    log_likelihood = np.nan
    if reduction.method == "nmf":
        for known in halves:
            for cell, values in enumerate(cells):
                scores, _ = nnls(loadings[known], (values / safe * seen)[known])
                predicted[cell, ~known] = np.where(seen, loadings @ scores * safe - mean, 0.0)[~known]
    else:
        z = (cells - mean) / safe * seen
        if reduction.method == "pca":
            variances = np.asarray(reduction.arrays["variances"], dtype=float)
            noise = (seen.sum() - variances.sum()) / (seen.sum() - reduction.k)
            psi = np.full(seen.size, noise)
            covariance = loadings @ np.diag(variances - noise) @ loadings.T + np.diag(psi)
        else:
            factors = np.asarray(reduction.arrays.get("factor_correlation", np.eye(reduction.k)))
            psi = np.asarray(reduction.arrays["uniquenesses"], dtype=float)
            covariance = loadings @ factors @ loadings.T + np.diag(psi)
        for known in halves:
            regression = np.linalg.solve(covariance[np.ix_(known, known)], covariance[np.ix_(known, ~known)])
            predicted[:, ~known] = z[:, known] @ regression * safe[~known]
        normal = multivariate_normal(cov=covariance[np.ix_(seen, seen)])
        log_likelihood = float(normal.logpdf(z[:, seen]).mean())
    deviations = cells - mean
    errors = ((deviations - predicted) / sd_of_all) ** 2
    return errors.sum(axis=1), ((deviations / sd_of_all) ** 2).sum(axis=1), log_likelihood


@pytest.mark.parametrize(("method", "rotation"), [("pca", "none"), ("fa", "none"), ("fa", "promax"), ("nmf", "none")])
def test_figures_are_those_of_dense_covariances(
    method: str, rotation: str, expression: tuple[sparse.csr_matrix, pd.Series]
) -> None:
    """Errors by patient to 1e-4 of them (float32 loadings, scores to 1e-5), the log-likelihood to 1e-3 nats.

    A gene that no training cell has is predicted by its mean.
    """
    x, patients = expression
    split = hold_out(patients, x.shape[1], fraction=0.2, seed=3)
    if not split.held_out[11]:  # the only cell with gene 7 has to be held out here
        split.held_out[[11, np.flatnonzero(split.held_out & (patients == patients[11]))[0]]] = [True, False]
    reduction, training = _fit(method, 4, x, split, rotation)
    held_out = x[split.held_out]
    assert training.standardised.sd[7] == 0
    figures = held_out_figures(
        reduction, training.standardised, sparse.csr_matrix(held_out), standardise(x).inverse_sd, split
    )
    dense = x.toarray().astype(float)
    errors, totals, log_likelihood = _oracle(
        reduction, dense[~split.held_out], dense[split.held_out], dense.std(axis=0), split
    )
    groups = [split.groups == name for name in figures.names]
    np.testing.assert_allclose(figures.errors.errors, [errors[group].sum() for group in groups], rtol=1e-4)
    np.testing.assert_allclose(figures.errors.totals, [totals[group].sum() for group in groups], rtol=1e-5)
    assert figures.n_cells == tuple(int(group.sum()) for group in groups)
    assert figures.errors.r2 == pytest.approx(1 - errors.sum() / totals.sum(), abs=1e-5)
    if method == "nmf":
        assert figures.log_likelihood is None
    else:
        assert figures.log_likelihood == pytest.approx(log_likelihood, abs=1e-3)


@pytest.mark.parametrize("method", ["pca", "fa", "nmf"])
def test_the_rule_finds_the_planted_number(method: str, expression: tuple[sparse.csr_matrix, pd.Series]) -> None:
    """Five programmes are planted, and each method chooses 5 of 2 to 14; the share explained rises throughout."""
    x, patients = expression
    split = hold_out(patients, x.shape[1], fraction=0.2, seed=1)
    rows = []
    for k in (2, 3, 4, 5, 6, 8, 14):
        reduction, training = _fit(method, k, x, split, "none")
        cells = sparse.csr_matrix(x[split.held_out])
        figures = held_out_figures(reduction, training.standardised, cells, standardise(x).inverse_sd, split)
        rows.append(KRow(k, None, float(str(reduction.extras["explained"])), figures.errors))
    assert [row.explained for row in rows] == sorted(row.explained for row in rows)
    choice = choose_k(rows)
    assert choice.k == N_PROGRAMMES, choice.reason
    assert 14 not in choice.shortlist


@pytest.fixture(scope="module")
def built_in(tmp_path_factory: pytest.TempPathFactory) -> tuple[sparse.csr_matrix, pd.Series]:
    """Expression of the built-in cohort, in which ten programmes are planted: 1,200 cells of 8 patients."""
    path = tmp_path_factory.mktemp("built_in") / "cohort.h5ad"
    generate_cohort(path, seed=1, n_patients=8, cells_per_patient=150, n_genes=800)
    data = anndata.read_h5ad(path)
    counts = sparse.csr_matrix(data.X)
    x = log_normalise(counts)[:, np.asarray((counts > 0).mean(axis=0)).ravel() > 0.05]
    return sparse.csr_matrix(x), data.obs["patient"].astype(str).reset_index(drop=True)


@pytest.mark.parametrize("method", ["pca", "fa"])
def test_the_rule_lands_at_the_programmes_of_the_built_in_cohort(
    method: str, built_in: tuple[sparse.csr_matrix, pd.Series]
) -> None:
    """At 10 or its neighbour in the list: patients and technologies differ too, and not every programme is common."""
    x, patients = built_in
    split = hold_out(patients, x.shape[1], fraction=0.2, seed=1)
    rows = []
    for k in (4, 6, 8, 10, 12, 14, 20):
        reduction, training = _fit(method, k, x, split, "none")
        cells = sparse.csr_matrix(x[split.held_out])
        figures = held_out_figures(reduction, training.standardised, cells, standardise(x).inverse_sd, split)
        rows.append(KRow(k, None, float(str(reduction.extras["explained"])), figures.errors))
    choice = choose_k(rows)
    assert choice.k in (8, 10, 12), choice.reason


def test_the_draw_of_a_patient_is_its_own(expression: tuple[sparse.csr_matrix, pd.Series]) -> None:
    """A fifth of each patient's cells, the same ones whoever else is in the study; another seed draws others."""
    _, patients = expression
    whole = hold_out(patients, 120, fraction=0.2, seed=1)
    assert whole.grouped_by == "patient"
    assert patients[whole.held_out].value_counts().to_dict() == {f"P{number}": 20 for number in range(6)}
    assert whole.first_half.sum() == 60
    some = patients.isin(["P1", "P4"]).to_numpy()
    two = hold_out(patients[some].reset_index(drop=True), 120, fraction=0.2, seed=1)
    np.testing.assert_array_equal(two.held_out, whole.held_out[some])
    assert two.grouped_by == "block"  # two patients say nothing of the spread over patients
    assert len(set(two.groups)) == 10
    other = hold_out(patients, 120, fraction=0.2, seed=2)
    assert (other.held_out != whole.held_out).any()
    assert (other.first_half != whole.first_half).any()


@pytest.mark.parametrize("method", ["pca", "fa"])
def test_a_standardised_view_gives_the_figures_of_its_cells(
    method: str, expression: tuple[sparse.csr_matrix, pd.Series]
) -> None:
    """What Pearson residuals come as; to 1e-5 of the errors, in float32."""
    x, patients = expression
    x = sparse.csr_matrix(x[:, np.arange(x.shape[1]) != 7])  # without the gene that a view cannot place
    split = hold_out(patients, x.shape[1], fraction=0.2, seed=1)
    reduction, training = _fit(method, 3, x, split, "none")
    seen, cells = training.standardised, sparse.csr_matrix(x[split.held_out])
    scale = standardise(x).inverse_sd
    view = Standardised(cells, seen.mean, seen.sd, seen.inverse_sd)
    sparse_figures, view_figures = (held_out_figures(reduction, seen, given, scale, split) for given in (cells, view))
    np.testing.assert_allclose(view_figures.errors.errors, sparse_figures.errors.errors, rtol=1e-5)
    assert view_figures.log_likelihood == pytest.approx(sparse_figures.log_likelihood, abs=1e-3)


def test_the_size_of_a_block_of_cells_changes_nothing(
    expression: tuple[sparse.csr_matrix, pd.Series], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells are predicted in blocks to spare memory."""
    x, patients = expression
    split = hold_out(patients, x.shape[1], fraction=0.2, seed=1)
    whole = _figures("fa", 3, x, split)
    monkeypatch.setattr("stagewright.stages.stability.held_out.BLOCK_CELLS", 17)
    small = _figures("fa", 3, x, split)
    np.testing.assert_allclose(small.errors.errors, whole.errors.errors, rtol=1e-5)
    assert small.log_likelihood == pytest.approx(whole.log_likelihood, abs=1e-3)
