"""One replicate of consensus NMF by Kullback-Leibler divergence: ours against the `cnmf` package's, on the same matrix.

The package's replicate is scikit-learn's multiplicative updates with its own settings; the consensus of both is made
from the same number of replicates of a smaller matrix, each from starts of its own.
"""

import time
import warnings

import numpy as np
from scipy import sparse
from sklearn.decomposition import non_negative_factorization

from stagewright.stages.reduction.cnmf import consensus_fit, fit_cnmf
from stagewright.stages.reduction.divergence_kernel import warm
from stagewright.stages.reduction.factorise import explained_and_objective, factorise, variance_scaled
from stagewright.stages.reduction.nmf import TOLERANCES
from stagewright.stages.reduction.standardise import standardise
from stagewright.stages.stability.matching import match_components

LOSS = "kullback-leibler"
K, PROGRAMMES, REPLICATES = 20, 8, 10


def main(n_cells: int = 3900, n_genes: int = 3000) -> list[dict[str, object]]:
    """Return how many times faster a replicate is, its divergence, and the agreement of the consensus."""
    warm()
    x = _counts(n_cells, n_genes)
    matrix = variance_scaled(standardise(x))
    started = time.perf_counter()
    ours = factorise(matrix, K, np.random.default_rng(1), LOSS, tol=TOLERANCES[LOSS], max_iter=1000)
    mine = time.perf_counter() - started
    started = time.perf_counter()
    w, h = _package(matrix, K, 1)
    theirs = time.perf_counter() - started
    ratio = theirs / mine
    _, our_loss = explained_and_objective(matrix, ours.w, ours.h, LOSS)
    _, their_loss = explained_and_objective(matrix, w, h.T, LOSS)

    small = _counts(600, 300)
    small_matrix = variance_scaled(standardise(small))
    own = fit_cnmf(small, PROGRAMMES, seed=1, replicates=REPLICATES, loss=LOSS)
    spectra = [_package(small_matrix, PROGRAMMES, seed)[1] for seed in range(REPLICATES)]
    packages = consensus_fit(small_matrix, spectra, loss=LOSS, density_threshold=0.5, neighbors_share=0.3)
    agreement = float(match_components(own.loadings, packages.loadings).min())
    name = f"cnmf KL replicate, {n_cells:,} x {n_genes:,}, K {K}"
    return [
        {"name": f"{name}: package / ours", "value": round(ratio, 1), "goal": ">= 10", "holds": ratio >= 10},
        {
            "name": f"{name}: divergence / package's",
            "value": round(our_loss / their_loss, 4),
            "goal": "<= 1",
            "holds": our_loss <= their_loss,
        },
        {
            "name": "cnmf consensus: least matched correlation",
            "value": round(agreement, 4),
            "goal": "> 0.99",
            "holds": agreement > 0.99,
        },
    ]


def _package(matrix: sparse.csr_matrix, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Call scikit-learn as `cnmf` 1.7.1 does (cNMF.get_nmf_iter_params and cNMF._nmf); it takes float64."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it has not converged
        w, h, _ = non_negative_factorization(
            matrix.astype(np.float64),
            n_components=k,
            init="random",
            solver="mu",
            beta_loss=LOSS,
            tol=1e-4,
            max_iter=1000,
            random_state=seed,
        )
    return w, h


def _counts(n_cells: int, n_genes: int) -> sparse.csr_matrix:
    """Draw counts of eight programmes, of which each has its own genes; the larger matrix has few non-zeros."""
    rng = np.random.default_rng(0)
    programmes = np.full((PROGRAMMES, n_genes), 0.2)
    for programme, genes in enumerate(np.array_split(rng.permutation(n_genes), PROGRAMMES)):
        programmes[programme, genes] += rng.gamma(1.0, 3.0, len(genes))
    usage = rng.dirichlet(np.full(PROGRAMMES, 0.2), n_cells)
    depth = rng.lognormal(0.0, 0.3, (n_cells, 1)) * (0.15 if n_genes > 1000 else 1.0)
    return sparse.csr_matrix(rng.poisson(usage @ programmes * depth).astype(np.float32))


if __name__ == "__main__":
    for row in main():
        print(row)
