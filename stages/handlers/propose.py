"""Ask every handler, and show what would work, the smallest change first."""

from pydantic import ValidationError

from stagewright.stages.handlers.case import FailedCase
from stagewright.state.records import Proposal
from stagewright.state.spec import Adjustments, GoalSpec
from stagewright.state.units import format_bytes, format_seconds

__all__ = ["propose"]


def propose(case: FailedCase) -> tuple[Proposal, ...]:
    """Return what could be done about a failure, each in a form that `decide(adjust, proposal=n)` applies."""
    failure, spec = case.failure, case.spec
    proposals: list[Proposal | None] = [*_more_budget(case)]
    if failure.method is not None and failure.k is not None and case.state.stage == "plan0":
        # Later stages take the K that Plan 0 chose: there a shorter list would change nothing.
        proposals.append(_without_k(spec, failure.method, failure.k))
    if failure.method is not None:
        proposals.append(_without_method(spec, failure.method))
    if failure.preprocess is not None:
        proposals.append(_without_preprocess(spec, failure.preprocess))
    if failure.transient:
        proposals.append(Proposal(what="try the step again as it is", adjustments={}))
    if case.workers > 1 and failure.unit is None:
        proposals.append(Proposal(what="run one unit at a time", adjustments={"workers": 1}))
    if not any(proposals):
        proposals.append(Proposal(what="open the step again once the cause is mended", adjustments={}))
    return tuple(proposal for proposal in proposals if proposal is not None and _is_valid(proposal))


def _more_budget(case: FailedCase) -> tuple[Proposal, ...]:
    asked, used_s = case.limits, case.runtime_used_s
    runtime = min(max(asked.runtime_s, used_s) * 2, case.caps.runtime_s)
    memory = min(asked.memory_bytes * 2, case.caps.memory_bytes)
    if case.failure.kind == "runtime_budget" and runtime > used_s:
        what = f"raise the run time to {format_seconds(round(runtime))}"
        return (Proposal(what=what, adjustments={"runtime": f"{round(runtime)}s"}),)
    if case.failure.kind == "memory_budget" and memory > asked.memory_bytes:
        return (Proposal(what=f"raise the memory to {format_bytes(memory)}", adjustments={"memory": f"{memory}B"}),)
    return ()


def _without_k(spec: GoalSpec, method: str, k: int) -> Proposal | None:
    ks = {
        name: [value for value in spec.reduction.ks(name) if (name, value) != (method, k)]
        for name in spec.reduction.methods
    }
    if not all(ks.values()):
        return None
    return Proposal(what=f"leave out K={k} for {method}", adjustments={"k": {name: [*ks[name]] for name in ks}})


def _without_method(spec: GoalSpec, method: str) -> Proposal | None:
    left = [name for name in spec.reduction.methods if name != method]
    return Proposal(what=f"leave out {method}", adjustments={"methods": [*left]}) if left else None


def _without_preprocess(spec: GoalSpec, tag: str) -> Proposal | None:
    left = [entry.model_dump(mode="json") for entry in spec.preprocess if entry.tag != tag]
    return Proposal(what=f"leave out the preprocess {tag}", adjustments={"preprocess": [*left]}) if left else None


def _is_valid(proposal: Proposal) -> bool:
    try:
        Adjustments.model_validate(proposal.adjustments)
    except ValidationError:
        return False
    return True
