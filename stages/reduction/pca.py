"""Exact principal components of the standardised matrix.

A fit for K components is the leading part of a decomposition at K rounded up to a fixed grid, so that every K of a
sweep can share one decomposition and yet no bit of a result depends on which other K are asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import blas
from scipy.sparse import linalg

from stagewright.stages.reduction.reduction import Reduction, fix_signs
from stagewright.stages.reduction.standardise import standardise
from stagewright.stages.reduction.view import Float64Array, SparseView, View

__all__ = ["Decomposition", "components", "decompose", "decomposed_at", "fit_pca"]

GRID = 64
"""Decompositions have a multiple of this many components."""

DENSE_SHARE = 0.3
"""Lanczos at more than this share of the smaller side costs more than all eigenvalues of that side's Gram matrix."""

BLOCK_CELLS = 1024


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Leading principal components of a view.

    Attributes
    ----------
    variances
        Of the scores (ddof = 0), decreasing, shape (m,).
    loadings
        Orthonormal columns, shape (n_genes, m), each with its largest absolute entry positive.
    solver
        "arpack" or "gram"; of a view of blocks, "blocks, arpack" or "blocks, dense".
    n_iter
        Products with the matrix by "arpack", 1 otherwise.
    rank
        How many of the variances are above rounding.
    seed
        That drew the starting vector.
    """

    variances: Float64Array
    loadings: Float64Array
    solver: str
    n_iter: int
    rank: int
    seed: int


def decomposed_at(k: int, view: View) -> int:
    """Return how many components are computed when K are wanted: K rounded up to a multiple of 64, within the rank.

    Raises
    ------
    ValueError
        K is below 1 or above what a matrix of this shape has.
    """
    n_cells, _ = view.shape
    if k < 1:
        raise ValueError(f"K is {k}; give at least 1 component.")
    largest = min(n_cells - 1, view.n_varying)  # centring takes one dimension of the cells
    _check_rank(k, largest)
    return min(-(-k // GRID) * GRID, largest)


def decompose(view: View, m: int, *, seed: int) -> Decomposition:
    """Compute the m leading components.

    The algorithm is Lanczos (ARPACK) on the implicitly standardised matrix, or, when m exceeds 0.3 of min(n_cells,
    n_genes), the full eigendecomposition of the smaller Gram matrix. Both are exact. A view without a sparse matrix
    takes the Gram matrix of the genes, summed over blocks of cells, and Lanczos on it.

    Parameters
    ----------
    m
        From `decomposed_at`.
    seed
        Of the starting vector: it changes nothing beyond rounding.
    """
    dense = m > DENSE_SHARE * min(view.shape)
    rng = np.random.Generator(np.random.PCG64(seed))
    if not isinstance(view, SparseView):
        variances, loadings = _by_blocks(view, m, rng, dense=dense)
        solver, n_iter = f"blocks, {'dense' if dense else 'arpack'}", 1
    elif dense:
        variances, loadings = _by_gram(view, m)
        solver, n_iter = "gram", 1
    else:
        variances, loadings, n_iter = _by_lanczos(view, m, rng)
        solver = "arpack"
    # Blocks of a view are float32; a sparse matrix is multiplied in float64.
    precision = np.finfo(np.float64 if isinstance(view, SparseView) else np.float32).eps
    rounding = max(view.shape) * float(precision) * variances[0]
    rank = int(np.count_nonzero(variances > rounding))
    return Decomposition(variances, loadings * fix_signs(loadings), solver, n_iter, rank, seed)


def components(view: View, found: Decomposition, k: int) -> Reduction:
    """Return the first k components of a decomposition as a fit.

    Returns
    -------
    Reduction
        `loadings` are orthonormal eigenvectors, `scores` = z @ loadings, `arrays["variances"]` (k,) the variances of
        the scores (ddof = 0) in decreasing order, and `gene_mean` and `gene_sd` what the genes were standardised by.
        `extras["explained"]` is the share of the total variance, `objective` the share left, `decomposed_at` the
        number of components of the decomposition.

    Raises
    ------
    ValueError
        The matrix has fewer than k independent components (the text names the largest allowed).
    """
    _check_rank(k, found.rank)
    explained = min(float(found.variances[:k].sum() / view.n_varying), 1.0)
    loadings = np.ascontiguousarray(found.loadings[:, :k], dtype=np.float32)
    return Reduction(
        method="pca",
        k=k,
        # From the loadings as they are kept, so that whoever has the files can compute the same scores.
        scores=view.project(loadings.astype(np.float64)).astype(np.float32),
        loadings=loadings,
        extras={
            "explained": explained,
            "converged": True,
            "n_iter": found.n_iter,
            "objective": 1 - explained,
            "seed": found.seed,
            "solver": found.solver,
            "decomposed_at": len(found.variances),
            "n_constant_genes": view.shape[1] - view.n_varying,
        },
        arrays={"variances": found.variances[:k].copy(), "gene_mean": view.mean, "gene_sd": view.sd},
    )


def fit_pca(x: sparse.csr_matrix | View, ks: Sequence[int], *, seed: int) -> dict[int, Reduction]:
    """Fit each K, with one decomposition for all those that share a multiple of 64.

    Parameters
    ----------
    x
        CSR matrix of shape (n_cells, n_genes), usually log-normalised expression, or a standardised view.
    ks
        Numbers of components, each at least 1.
    seed
        Of the starting vector.

    Returns
    -------
    dict[int, Reduction]
        By K; see `components`.

    Raises
    ------
    ValueError
        No K is given, one is below 1, or one is above the rank of the matrix (the text names the largest allowed).
    """
    if not ks:
        raise ValueError("No K is given; give at least one.")
    view: View = standardise(x) if sparse.issparse(x) else x
    found: dict[int, Decomposition] = {}
    reductions: dict[int, Reduction] = {}
    sizes = {k: decomposed_at(k, view) for k in sorted(set(ks))}
    for k, m in sizes.items():
        if m not in found:
            found[m] = decompose(view, m, seed=seed)
        reductions[k] = components(view, found[m], k)
    return reductions


def _check_rank(k: int, largest: int) -> None:
    if k > largest:
        raise ValueError(
            f"K = {k} principal components do not exist in this matrix; the largest allowed K is {largest}. "
            "Lower K, or take more cells or genes."
        )


def _by_lanczos(view: SparseView, k: int, rng: np.random.Generator) -> tuple[Float64Array, Float64Array, int]:
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
    start = rng.standard_normal(min(n_cells, n_genes))
    _, singular, right = linalg.svds(operator, k=k, v0=start, solver="arpack", return_singular_vectors="vh")
    order = np.argsort(-singular, kind="stable")
    return singular[order] ** 2 / n_cells, right[order].T, n_products


def _by_gram(view: SparseView, k: int) -> tuple[Float64Array, Float64Array]:
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


def _by_blocks(view: View, k: int, rng: np.random.Generator, *, dense: bool) -> tuple[Float64Array, Float64Array]:
    n_cells, n_genes = view.shape
    gram = np.zeros((n_genes, n_genes), order="F")
    for block in view.dense_blocks(BLOCK_CELLS):
        gram = blas.dsyrk(1.0 / n_cells, block.T.astype(np.float64), beta=1.0, c=gram, overwrite_c=1, lower=0)
    gram += np.triu(gram, 1).T
    if dense:
        values, vectors = np.linalg.eigh(gram)
    else:
        values, vectors = linalg.eigsh(gram, k=k, v0=rng.standard_normal(n_genes))
    order = np.argsort(-values, kind="stable")[:k]
    return np.maximum(values[order], 0), vectors[:, order]
