"""One K of one method: lower it to what the error allows, leave it out, or take another K of Plan 0's shortlist."""

from collections.abc import Iterable, Iterator

from stagewright.stages.handlers.case import FailedCase
from stagewright.stages.handlers.json_values import lists_of
from stagewright.stages.handlers.of_unit import belongs_to_unit
from stagewright.stages.largest_k import largest_k, largest_k_named
from stagewright.stages.peak_memory import expected_genes
from stagewright.state.records import Proposal
from stagewright.state.spec import Hvg
from stagewright.state.spec.scales import scale_of

__all__ = ["leave_out_k"]

SMALLEST = 2
"""A K below this is none."""


def leave_out_k(case: FailedCase) -> Iterator[Proposal]:
    """Propose what can be done about the K of the unit that failed."""
    method, k = case.failure.method, case.failure.k
    if method is None or k is None or not belongs_to_unit(case) or method not in case.spec.reduction.methods:
        return
    if case.state.stage == "plan0":
        yield from _at_plan0(case, method, k)
        yield from _of_all_methods(case, method)
    elif case.built_in:
        for other in sorted(case.state.k_shortlist.get(method, ()), key=lambda one: (one > k, abs(one - k))):
            if other != k:
                yield Proposal(
                    what=f"take K={other} of Plan 0's shortlist for {method} instead of {k}",
                    adjustments={},
                    k_by_method={method: other},
                )


def _at_plan0(case: FailedCase, method: str, k: int) -> Iterator[Proposal]:
    ks = [*_lists(case)[method]]
    largest = largest_k_named(case.failure.error)
    swept = next((values for name, values in case.study.ks.items() if name == method), ())
    # All K of exact PCA come from one decomposition: the unit that fails is not the one whose K is too large.
    above = [one for one in swept if largest is not None and one > largest] or [k]
    left = [one for one in ks if one not in above]
    if largest is not None:
        left = _fitting(case, left, largest)
        safe = _well_below(largest)
        if safe >= SMALLEST and largest < above[0]:
            lowered = _fitting(case, sorted({*(one for one in ks if one not in above), safe}), largest)
            also = [one for one in ks if one not in lowered and one not in above]
            beside = f"; K={_listed(also)} of later checkpoints goes too, or this one would sweep it" if also else ""
            what = f"lower K={_listed(above)} for {method} to {safe}, {_half_of(case, largest)}{beside}"
            yield _with(case, method, lowered, what)
    if left:
        gone = _listed(one for one in ks if one not in left)
        enters = [one for one in left[: scale_of(case.spec, case.state.checkpoint).n_k] if one not in swept]
        instead = f"; this checkpoint then sweeps K={_listed(enters)} instead" if enters else ""
        yield _with(case, method, left, f"leave out K={gone} for {method}{instead}")


def _of_all_methods(case: FailedCase, method: str) -> Iterator[Proposal]:
    """Where the data carry no such K in several methods, mend all of them: the next one would fail like the first."""
    bounds = _bounds(case, method)
    swept = {str(name): values for name, values in case.study.ks.items()}
    above = {name: [k for k in swept[name] if k > bound] for name, bound in bounds.items()}
    named = [name for name, ks in above.items() if ks]
    if len(named) < 2:  # noqa: PLR2004 - one method is what the other proposals are about
        return
    gone = _listed(sorted({k for ks in above.values() for k in ks}))
    who = f"{', '.join(named[:-1])} and {named[-1]}"
    kept = {name: [k for k in ks if k not in above.get(name, ())] for name, ks in _lists(case).items()}
    fitted = {name: _fitting(case, ks, bounds[name]) for name, ks in kept.items()}
    if all(fitted.values()):
        yield Proposal(what=f"leave out K={gone} for {who}", adjustments={"k": lists_of(fitted)})
    largest = min(bounds[name] for name in named)
    safe = _well_below(largest)
    if safe >= SMALLEST:
        lowered = {
            name: _fitting(case, sorted({*ks, safe}), bounds[name]) if name in named else fitted[name]
            for name, ks in kept.items()
        }
        what = f"lower K={gone} for {who} to {safe}, {_half_of(case, largest)}"
        yield Proposal(what=what, adjustments={"k": lists_of(lowered)})


def _bounds(case: FailedCase, method: str) -> dict[str, int]:
    """Return the largest K of each method on Plan 0's reference, as far as is known; of the failed one as it said."""
    failure, reference = case.failure, case.study.reference
    if failure.n_cells is None or failure.n_genes is None or not isinstance(reference, Hvg):
        return {}
    genes = expected_genes(reference, failure.n_genes)
    bounds = {str(name): largest_k(name, failure.n_cells, genes) for name in case.study.ks}
    named = largest_k_named(failure.error)
    return bounds if named is None else bounds | {method: min(named, bounds.get(method, named))}


def _well_below(largest: int) -> int:
    """Return a K that is worth fitting: near the largest that exists, components repeat one another."""
    return largest // 2


def _half_of(case: FailedCase, largest: int) -> str:
    return f"half of the largest ({largest}) that the cells and genes of checkpoint {case.state.checkpoint} carry"


def _listed(ks: Iterable[int]) -> str:
    return ", ".join(str(one) for one in ks)


def _fitting(case: FailedCase, ks: list[int], largest: int) -> list[int]:
    """Leave out what this checkpoint would sweep above the bound; a larger K stays for checkpoints with more cells."""
    n_k = scale_of(case.spec, case.state.checkpoint).n_k
    left = list(ks)
    while any(one > largest for one in left[:n_k]):
        left.remove(next(one for one in left if one > largest))
    return left


def _with(case: FailedCase, method: str, ks: list[int], what: str) -> Proposal:
    return Proposal(what=what, adjustments={"k": lists_of({**_lists(case), method: ks})})


def _lists(case: FailedCase) -> dict[str, tuple[int, ...]]:
    return {str(name): case.spec.reduction.ks(name) for name in case.spec.reduction.methods}
