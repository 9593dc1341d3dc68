"""Exact principal components of the standardised matrix, all K from one decomposition."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from stagewright.stages.reduction.reduction import Reduction, fix_signs
from stagewright.stages.reduction.standardise import Float64Array, Standardised, standardise

DENSE_SHARE = 0.3
"""Lanczos at more than this share of the smaller side costs more than all eigenvalues of that side's Gram matrix."""


def fit_pca(x: sparse.csr_matrix | Standardised, ks: Sequence[int], *, seed: int) -> dict[int, Reduction]:
    """Fit once at the largest K; every smaller K is its leading part.

    The algorithm is Lanczos (ARPACK) on the implicitly standardised matrix, or, when the largest K exceeds 0.3 of
    min(n_cells, n_genes), the full eigendecomposition of the smaller Gram matrix; `extras["solver"]` says which. Both
    are exact. The seed only draws the starting vector, so the result does not depend on it beyond rounding. Each
    component has its largest absolute loading positive.

    Parameters
    ----------
    x
        CSR matrix of shape (n_cells, n_genes), usually log-normalised expression, or its standardised view.
    ks
        Numbers of components, each at least 1.
    seed
        Of the starting vector.

    Returns
    -------
    dict[int, Reduction]
        By K. `loadings` are orthonormal eigenvectors, `scores` = z @ loadings, `arrays["variances"]` (k,) the
        variances of the scores (ddof = 0) in decreasing order. `extras["explained"]` is their share of the total
        variance, `objective` the share left.

    Raises
    ------
    ValueError
        No K is given, one is below 1, or one is above the rank of the matrix (the text names the largest allowed).
    """
    if not ks or min(ks) < 1:
        raise ValueError(f"K values are {list(ks)}; give at least one, each at least 1.")
    view = x if isinstance(x, Standardised) else standardise(x)
    n_cells, n_genes = view.shape
    k_max = max(ks)
    # Centring takes one dimension of the cells.
    _check_rank(k_max, min(n_cells - 1, view.n_varying))
    dense = k_max > DENSE_SHARE * min(n_cells, n_genes)
    if dense:
        variances, loadings = _by_gram(view, k_max)
        n_iter = 1
    else:
        variances, loadings, n_iter = _by_lanczos(view, k_max, seed)
    rounding = max(n_cells, n_genes) * np.finfo(np.float64).eps * variances[0]
    _check_rank(k_max, int(np.count_nonzero(variances > rounding)))
    loadings = loadings * fix_signs(loadings)
    scores = view.project(loadings).astype(np.float32)
    reductions: dict[int, Reduction] = {}
    for k in sorted(set(ks)):
        explained = min(float(variances[:k].sum() / view.n_varying), 1.0)
        reductions[k] = Reduction(
            method="pca",
            k=k,
            scores=np.ascontiguousarray(scores[:, :k]),
            loadings=np.ascontiguousarray(loadings[:, :k], dtype=np.float32),
            extras={
                "explained": explained,
                "converged": True,
                "n_iter": n_iter,
                "objective": 1 - explained,
                "seed": seed,
                "solver": "gram" if dense else "arpack",
                "fitted_at_k": k_max,
                "n_constant_genes": n_genes - view.n_varying,
            },
            arrays={"variances": variances[:k].copy()},
        )
    return reductions


def _check_rank(k: int, largest: int) -> None:
    if k > largest:
        raise ValueError(
            f"K = {k} principal components do not exist in this matrix; the largest allowed K is {largest}. "
            "Lower K, or take more cells or genes."
        )


def _by_lanczos(view: Standardised, k: int, seed: int) -> tuple[Float64Array, Float64Array, int]:
    scaled = view.scaled()
    transposed = scaled.T
    shift = view.mean * view.inverse_sd
    n_cells, n_genes = view.shape
    n_products = 0

    def forward(v: Float64Array) -> Float64Array:
        nonlocal n_products
        n_products += 1
        flat = v.ravel()
        product: Float64Array = scaled @ flat - float(shift @ flat)
        return product

    def backward(u: Float64Array) -> Float64Array:
        flat = u.ravel()
        product: Float64Array = transposed @ flat - shift * float(flat.sum())
        return product

    operator = linalg.LinearOperator((n_cells, n_genes), matvec=forward, rmatvec=backward, dtype=np.float64)
    rng = np.random.Generator(np.random.PCG64(seed))
    start = rng.standard_normal(min(n_cells, n_genes))
    _, singular, right = linalg.svds(operator, k=k, v0=start, solver="arpack", return_singular_vectors="vh")
    order = np.argsort(-singular, kind="stable")
    return singular[order] ** 2 / n_cells, right[order].T, n_products


def _by_gram(view: Standardised, k: int) -> tuple[Float64Array, Float64Array]:
    scaled = view.scaled()
    shift = view.mean * view.inverse_sd
    n_cells, n_genes = view.shape
    if n_genes <= n_cells:
        gram = (scaled.T @ scaled).toarray() - n_cells * np.outer(shift, shift)
        values, vectors = np.linalg.eigh(gram)
        return np.maximum(values[: -k - 1 : -1], 0) / n_cells, vectors[:, : -k - 1 : -1]
    product = scaled @ shift
    gram = (scaled @ scaled.T).toarray() - product[:, None] - product[None, :] + float(shift @ shift)
    values, vectors = np.linalg.eigh(gram)
    variances = np.maximum(values[: -k - 1 : -1], 0) / n_cells
    left = vectors[:, : -k - 1 : -1]
    right: Float64Array = scaled.T @ left - np.outer(shift, left.sum(axis=0))
    lengths = np.linalg.norm(right, axis=0)
    return variances, right / np.where(lengths > 0, lengths, 1.0)
