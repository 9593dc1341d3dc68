"""Leading eigenpairs against a dense decomposition."""

import numpy as np

from stagewright.stages.reduction.eigenpairs import block_size, leading_eigenpairs


def test_eigenpairs_agree_with_lapack_from_a_random_start() -> None:
    """Largest eigenvalue 200 times the smallest wanted one, float32: values to 1e-5 relative."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((300, 300)))[0]
    spectrum = np.concatenate([[200.0, 60.0, 20.0, 9.0, 5.0, 3.0], np.linspace(2.0, 0.01, 294)])
    matrix = (basis * spectrum) @ basis.T
    scale = rng.uniform(0.8, 1.2, 300)
    exact = np.linalg.eigvalsh(scale[:, None] * matrix * scale)[::-1]
    start = np.linalg.qr(rng.standard_normal((300, block_size(6, 300)), dtype=np.float32))[0]
    pairs = leading_eigenpairs(matrix.astype(np.float32), scale, start, depth=4, n_restarts=4)
    np.testing.assert_allclose(pairs.values[:6], exact[:6], rtol=1e-5)
    np.testing.assert_allclose(pairs.vectors.T @ pairs.vectors, np.eye(14), atol=1e-4)


def test_a_block_that_fills_the_space_is_solved_exactly() -> None:
    """With as many vectors as dimensions there is nothing to grow, and the solution is complete."""
    rng = np.random.default_rng(1)
    half = rng.standard_normal((9, 9))
    matrix = half @ half.T
    start = np.linalg.qr(rng.standard_normal((9, 9), dtype=np.float32))[0]
    pairs = leading_eigenpairs(matrix.astype(np.float32), np.ones(9), start, depth=4)
    np.testing.assert_allclose(pairs.values, np.linalg.eigvalsh(matrix)[::-1], rtol=1e-4, atol=1e-4)
