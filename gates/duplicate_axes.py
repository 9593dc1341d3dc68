"""No two axes of an embedding are the same."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from stagewright.gates.catalogue import threshold
from stagewright.gates.embeddings import measure_axes, read_embeddings
from stagewright.gates.finding import bounded
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.records import Verdict

__all__ = ["duplicate_axes"]

_finding = partial(Finding, gate="duplicate_axes")
WHY = (
    "Two axes this alike are one axis counted twice: K is overstated, and a penalised model splits its coefficient "
    "between them at will."
)


def duplicate_axes(context: GateContext) -> Iterator[Finding]:
    """Compare the largest absolute Pearson correlation of two axes over cells with the bound, 0.999 by default.

    Notes
    -----
    At 0.999 one axis explains 99.8 % of the other's variance. PCA, FA (varimax or not) and NMF (both losses) of 300 to
    10,000 real cells, K 10 to 60, had no pair above 0.55.
    """
    most = threshold(context, "duplicate_axes", "at_most")
    largest: dict[str, float] = {}
    faults = []
    for item in read_embeddings(context):
        axes = measure_axes(item.scores)
        alike = np.abs(np.triu(axes.correlation, k=1))
        if alike.size == 0:
            continue  # nothing varies here, which the gate `embedding` reports
        pairs = np.argwhere(alike > most)
        top = float(alike.max())
        if pairs.size:
            first, second = np.unravel_index(int(alike.argmax()), alike.shape)
            named = f"components {axes.varying[first] + 1} and {axes.varying[second] + 1}"
            beyond = f", and {len(pairs) - 1} more pairs" if len(pairs) > 1 else ""
            reason = f"{WHY} To pass: adjust to a smaller K, or leave this method out."
            faults.append(_record(item.subject, "fail", f"{top:.5f} between {named}{beyond}", most, reason))
        else:
            largest[item.group] = max(top, largest.get(item.group, 0.0))
    yield from bounded(faults)
    for group, top in largest.items():
        yield _record(group, "pass", f"at most {top:.3f}", most, WHY)


def _record(subject: str, severity: Verdict, measured: str, most: float, reason: str) -> Finding:
    return _finding(subject=subject, severity=severity, measured=measured, threshold=f"at most {most:g}", reason=reason)
