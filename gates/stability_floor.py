"""Components at the chosen K come back in another replicate."""

from collections.abc import Iterator
from functools import partial
from itertools import combinations

import numpy as np

from stagewright.gates.catalogue import threshold
from stagewright.gates.matched_correlation import matched_correlation, read_loadings
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.layout import replicate_folder
from stagewright.state.records import Verdict
from stagewright.state.spec.reduction import Method
from stagewright.state.step_request import StepRequest
from stagewright.state.step_units import seeds_of

__all__ = ["is_binding", "stability_floor"]

_finding = partial(Finding, gate="stability_floor")
WHY = (
    "Below a median of 0.71 a typical component shares less than half of its variance with its match in another "
    "replicate, below 0.5 less than a quarter: reading such components, or their coefficients, is reading chance."
)
REMEDY = "To pass: adjust to smaller K, or decide with a more stable k_by_method from the shortlist."


def stability_floor(context: GateContext) -> Iterator[Finding]:
    """Compare the stability of each method at its chosen K with the bound, 0.5 by default.

    Measured is the median, over all pairs of replicates and all components, of the absolute correlation of matched
    loadings, computed from the replicates on disk; in [0, 1], higher is more stable.

    Notes
    -----
    Below the default bound the finding is a warning: how much stability a study needs is for its spec to say, and a
    classifier can be sound on an unstable basis of a stable space. When the spec sets the bound, below it is a
    failure, except in a smoke run (checkpoint A), where few cells make components unsteady by design. A method that
    does not depend on the seed passes where the replicates differ by seed, and says so; one replicate alone cannot
    tell, and that is a warning, or an error when the spec sets a bound.
    """
    told = is_binding(context.request)
    least = threshold(context, "stability_floor", "at_least")
    for method in context.request.study.methods:
        k = context.outcome.k_by_method.get(method)
        if k is None:
            continue  # `replicate_summary` reports a method without a chosen K
        subject = f"{method}/k_{k}"
        if context.request.study.fitted_once(method):
            yield _record(subject, "pass", "does not depend on the seed; fitted once", least, WHY)
            continue
        found = _stability(context, method, k)
        if found is None:
            few: Verdict = "error" if told else "warn"
            reason = f"One fit says nothing about another. To pass: give at least two seeds. {WHY}"
            yield _record(subject, few, "not measured: fewer than two replicates", least, reason)
            continue
        low: Verdict = "fail" if told else "warn"
        if found < least:
            yield _record(subject, low, f"median {found:.3f}", least, f"{WHY} {REMEDY}")
        else:
            yield _record(subject, "pass", f"median {found:.3f}", least, WHY)


def is_binding(request: StepRequest) -> bool:
    """Return whether a stability below the bound fails the step, rather than warns."""
    return "at_least" in request.gates.get("stability_floor", {}) and request.checkpoint != "A"


def _stability(context: GateContext, method: Method, k: int) -> float | None:
    folders = (
        context.run / replicate_folder(context.request.checkpoint, method, k, seed)
        for seed in seeds_of(context.request.study, method)
    )
    loadings = [found for folder in folders if (found := read_loadings(folder)) is not None]
    alike = [
        matched_correlation(first, second) for first, second in combinations(loadings, 2) if first.shape == second.shape
    ]
    return float(np.median(np.concatenate(alike))) if alike else None


def _record(subject: str, severity: Verdict, measured: str, least: float, reason: str) -> Finding:
    return _finding(
        subject=subject, severity=severity, measured=measured, threshold=f"at least {least:g}", reason=reason
    )
