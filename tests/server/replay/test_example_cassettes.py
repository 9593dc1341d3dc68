"""Every example cassette is answered today as it was recorded: in both eras, in process, over stdio and over HTTP."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stagewright.server.replay.report import report_lines
from stagewright.server.replay.ways import ERAS, Era, Replay, Transport, Way

NAMES = (
    "approved_at_the_command_line",
    "attached_after_timeout",
    "blocked_and_adjusted",
    "clean_run",
    "refusals",
    "resumed_after_kill",
    "stopped",
)
QUICK_OVER = {"stdio": "attached_after_timeout", "http": "stopped"}

Replayed = Callable[[Path, Way], Replay]
Example = Callable[[str], Path]


def test_each_scene_is_replayed(example: Example) -> None:
    """No cassette lies beside these that nobody replays."""
    assert {path.stem for path in example("x").parent.glob("*.jsonl")} == set(NAMES)


@pytest.mark.parametrize(
    ("name", "era"),
    [
        pytest.param(name, era, marks=pytest.mark.slow if (name, era) == ("clean_run", "legacy") else ())
        for name in NAMES
        for era in ERAS
    ],
)
def test_every_answer_is_the_recorded_one(name: str, era: Era, example: Example, replayed: Replayed) -> None:
    """With the stages' outcomes played back, the control plane answers exactly as it did."""
    done = replayed(example(name), Way(era=era))
    assert not done.differs, "\n".join(report_lines(done))
    assert len(done.calls) == len(done.cassette.calls) > 0


@pytest.mark.parted
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("transport", "name"),
    [
        pytest.param(transport, name, marks=() if QUICK_OVER[transport] == name else pytest.mark.slow)
        for transport in ("stdio", "http")
        for name in NAMES
    ],
)
def test_the_transport_makes_no_difference(
    transport: Transport, name: str, era: Era, example: Example, replayed: Replayed
) -> None:
    """A server process on standard streams, and one behind HTTP."""
    done = replayed(example(name), Way(transport=transport, era=era))
    assert not done.differs, "\n".join(report_lines(done))


@pytest.mark.slow
@pytest.mark.parted
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_the_stages_give_the_recorded_results_again(name: str, example: Example, replayed: Replayed) -> None:
    """With the stages really run, numbers included, within the stated tolerance."""
    done = replayed(example(name), Way(stages="rerun"))
    assert not done.differs, "\n".join(report_lines(done))
