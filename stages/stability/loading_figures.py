"""What loadings and scores are like, on scales that do not depend on the method, its units, or K."""

import numpy as np
import numpy.typing as npt

__all__ = ["effective_rank", "orthogonality", "sparsity"]

BLOCK_CELLS = 65_536
Floats = npt.NDArray[np.floating]


def sparsity(loadings: Floats) -> float:
    """Mean sparsity of the components (Hoyer 2004, J. Mach. Learn. Res. 5:1457).

    That of one component w of p genes is (sqrt(p) - |w|_1 / |w|_2) / (sqrt(p) - 1).

    Parameters
    ----------
    loadings
        Shape (n_genes, k). Components that are zero are left out.

    Returns
    -------
    In [0, 1]: 1 when each component has one gene only, 0 when all genes weigh the same; 0.2 for a Gaussian component
    of many genes. NaN with one gene, or when all components are zero.
    """
    columns = np.asarray(loadings, dtype=np.float64)
    lengths = np.linalg.norm(columns, axis=0)
    sums = np.abs(columns).sum(axis=0)
    root = np.sqrt(columns.shape[0])
    if columns.shape[0] == 1 or not lengths.any():
        return float("nan")
    kept = lengths > 0
    return float(np.clip((root - sums[kept] / lengths[kept]) / (root - 1), 0.0, 1.0).mean())


def orthogonality(loadings: Floats) -> float:
    """One minus the mean absolute cosine between different components.

    Parameters
    ----------
    loadings
        Shape (n_genes, k). The cosine with a component that is zero is 0.

    Returns
    -------
    In [0, 1]: 1 when all components are orthogonal, 0 when all are the same up to sign and length. NaN with one.
    """
    columns = np.asarray(loadings, dtype=np.float64)
    k = columns.shape[1]
    if k == 1:
        return float("nan")
    lengths = np.linalg.norm(columns, axis=0)
    unit = np.divide(columns, lengths, out=np.zeros_like(columns), where=lengths > 0)
    cosines = np.abs(unit.T @ unit)
    between = cosines.sum() - np.trace(cosines)
    return float(np.clip(1 - between / (k * (k - 1)), 0.0, 1.0))


def effective_rank(scores: Floats) -> float:
    """Share of the axes of an embedding that are independent, (P - 1) / (k - 1).

    P = k**2 / |R|_F**2 is the participation ratio of the eigenvalues of the axes' correlation matrix R (Gao et al.
    2017, bioRxiv 214262); the correlation, because the covariance of PCA scores falls off by construction.

    Parameters
    ----------
    scores
        Shape (n_cells, k). Axes that do not vary count in k and are otherwise left out.

    Returns
    -------
    In [0, 1]: 1 when no axis correlates with another, 0 when all are one. NaN with one axis, or when none varies.
    """
    n_cells, k = scores.shape
    mean, products = np.mean(scores, axis=0, dtype=np.float64), np.zeros((k, k))
    for start in range(0, n_cells, BLOCK_CELLS):
        centred = scores[start : start + BLOCK_CELLS] - mean
        products += centred.T @ centred / n_cells
    deviations = np.sqrt(np.diag(products))
    varying = deviations > 1e-6 * np.abs(scores).max(axis=0, initial=0.0)
    if k == 1 or not varying.any():
        return float("nan")
    deviations = deviations[varying]
    correlation = products[np.ix_(varying, varying)] / np.outer(deviations, deviations)
    ratio = float(np.trace(correlation)) ** 2 / float(np.square(correlation).sum())
    return float(np.clip((ratio - 1) / (k - 1), 0.0, 1.0))
