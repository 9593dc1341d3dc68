"""What a reply shows of a blocked step: every proposal, and as much of the rest as a short reply has room for."""

import json

from stagewright.state.records import Blocked, Proposal

__all__ = ["shown_blocked"]

MOST_BYTES = 2300
"""Of a reply's 4 KB; the summary and the next call repeat the error and the first proposal."""
LONG = 160
FEWEST_LINES = 2


def shown_blocked(blocked: Blocked) -> Blocked:
    """Return a blocked step for a reply; the ledger and `RUN_STATE.json` have it whole.

    Too long a one loses, in this order, the words of long adjustments (a proposal is applied by its number, and says
    what it does), and the older of the last lines.
    """
    shown = blocked
    if _size(shown) > MOST_BYTES:
        shown = shown.model_copy(update={"proposals": tuple(_brief(one) for one in shown.proposals)})
    while _size(shown) > MOST_BYTES and len(shown.last_lines) > FEWEST_LINES:
        shown = shown.model_copy(update={"last_lines": shown.last_lines[1:]})
    return shown


def _size(blocked: Blocked) -> int:
    return len(blocked.model_dump_json(exclude_none=True).encode())


def _brief(proposal: Proposal) -> Proposal:
    if len(json.dumps(proposal.adjustments)) <= LONG:
        return proposal
    long = (name for name, value in proposal.adjustments.items() if isinstance(value, list | dict))
    brief = dict.fromkeys(long, "(too long to show)")
    return proposal.model_copy(update={"adjustments": proposal.adjustments | brief})
