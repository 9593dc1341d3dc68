"""Every component of a non-negative factorisation makes up a part of some cell."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stagewright.gates.catalogue import threshold
from stagewright.gates.contributions import dead_components
from stagewright.gates.embeddings import measure_axes, read_embeddings
from stagewright.gates.finding import bounded
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.spec.reduction import NON_NEGATIVE

__all__ = ["largest_use", "unused_components"]

_finding = partial(Finding, gate="unused_components")
BLOCK = 65_536
WHY = (
    "A component that makes up next to nothing of every cell is a program that no cell uses: reading its genes, or its "
    "coefficient, is reading noise."
)
REMEDY = "To pass: adjust to a smaller K, or to other seeds."


def unused_components(context: GateContext) -> Iterator[Finding]:
    """Compare the largest part that each component has in a cell with the bound, 0.01 by default.

    The part is the component's score times the sum of its loadings over genes, as a share of the sum over components:
    of the expression that the factorisation gives the cell, what comes from this component. Only NMF and consensus NMF
    have such parts; factors without loading are found by `variance_collapse`.

    Notes
    -----
    In NMF of 700 to 9,300 real cells (K 5 to 20) the least used component makes up 0.4 to 1 of some cell, and at
    least 0.01 of a quarter of the cells. At 0.01 a hundred components like it would be needed to make up one cell.
    Dead and constant components are reported by `embedding` and not again here.
    """
    least = threshold(context, "unused_components", "at_least")
    lowest: dict[str, float] = {}
    faults: list[Finding] = []
    for item in read_embeddings(context):
        known = item.method in NON_NEGATIVE and item.loadings is not None
        if item.loadings is None or not known or item.loadings.shape[1] != item.scores.shape[1]:
            continue
        axes, genes = measure_axes(item.scores), measure_axes(item.loadings)
        told = axes.constant | genes.constant | dead_components(axes.norm * genes.norm)
        use = largest_use(item.scores, item.loadings)
        unused = np.flatnonzero(~told & (use < least))
        if unused.size:
            shown = ", ".join(str(number + 1) for number in unused[:5])
            more = f" and {unused.size - 5} more" if unused.size > 5 else ""  # noqa: PLR2004 - as many as shown
            measured = f"component {shown}{more}: at most {use[unused].max():.1e} of any cell"
            faults.append(_record(item.subject, "fail", measured, least, f"{WHY} {REMEDY}"))
        elif (~told).any():
            lowest[item.group] = min(float(use[~told].min()), lowest.get(item.group, 1.0))
    yield from bounded(faults)
    for group, use_of_least in lowest.items():
        yield _record(group, "pass", f"the least used makes up {use_of_least:.2g} of a cell", least, WHY)
    if not faults and not lowest:
        yield _record(context.request.step, "pass", "no method without a sign in this step", least, WHY)


def largest_use(scores: NDArray[np.floating], loadings: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the largest part of a cell that each component makes up, shape (k,), in [0, 1].

    Parameters
    ----------
    scores
        Shape (n_cells, k), not negative. Cells without any score, or with one that is not finite, are left out.
    loadings
        Shape (n_genes, k), not negative.
    """
    size = np.nan_to_num(np.asarray(loadings, dtype=np.float64)).clip(min=0.0).sum(axis=0)
    largest = np.zeros(size.size)
    for start in range(0, scores.shape[0], BLOCK):
        part = np.asarray(scores[start : start + BLOCK], dtype=np.float64).clip(min=0.0) * size
        whole = part.sum(axis=1, keepdims=True)
        usable = np.isfinite(whole[:, 0]) & (whole[:, 0] > 0)
        if usable.any():
            largest = np.maximum(largest, (part[usable] / whole[usable]).max(axis=0))
    return largest


def _record(subject: str, severity: str, measured: str, least: float, reason: str) -> Finding:
    return _finding(
        subject=subject,
        severity="fail" if severity == "fail" else "pass",
        measured=measured,
        threshold=f"at least {least:g} of some cell for each component",
        reason=reason,
    )
