"""Ask every handler, try what they propose, and show what would work: what changes least comes first."""

import json
from collections.abc import Iterator

from stagewright.stages.handlers.case import MEMORY_KINDS, FailedCase
from stagewright.stages.handlers.catalogue import HANDLERS
from stagewright.stages.handlers.dry_run import Tried, try_out
from stagewright.stages.handlers.open_again import open_again
from stagewright.state.records import Proposal
from stagewright.state.units import format_bytes

__all__ = ["propose"]

SHOWN = 5
OF_ONE_HANDLER = 2
"""Variants of one idea; more would crowd out the others."""


def propose(case: FailedCase) -> tuple[Proposal, ...]:
    """Return what could be done about a failure, each in a form that `decide(adjust, proposal=n)` accepts.

    First what leaves the results as they are, then what gives up least of the study. A failure that no handler can help
    with still gets the smallest safe proposal, as long as opening the step again could change anything.
    """
    tried = sorted(_tried(case), key=lambda one: one.harm)
    shown: list[Proposal] = []
    for one in tried:
        same = [other for other in shown if other.handler == one.proposal.handler]
        if len(same) < OF_ONE_HANDLER and len(shown) < SHOWN:
            shown.append(_said(case, one.proposal))
    if not shown or (case.failure.kind == "bug" and len(shown) < SHOWN):
        shown += [one.proposal for one in _tried_of(case, "open_again", open_again(case))]
    return tuple(shown)


def _tried(case: FailedCase) -> Iterator[Tried]:
    seen: set[str] = set()
    for name, handler in HANDLERS.items():
        for tried in _tried_of(case, name, handler(case)):
            key = json.dumps([tried.proposal.adjustments, tried.proposal.k_by_method], sort_keys=True)
            if key not in seen:
                seen.add(key)
                yield tried


def _tried_of(case: FailedCase, name: str, proposals: Iterator[Proposal]) -> Iterator[Tried]:
    for proposal in proposals:
        tried = try_out(case, proposal.model_copy(update={"handler": name}))
        if tried is not None:
            yield tried


def _said(case: FailedCase, proposal: Proposal) -> Proposal:
    """Say the estimate in the proposal's words, where memory was what was short."""
    if proposal.estimated_memory_bytes is None or case.failure.kind not in MEMORY_KINDS:
        return proposal
    what = f"{proposal.what} (about {format_bytes(proposal.estimated_memory_bytes)} at its peak)"
    return proposal.model_copy(update={"what": what})
