"""A smaller sweep at Plan 0, for a step that needs too much memory or time: one seed less, or no largest K."""

from collections.abc import Iterator

from stagewright.stages.handlers.case import MEMORY_KINDS, FailedCase
from stagewright.stages.handlers.json_values import list_of, lists_of
from stagewright.stages.handlers.run_time import less_work_in
from stagewright.state.records import Proposal

__all__ = ["smaller_sweep"]

FEWEST_SEEDS = 2
"""Stability compares seeds with each other."""


def smaller_sweep(case: FailedCase) -> Iterator[Proposal]:
    """Propose to leave out the last seed at work (time only: seeds need no more memory), or the largest K at work."""
    kind, study = case.failure.kind, case.study
    if kind not in MEMORY_KINDS | {"runtime_budget"} or case.state.stage != "plan0":
        return
    extra = less_work_in(case)
    if extra is None:
        return
    listed = case.spec.reduction.seeds
    seeds = [seed for seed in listed if seed != study.seeds[-1]]
    if kind == "runtime_budget" and FEWEST_SEEDS <= len(seeds) < len(study.seeds):
        what = f"leave out seed {study.seeds[-1]}{extra.said}"
        yield Proposal(what=what, adjustments={"seeds": list_of(seeds)} | extra.adjustments)
    largest = max(k for ks in study.ks.values() for k in ks)
    methods = case.spec.reduction.methods
    lists = {str(name): [k for k in case.spec.reduction.ks(name) if k < largest] for name in methods}
    if all(lists.values()):
        what = f"leave out K={largest} and above for every method{extra.said}"
        yield Proposal(what=what, adjustments={"k": lists_of(lists)} | extra.adjustments)
