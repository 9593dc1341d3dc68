"""Who is behind the pseudonyms of a run, for a person who may read both the key and the data. No tool says it."""

from collections.abc import Iterator

from stagewright.state.id_search import PseudonymsAnswer
from stagewright.state.ledger import Ledger
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.children import ChildFailed, ask_child
from stagewright.tools.privacy.raw_ids import pseudonyms_question
from stagewright.tools.replies import Tick
from stagewright.tools.workspace import Workspace

__all__ = ["way_back"]

TIMEOUT_S = 900.0


def way_back(workspace: Workspace, run: RunDirectory) -> Iterator[Tick | dict[str, str]]:
    """Yield signs of life, then the pseudonym of each patient by its id.

    Raises
    ------
    Refusal
        `not_allowed_now` for a run without pseudonyms; `invalid_data` or `unavailable` when the data or the key are
        gone.
    """
    question = pseudonyms_question(workspace, run, Ledger(run).read())
    unanswered = "the patients could not be named"
    try:
        for item in ask_child("stagewright.stages", "pseudonyms", question, PseudonymsAnswer, TIMEOUT_S):
            if isinstance(item, Tick):
                yield item
            elif item.fault is not None:
                raise Refusal("unavailable", f"{unanswered}: {item.fault}", run_id=run.run_id)
            else:
                yield item.names
    except ChildFailed as error:
        raise Refusal("unavailable", f"{unanswered}: {error.last_line}", run_id=run.run_id) from error
