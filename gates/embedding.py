"""Embeddings are finite, and every axis of them varies."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stagewright.gates.contributions import DEAD, dead_components
from stagewright.gates.embeddings import Embedding, measure_axes, read_embeddings
from stagewright.gates.finding import bounded
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.spec.reduction import NON_NEGATIVE

__all__ = ["embedding"]

_finding = partial(Finding, gate="embedding")
FINITE = (
    "A single NaN spreads through every distance, model and mean that touches it. To pass: execute the step "
    "again with a smaller K, or leave this method out, by adjust."
)
VARIES = (
    "An axis that is the same for all cells says nothing about any of them, so the embedding has fewer than K "
    "axes. To pass: adjust to a smaller K, or leave this method out."
)
ALIVE = (
    "A dead component means that the factorisation had no use for it, so K is too large for these cells. To "
    "pass: adjust to a smaller K, or to other seeds."
)


def embedding(context: GateContext) -> Iterator[Finding]:
    """Look at every axis of every embedding and of its loadings.

    Measured are values that are NaN or infinite (none allowed); axes whose standard deviation over cells is at most
    1e-6 of their largest absolute value, which float32 cannot tell from constant (none allowed); loadings that are
    zero or constant over genes (none allowed); and dead components of NMF.

    Notes
    -----
    An NMF component is dead when its contribution, the length of its scores times the length of its loadings, is below
    1e-4 of the largest one's. The two lengths are taken together because the factorisation leaves the scale between
    them open. In scikit-learn's NMF (Frobenius and Kullback-Leibler loss, random start, K 10 to 60) of 300 to 10,000
    real cells the weakest component had 0.2 to 0.6 of the strongest one's contribution.
    """
    good: dict[str, int] = {}
    faults: list[Finding] = []
    for item in read_embeddings(context):
        found = [*_faults(item)]
        faults += found
        good[item.group] = good.get(item.group, 0) + (0 if found else 1)
    yield from bounded(faults)
    for group, count in good.items():
        if count:
            yield _finding(
                subject=group,
                severity="pass",
                measured=f"{count} embedding{'s' if count > 1 else ''}: all values finite, all axes vary",
                threshold="no value that is not finite, no constant axis, no dead component",
                reason="Every axis is meant to describe cells.",
            )


def _faults(item: Embedding) -> Iterator[Finding]:
    axes = measure_axes(item.scores)
    yield from _column_faults(item.subject, "axes", axes.not_finite, axes.constant)
    if item.loadings is None:
        return
    genes = measure_axes(item.loadings)
    # A constant axis of the scores has been reported; its loadings would only say so again.
    silent = axes.constant if axes.constant.size == genes.constant.size else np.zeros_like(genes.constant)
    yield from _column_faults(item.subject, "loadings", genes.not_finite, genes.constant & ~silent)
    if item.method in NON_NEGATIVE and axes.norm.shape == genes.norm.shape:
        contribution = axes.norm * genes.norm
        dead = dead_components(contribution) & ~axes.constant & ~genes.constant
        if dead.any():
            weakest = np.nanmin(contribution) / np.nanmax(contribution)
            measured = f"{_columns(dead)} with a contribution of {weakest:.1e} of the largest"
            yield _fail(f"{item.subject} components", measured, f"at least {DEAD:g} of the largest", ALIVE)


def _column_faults(
    subject: str, what: str, not_finite: NDArray[np.intp], constant: NDArray[np.bool_]
) -> Iterator[Finding]:
    if not_finite.any():
        measured = f"{int(not_finite.sum())} values in {_columns(not_finite > 0)}"
        yield _fail(f"{subject} {what}", measured, "no NaN or infinite value", FINITE)
    if constant.any():
        yield _fail(f"{subject} {what}", f"{_columns(constant)} constant", "no constant column", VARIES)


def _columns(which: NDArray[np.bool_], most: int = 5) -> str:
    names = [str(index + 1) for index in np.flatnonzero(which)]
    beyond = f" and {len(names) - most} more" if len(names) > most else ""
    return f"component{'s' if len(names) > 1 else ''} {', '.join(names[:most])}{beyond}"


def _fail(subject: str, measured: str, threshold: str, reason: str) -> Finding:
    return _finding(subject=subject, severity="fail", measured=measured, threshold=threshold, reason=reason)
