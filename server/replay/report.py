"""Say what came of a replay: one line when every answer is the recorded one, else each difference with its place."""

from collections.abc import Iterator

from stagewright.server.replay.ways import Replay

__all__ = ["report_lines", "title_of"]

MOST_CALLS = 5
MOST_PLACES = 12


def title_of(name: str, done: Replay) -> str:
    """Return the result of a replay in a line."""
    way = f"stages {done.way.stages}, {done.way.transport}, {done.way.era}"
    wrong = [call for call in done.calls if call.differences]
    if not done.differs:
        return f"{name}: {len(done.calls)} calls answered as recorded ({way})"
    what = [f"{len(wrong)} of {len(done.calls)} calls answered otherwise"] if wrong else []
    what += [f"{len(done.problems)} problems in the new record"] if done.problems else []
    return f"{name}: {' and '.join(what)} ({way})"


def report_lines(done: Replay) -> Iterator[str]:
    """Yield what differs, call by call: the recorded value after a minus, the present one after a plus."""
    yield from (f"note: {note}" for note in done.notes)
    wrong = [call for call in done.calls if call.differences]
    for call in wrong[:MOST_CALLS]:
        arguments = ", ".join(f"{name}={value!r}"[:80] for name, value in call.frame.arguments.items())
        yield f"call {call.number}: {call.frame.tool}({arguments})"
        for one in call.differences[:MOST_PLACES]:
            yield from (f"  {line}" for line in one.lines())
        if len(call.differences) > MOST_PLACES:
            yield f"  and {len(call.differences) - MOST_PLACES} more places of this answer"
    if len(wrong) > MOST_CALLS:
        yield f"and {len(wrong) - MOST_CALLS} more calls; the first difference is often the cause of the others"
    for problem in done.problems[:MOST_CALLS]:
        yield f"in the new record: {problem}"
