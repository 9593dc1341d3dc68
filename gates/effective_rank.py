"""An embedding has about as many dimensions as it has axes."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stagewright.gates.catalogue import threshold
from stagewright.gates.embeddings import measure_axes, read_embeddings
from stagewright.gates.finding import bounded
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.records import Verdict

__all__ = ["effective_rank", "independent_share"]

_finding = partial(Finding, gate="effective_rank")
NEARLY = 0.25
"""With the default bound, a share below this is a warning; a bound of the spec has no such zone."""
FEW_AXES = 2
"""With two axes their one correlation decides, and two programmes that exclude each other are no fault of a fit."""
WHY = "An embedding that varies along few directions only is a smaller one under a larger K's name."


def effective_rank(context: GateContext) -> Iterator[Finding]:
    """Compare the share of an embedding's axes that are independent with the bound, 0.1 by default.

    Notes
    -----
    The share is (P - 1) / (K - 1), where P = (sum l)^2 / sum l^2 is the participation ratio of the eigenvalues l of
    the axes' correlation matrix: 0 when all axes are one, 1 when none correlates with another. The correlation matrix,
    because the covariance of PCA scores falls off by construction and would be called degenerate (0.2 to 0.5 of K on
    the same data); minus one, because P is at least 1, so that P / K could never fall below 0.1 for K up to 10.
    Real PCA, FA and NMF embeddings (300 to 10,000 cells, K 10 to 60) have shares of 0.8 to 1. At 0.1, nine axes of
    ten repeat the others; up to 0.25 it is a warning, and with two axes it is never more than that.

    The participation ratio as a dimension: Gao et al. (2017), A theory of multineuronal dimensionality, dynamics and
    measurement, bioRxiv 214262.
    """
    least = threshold(context, "effective_rank", "at_least")
    nearly = NEARLY if "at_least" not in context.request.gates.get("effective_rank", {}) else least
    smallest: dict[str, float] = {}
    faults = []
    for item in read_embeddings(context):
        axes = measure_axes(item.scores)
        k = item.scores.shape[1]
        if axes.varying.size == 0 or k == 1:
            continue  # nothing varies here, which the gate `embedding` reports; or there is but one axis
        share = independent_share(axes.correlation, k)
        if share < max(least, nearly):
            severity: Verdict = "fail" if share < least and k > FEW_AXES else "warn"
            remedy = "To pass: adjust to another K, or leave this method out."
            faults.append(_record(item.subject, severity, share, k, least, f"{WHY} {remedy}"))
        else:
            smallest[item.group] = min(share, smallest.get(item.group, 1.0))
    yield from bounded(faults)
    for group, share in smallest.items():
        yield _finding(
            subject=group, severity="pass", measured=f"{share:.3f}", threshold=f"at least {least:g}", reason=WHY
        )


def independent_share(correlation: NDArray[np.float64], k: int) -> float:
    """Return (P - 1) / (K - 1) of a correlation matrix of shape (m, m) with m at most K, in [0, 1].

    Axes that do not vary are left out of the matrix but count in K.
    """
    # The sum of the eigenvalues is the trace, that of their squares the sum of the squared entries.
    ratio = float(np.trace(correlation)) ** 2 / float(np.square(correlation).sum())
    return (ratio - 1.0) / (k - 1)


def _record(subject: str, severity: Verdict, share: float, k: int, least: float, reason: str) -> Finding:
    return _finding(
        subject=subject,
        severity=severity,
        measured=f"{share:.3f} (about {1 + share * (k - 1):.1f} of {k} axes)",
        threshold=f"at least {least:g}" if severity == "fail" else f"at least {NEARLY:g} (fails below {least:g})",
        reason=reason,
    )
