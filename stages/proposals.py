"""Propose minimal next actions for a blocked step, the smallest change first."""

from pydantic import ValidationError

from stagewright.stages.failure import Failure
from stagewright.state.records import Limits, Proposal
from stagewright.state.spec.adjustments import Adjustments
from stagewright.state.step_request import StepRequest
from stagewright.state.units import format_bytes, format_seconds

__all__ = ["propose", "propose_more_budget"]


def propose(failure: Failure, request: StepRequest) -> tuple[Proposal, ...]:
    """Return what could be done about a failure, each in a form that `decide(adjust, proposal=n)` applies.

    Every proposal leaves out as little as possible: one K of one method, then a method, then a preprocess. A failure
    that belongs to no unit gets the smallest safe proposals: one worker, then the smaller grid.
    """
    proposals: list[Proposal | None] = []
    if failure.method is not None and failure.k is not None and request.stage == "plan0":
        # Later stages take the K that Plan 0 chose: there a shorter list would change nothing.
        proposals.append(_without_k(request, failure.method, failure.k))
    if failure.method is not None:
        proposals.append(_without_method(request, failure.method))
    if failure.preprocess is not None:
        proposals.append(_without_preprocess(request, failure.preprocess))
    if failure.transient:
        proposals.append(Proposal(what="try the step again as it is", adjustments={}))
    if request.workers > 1 and failure.unit is None:
        proposals.append(Proposal(what="run one unit at a time", adjustments={"workers": 1}))
    if not any(proposals):
        proposals.append(Proposal(what="open the step again once the cause is mended", adjustments={}))
    return tuple(proposal for proposal in proposals if proposal is not None and _is_valid(proposal))


def propose_more_budget(asked: Limits, used_s: float, runtime_cap_s: float, memory_cap: int) -> tuple[Proposal, ...]:
    """Return larger limits within the operator's caps, for a run whose budget is used up."""
    runtime = min(max(asked.runtime_s, used_s) * 2, runtime_cap_s)
    memory = min(asked.memory_bytes * 2, memory_cap)
    proposals = []
    if runtime > used_s:
        text = f"{round(runtime)}s"
        proposals.append(
            Proposal(what=f"raise the run time to {format_seconds(round(runtime))}", adjustments={"runtime": text}),
        )
    if memory > asked.memory_bytes:
        proposals.append(
            Proposal(what=f"raise the memory to {format_bytes(memory)}", adjustments={"memory": f"{memory}B"}),
        )
    return tuple(proposals)


def _without_k(request: StepRequest, method: str, k: int) -> Proposal | None:
    ks = {
        name: [value for value in values if (name, value) != (method, k)] for name, values in request.study.ks.items()
    }
    if not all(ks.values()):
        return None
    return Proposal(what=f"leave out K={k} for {method}", adjustments={"k": {name: [*ks[name]] for name in ks}})


def _without_method(request: StepRequest, method: str) -> Proposal | None:
    left = [name for name in request.study.methods if name != method]
    return Proposal(what=f"leave out {method}", adjustments={"methods": [*left]}) if left else None


def _without_preprocess(request: StepRequest, tag: str) -> Proposal | None:
    left = [entry.model_dump(mode="json") for entry in request.study.preprocess if entry.tag != tag]
    return Proposal(what=f"leave out the preprocess {tag}", adjustments={"preprocess": [*left]}) if left else None


def _is_valid(proposal: Proposal) -> bool:
    try:
        Adjustments.model_validate(proposal.adjustments)
    except ValidationError:
        return False
    return True
