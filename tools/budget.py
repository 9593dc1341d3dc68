"""What a run has used of its budget, what is left of it under the operator's caps, and when that is little."""

from stagewright.state.records import Limits
from stagewright.state.run_state import RunState
from stagewright.state.units import format_bytes, format_seconds
from stagewright.tools.replies import Budget
from stagewright.tools.workspace import Workspace

__all__ = ["budget_of", "caps_of", "limits_left"]

NEAR = 0.9
"""From this share of a limit on, replies say that it is near."""


def caps_of(workspace: Workspace) -> Limits:
    """Return the operator's caps in the form of limits."""
    caps = workspace.policy.caps
    return Limits(runtime_s=caps.runtime, memory_bytes=caps.memory, retries=caps.retries)


def limits_left(workspace: Workspace, state: RunState) -> Limits:
    """Return what the next attempt may use: the run's limits, under the caps as they are now, less what was used."""
    limits, caps = state.effective_limits, caps_of(workspace)
    return Limits(
        runtime_s=min(limits.runtime_s, caps.runtime_s) - state.runtime_used_s,
        memory_bytes=min(limits.memory_bytes, caps.memory_bytes),
        retries=min(limits.retries, caps.retries),
    )


def budget_of(workspace: Workspace, state: RunState) -> Budget:
    """Return what a run has used of its budget, summed from its ledger, so that no restart resets it."""
    left = limits_left(workspace, state)
    return Budget(
        runtime_used_s=round(state.runtime_used_s, 2),
        runtime_left_s=round(max(0.0, left.runtime_s), 2),
        memory_limit_bytes=left.memory_bytes,
        peak_rss_bytes=state.peak_rss_bytes,
        failures=state.failures,
        retries_left_in_step=max(0, left.retries - state.tries),
        note=_note(state, left),
    )


def _note(state: RunState, left: Limits) -> str | None:
    """Return a sentence when a limit is near: past it the step is blocked."""
    said = []
    whole_s = state.runtime_used_s + left.runtime_s
    if state.runtime_used_s > NEAR * whole_s:
        share = f"{state.runtime_used_s / whole_s:.0%}" if whole_s > 0 else "all"
        said.append(
            f"{share} of the run time is used: {format_seconds(max(0.0, left.runtime_s))} of "
            f"{format_seconds(whole_s)} is left; past it the step is blocked",
        )
    if state.peak_rss_bytes > NEAR * left.memory_bytes:
        said.append(
            f"the highest memory so far, {format_bytes(state.peak_rss_bytes)}, is near the limit of "
            f"{format_bytes(left.memory_bytes)}",
        )
    if said and not state.finished:
        return "; ".join(said) + ". More within the operator's caps: decide(adjust, {runtime, memory})."
    return None
