"""Leading eigenpairs of D R D for a correlation matrix R and a diagonal D that changes a little from call to call.

A block Krylov space is grown from the residuals of the last eigenvectors and solved by Rayleigh-Ritz (thick-restart
block Lanczos; Golub and Van Loan, Matrix Computations, section 10.3.6). Growing from residuals, not from powers, keeps
float32 enough although the largest eigenvalue is a hundred times the smallest wanted one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

ROUNDING_SHARE = 1e-4
"""A direction with a smaller share of its length outside the space so far is float32 rounding, and is dropped."""

FRESH_SHARE = 0.5
"""A column of an orthonormal block that a second pass shortens to less than this was not a new direction."""


@dataclass(frozen=True, slots=True)
class Eigenpairs:
    """Ritz values and vectors of a block.

    Attributes
    ----------
    values
        Decreasing, shape (m,).
    vectors
        Orthonormal columns, float32 of shape (n, m).
    """

    values: Float64Array
    vectors: Float32Array


def block_size(k: int, n: int) -> int:
    """Vectors to carry for k wanted ones: some more, so that the last wanted one converges too; at most n."""
    return min(n, k + max(8, k // 4))


def leading_eigenpairs(
    matrix: Float32Array, scale: Float64Array, start: Float32Array, *, depth: int, n_restarts: int = 1
) -> Eigenpairs:
    """Improve the leading eigenpairs of A = diag(scale) @ matrix @ diag(scale).

    Costs `n_restarts * depth + 1` products of the matrix with a block of m columns.

    Parameters
    ----------
    matrix
        Symmetric positive semi-definite, float32 of shape (n, n).
    scale
        Shape (n,).
    start
        Orthonormal columns, float32 of shape (n, m): the eigenvectors for a nearby scale, or random ones.
    depth
        Blocks that the Krylov space grows by before it is solved.
    n_restarts
        Times that the space is grown and solved.
    """
    d = scale.astype(np.float32)[:, None]

    def apply(block: Float32Array) -> Float32Array:
        return np.asarray(d * (matrix @ (d * block)), dtype=np.float32)

    m = start.shape[1]
    vectors: Float32Array = start
    images = apply(start)
    values: Float64Array = np.zeros(m)
    for _ in range(n_restarts):
        basis, basis_images = [vectors], [images]
        for _ in range(depth):
            fresh = _new_directions(basis_images[-1], np.hstack(basis))
            if fresh.shape[1] == 0:
                break
            basis.append(fresh)
            basis_images.append(apply(fresh))
        space, space_images = np.hstack(basis), np.hstack(basis_images)
        projected = (space.T @ space_images).astype(np.float64)
        ritz_values, ritz_vectors = np.linalg.eigh((projected + projected.T) / 2)
        keep = ritz_vectors[:, : -m - 1 : -1].astype(np.float32)
        values = ritz_values[: -m - 1 : -1].copy()
        vectors = np.asarray(space @ keep, dtype=np.float32)
        images = space_images @ keep
    return Eigenpairs(values, vectors)


def _new_directions(block: Float32Array, space: Float32Array) -> Float32Array:
    """Orthonormal basis of what a block has outside a space of orthonormal columns."""
    lengths = np.linalg.norm(block, axis=0)
    rest = block - space @ (space.T @ block)
    new = np.linalg.norm(rest, axis=0)
    rest = rest[:, new > ROUNDING_SHARE * lengths] / new[new > ROUNDING_SHARE * lengths]
    room = space.shape[0] - space.shape[1]
    if rest.shape[1] == 0 or room <= 0:
        return np.empty((space.shape[0], 0), dtype=np.float32)
    # Twice is enough (Kahan and Parlett): the first pass leaves rounding of the size that is being removed.
    rest = np.linalg.qr(rest)[0].astype(np.float32, copy=False)
    rest -= space @ (space.T @ rest)
    basis, triangle = np.linalg.qr(rest)
    fresh = np.abs(np.diag(triangle)) > FRESH_SHARE
    kept: Float32Array = basis[:, fresh][:, :room].astype(np.float32, copy=False)
    return kept
