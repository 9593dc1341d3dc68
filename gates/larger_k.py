"""The fit of a larger K is another one than that of a smaller K, and reproduces no less."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stagewright.gates.catalogue import threshold
from stagewright.gates.contributions import reproduced_variance
from stagewright.gates.embeddings import measure_axes
from stagewright.gates.finding import bounded
from stagewright.gates.left_out import left_out
from stagewright.gates.matched_correlation import matched_correlation
from stagewright.gates.owed_units import seeds_left
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.layout import replicate_folder
from stagewright.state.records import Verdict
from stagewright.state.spec.reduction import LINEAR, Method

__all__ = ["larger_k"]

_finding = partial(Finding, gate="larger_k")
NESTED: frozenset[Method] = frozenset({"pca", "harmony"})
"""Methods whose first axes are the same for every K, by construction or nearly."""
SHRINKS = 0.5
WHY = "K is chosen by comparing fits, so each has to be the fit of its own K."
AGAIN = "To pass: adjust, so that the step is executed again; if it comes back, the stage itself is wrong."


@dataclass(frozen=True, slots=True)
class _Fit:
    scores: NDArray[np.floating]
    loadings: NDArray[np.floating]


def larger_k(context: GateContext) -> Iterator[Finding]:
    """Compare each method's fits of two K under one seed: whether the axes of the smaller all come back in the larger.

    Measured is, of the axes of the smaller K, each matched to one of the larger, the smallest absolute correlation
    with the match, over cells for the scores and over genes for the loadings; the larger of the two is compared with
    the bound, 0.99999 by default. And the variance that scores and loadings reproduce together, which a larger K may
    not halve.

    Notes
    -----
    The components of NMF, consensus NMF and factor analysis shift when there are more of them: for NMF and FA of 700 to
    9,300 real cells (K 5 to 20) the axis that changed most correlates 0.84 to 0.98 with its match, so that only a fit
    that was copied, or a K that did not reach the method, comes to 0.99999. Of methods that are not built in this is a
    warning; PCA's axes are nested, and harmony's nearly, and pass with a word. A larger K fits at least as well as a
    smaller one, and reproduced 1.2 to 1.4 times the variance there; random starts can cost a few percent, never half.
    """
    most = threshold(context, "larger_k", "at_most")
    for method, ks in context.request.study.ks.items():
        faults: list[Finding] = []
        closest, compared = 0.0, 0
        for smaller, larger in combinations(ks, 2):
            for seed in _seeds(context, method, smaller, larger):
                few, many = (_read(context, method, k, seed) for k in (smaller, larger))
                if few is None or many is None:
                    continue  # `promised_files` or `embedding` reports it
                subject = f"{method}/k_{smaller} and k_{larger} of seed {seed}"
                compared += 1
                alike = 0.0 if method in NESTED else _alike(few, many)
                closest = max(closest, alike)
                if alike > most:
                    severity: Verdict = "fail" if method in LINEAR else "warn"
                    measured = f"each axis of the smaller K correlates at least {alike:.7f} with one of the larger"
                    faults.append(_record(subject, severity, measured, f"at most {most:g} for one", f"{WHY} {AGAIN}"))
                faults += [] if method not in LINEAR else _reproduced(subject, few, many)
        yield from bounded(faults)
        if not faults:
            yield _record(method, "pass", _measured(method, closest, compared), f"at most {most:g}", WHY)


def _seeds(context: GateContext, method: Method, smaller: int, larger: int) -> tuple[int, ...]:
    failed = left_out(context)
    both = seeds_left(context.request, method, larger, failed)
    return tuple(seed for seed in seeds_left(context.request, method, smaller, failed) if seed in both)


def _read(context: GateContext, method: Method, k: int, seed: int) -> _Fit | None:
    folder = context.run / replicate_folder(context.request.checkpoint, method, k, seed)
    scores, loadings = (_array(folder / f"{name}.npy", k) for name in ("scores", "loadings"))
    return None if scores is None or loadings is None else _Fit(scores, loadings)


def _array(path: Path, k: int) -> NDArray[np.floating] | None:
    try:
        array: NDArray[np.floating] = np.load(path, allow_pickle=False)
    except (OSError, ValueError):
        return None
    usable = array.ndim == 2 and array.dtype.kind == "f" and array.shape[1] == k  # noqa: PLR2004 - cells or genes, and components
    return array if usable and not measure_axes(array).not_finite.any() else None


def _alike(smaller: _Fit, larger: _Fit) -> float:
    found = [
        float(matched_correlation(first, second).min())
        for first, second in ((smaller.scores, larger.scores), (smaller.loadings, larger.loadings))
        if first.shape[0] == second.shape[0]
    ]
    return max(found, default=0.0)


def _reproduced(subject: str, smaller: _Fit, larger: _Fit) -> Iterator[Finding]:
    few, many = (reproduced_variance(fit.scores, fit.loadings) for fit in (smaller, larger))
    if few > 0 and many < SHRINKS * few:
        measured = f"the larger K reproduces {many / few:.2g} of the variance that the smaller one does"
        yield _record(subject, "fail", measured, f"at least {SHRINKS:g}", f"{WHY} {AGAIN}")


def _measured(method: Method, closest: float, compared: int) -> str:
    if not compared:
        return "one K only"
    if method in NESTED:
        return "its axes are the same for every K by construction"
    return f"the axis that changed most correlates {closest:.4f} or less with its match in {compared} pairs of fits"


def _record(subject: str, severity: Verdict, measured: str, wanted: str, reason: str) -> Finding:
    return _finding(subject=subject, severity=severity, measured=measured, threshold=wanted, reason=reason)
