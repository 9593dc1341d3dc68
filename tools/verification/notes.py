"""What a reader of a run has to know beside whether its record holds: no failure, and no proof either.

Each function of `NOTES` looks at one subject and yields sentences. They come in this order.
"""

from collections.abc import Callable, Iterable, Iterator

from stagewright.state.events import RECORDED, AttemptStarted
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.verification.record import ReadRecord

__all__ = ["NOTES", "notes_on"]


def notes_on(run: RunDirectory, record: ReadRecord) -> list[str]:
    """Return everything that is noted of a run."""
    return [said for note in NOTES for said in note(run, record)]


def _played_back(_run: RunDirectory, record: ReadRecord) -> Iterator[str]:
    started = [item.event for item in record.folded.recorded if isinstance(item.event, AttemptStarted)]
    played = [f"{event.step} (attempt {event.attempt})" for event in started if event.executor == RECORDED]
    if played:
        yield f"outcomes were played back from a cassette and not computed here: {', '.join(played)}"


NOTES: tuple[Callable[[RunDirectory, ReadRecord], Iterable[str]], ...] = (_played_back,)
