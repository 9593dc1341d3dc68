"""No axis of an embedding has next to no variance beside the others."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stagewright.gates.catalogue import threshold
from stagewright.gates.embeddings import Axes, Embedding, measure_axes, read_embeddings
from stagewright.gates.finding import bounded
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.records import Verdict
from stagewright.state.spec.reduction import NON_NEGATIVE

__all__ = ["variance_collapse"]

_finding = partial(Finding, gate="variance_collapse")
NEARLY = 1e-4
"""With the default bound, a share below this is a warning; a bound of the spec has no such zone."""
WHY = (
    "An axis without variance is no dimension, and a factor without loading describes no gene; yet a classifier that "
    "standardises its features blows its rounding up to the size of the others."
)
REMEDY = "To pass: adjust to a smaller K, or leave this method out."


def variance_collapse(context: GateContext) -> Iterator[Finding]:
    """Compare the smallest variance of an axis, as a share of the largest, with the bound, 1e-6 by default.

    The variance is that over cells, times the sum of the squared loadings where there are loadings: what the axis adds
    to the expression, however a method scales the two. A factor without loading has none.

    Notes
    -----
    The variances of PCA fall off by construction: in 700 to 9,300 real cells (K 5 to 20) the last axis has 0.05 to
    0.21 of the first one's, factors of FA 0.04 to 0.17. At 1e-6 an axis has a thousandth of the other's spread,
    which single-precision loadings can no longer carry; up to 1e-4 it is a warning, as the unused dimensions of a
    variational model honestly end there (posterior collapse: Lucas et al. 2019, NeurIPS 32). Components of NMF and
    consensus NMF have gates of their own: `embedding` for dead ones, and `unused_components`. Constant axes are those
    of `embedding`.
    """
    least = threshold(context, "variance_collapse", "at_least")
    nearly = NEARLY if "at_least" not in context.request.gates.get("variance_collapse", {}) else least
    smallest: dict[str, float] = {}
    faults: list[Finding] = []
    for item in read_embeddings(context):
        if item.method in NON_NEGATIVE:
            continue
        axes = measure_axes(item.scores)
        variance = _variance(item, axes)
        if variance.size == 0:
            continue  # the gate `embedding` reports it
        share = variance / variance.max()
        if share.min() < max(least, nearly):
            severity: Verdict = "fail" if share.min() < least else "warn"
            faults.append(_record(item.subject, severity, share, axes, least))
        else:
            smallest[item.group] = min(float(share.min()), smallest.get(item.group, 1.0))
    yield from bounded(faults)
    for group, share_of_least in smallest.items():
        measured = f"{share_of_least:.2g} of the largest"
        yield _finding(subject=group, severity="pass", measured=measured, threshold=f"at least {least:g}", reason=WHY)
    if not faults and not smallest:
        measured = "no method but those without a sign in this step"
        yield _finding(
            subject=context.request.step,
            severity="pass",
            measured=measured,
            threshold=f"at least {least:g}",
            reason=WHY,
        )


def _variance(item: Embedding, axes: Axes) -> NDArray[np.float64]:
    """Return the variance of the axes that are finite and vary."""
    variance = np.diag(axes.covariance)[axes.varying]
    if item.loadings is None:
        return variance
    loadings = np.asarray(item.loadings, dtype=np.float64)
    if loadings.shape[1] != axes.constant.size or not np.isfinite(loadings).all():
        return variance
    length: NDArray[np.float64] = np.square(loadings).sum(axis=0)[axes.varying]
    return variance * length


def _record(subject: str, severity: Verdict, share: NDArray[np.float64], axes: Axes, least: float) -> Finding:
    weakest = int(axes.varying[np.argmin(share)]) + 1
    return _finding(
        subject=subject,
        severity=severity,
        measured=f"component {weakest} has {share.min():.1e} of the largest variance",
        threshold=f"at least {least:g}" if severity == "fail" else f"at least {NEARLY:g} (fails below {least:g})",
        reason=f"{WHY} {REMEDY}",
    )
