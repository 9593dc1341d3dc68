"""Answer what a data file holds and what its columns may mean, for a person who writes a goal spec."""

from pathlib import Path

from stagewright.stages.cohort.inspect_h5ad import inspect_h5ad
from stagewright.stages.cohort.suggest import suggest
from stagewright.stages.cohort.unreadable import CohortUnreadable
from stagewright.state.snapshot import write_atomically
from stagewright.state.survey import SuggestAnswer, SuggestRequest

__all__ = ["answer_suggest"]


def answer_suggest(request: Path, answer: Path) -> int:
    """Answer the request in one file with another; return the exit status, 0."""
    asked = SuggestRequest.model_validate_json(request.read_bytes())
    try:
        found = {"facts": inspect_h5ad(asked.path), "guesses": suggest(asked.path)}
        answered = SuggestAnswer.model_validate(found)
    except CohortUnreadable as error:
        answered = SuggestAnswer(fault=str(error))
    write_atomically(answer, answered.model_dump_json() + "\n")
    return 0
