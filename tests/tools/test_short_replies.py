"""However much there is to say of a blocked step, the reply stays short and every proposal can be applied."""

from stagewright.state.records import Blocked, Proposal
from stagewright.tools.blocked_view import shown_blocked


def test_long_lists_and_old_lines_are_left_out() -> None:
    """A list of fifty preprocesses is not repeated: the proposal says what it does and is applied by its number."""
    entries = [{"method": "hvg", "n_top_genes": 1000 + number} for number in range(50)]
    adjustments = {"preprocess": entries, "runtime": "2h"}
    long = Proposal.model_validate({"what": "leave out the preprocess hvg_9", "adjustments": adjustments})
    short = Proposal(what="try the step again as it is", adjustments={})
    blocked = Blocked(error="e" * 600, last_lines=("x" * 120,) * 12, proposals=(short, long, long, long, long))
    shown = shown_blocked(blocked)
    assert len(shown.model_dump_json(exclude_none=True).encode()) <= 2300
    assert [one.what for one in shown.proposals] == [one.what for one in blocked.proposals]
    assert shown.proposals[1].adjustments == {"preprocess": "(too long to show)", "runtime": "2h"}
    assert 2 <= len(shown.last_lines) < 12


def test_what_is_short_is_shown_whole() -> None:
    """Nothing is left out of a reply that has room for it."""
    blocked = Blocked(error="e", last_lines=("a", "b"), proposals=(Proposal(what="x", adjustments={"k": [1, 2]}),))
    assert shown_blocked(blocked) == blocked
