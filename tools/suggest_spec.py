"""Look into a data file, in a child process, for the guesses that a first goal spec is made of."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from stagewright.stages.cohort.records import FileFacts, Suggestions
from stagewright.state.refusals import Refusal
from stagewright.state.survey import SuggestAnswer, SuggestRequest
from stagewright.tools.children import ChildFailed, ask_child
from stagewright.tools.replies import Tick

__all__ = ["suggest_spec"]

TIMEOUT_S = 600.0


def suggest_spec(data: Path) -> Iterator[Tick | tuple[FileFacts, Suggestions]]:
    """Yield signs of life, then what the file holds and what its columns may mean.

    Raises
    ------
    Refusal
        `invalid_data` when the file cannot be read.
    """
    question = SuggestRequest(path=str(data))
    try:
        for tick in ask_child("stagewright.stages", "suggest", question, SuggestAnswer, TIMEOUT_S):
            if isinstance(tick, Tick):
                yield tick.model_copy(update={"message": "looking into the data file"})
            elif tick.fault is not None:
                raise Refusal("invalid_data", tick.fault)
            else:
                # The child is our own code of this same version, so its answer has the shapes that it is written in.
                yield cast("FileFacts", tick.facts), cast("Suggestions", tick.guesses)
    except ChildFailed as error:
        raise Refusal("invalid_data", f"the data file could not be looked into: {error}") from error
