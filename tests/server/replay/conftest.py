"""The example cassettes, and a function that replays one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stagewright.server.replay.replay_cassette import replay
from stagewright.server.replay.ways import Replay, Way

EXAMPLES = Path(__file__).parents[3] / "examples" / "cassettes"


def cassettes() -> list[str]:
    """Return the names of the example cassettes."""
    return sorted(path.stem for path in EXAMPLES.glob("*.jsonl"))


@pytest.fixture
def example() -> Callable[[str], Path]:
    """Return a function that gives the path of an example cassette."""
    return lambda name: EXAMPLES / f"{name}.jsonl"


@pytest.fixture
def replayed() -> Callable[[Path, Way], Replay]:
    """Return a function that replays a cassette to its end."""

    def played(path: Path, way: Way) -> Replay:
        *_, done = replay(path, way)
        return done

    return played
