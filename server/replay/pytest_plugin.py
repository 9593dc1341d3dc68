"""A pytest plugin: ``pytest --stagewright-cassettes DIR`` replays every cassette of a folder, each as one test.

pytest finds it by its entry point once stagewright is installed. It imports next to nothing until it is asked for.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from stagewright.server.replay.ways import Replay

__all__ = ["CassetteItem", "pytest_addoption", "pytest_collection_modifyitems"]

OPTION = "--stagewright-cassettes"


class AnswersDiffer(Exception):  # noqa: N818 - what the test found
    """A replay in which something is not as it was recorded."""

    def __init__(self, done: "Replay") -> None:
        super().__init__("a replay answered otherwise")
        self.done = done


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    group = parser.getgroup("stagewright")
    group.addoption(OPTION, metavar="DIR", type=Path, help="replay every *.jsonl cassette under this folder")
    group.addoption(
        "--stagewright-stages",
        choices=("recorded", "rerun"),
        default="recorded",
        help="play the stages' outcomes back (in a second), or run the stages again",
    )
    group.addoption(
        "--stagewright-transport",
        choices=("in-process", "stdio", "http"),
        default="in-process",
        help="how the calls reach the server",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add one test for each cassette, wherever the folder lies."""
    folder: Path | None = config.getoption(OPTION)
    if folder is None:
        return
    if not folder.is_dir():
        raise pytest.UsageError(f"{OPTION} {folder}: there is no such folder")
    files = sorted(folder.rglob("*.jsonl"))
    if not files:
        raise pytest.UsageError(f"{OPTION} {folder}: there is no *.jsonl file; `stagewright export-calls` makes one")
    items.extend(_items(session, folder, files))


def _items(session: pytest.Session, folder: Path, files: list[Path]) -> Iterator[pytest.Item]:
    for file in files:
        item: CassetteItem = CassetteItem.from_parent(session, name=file.relative_to(folder).as_posix(), cassette=file)
        yield item


class CassetteItem(pytest.Item):
    """The replay of one cassette."""

    def __init__(self, *, cassette: Path, **others: Any) -> None:  # noqa: ANN401 - pytest's own
        super().__init__(**others)
        self.cassette = cassette

    def runtest(self) -> None:
        """Replay the cassette.

        Raises
        ------
        AnswersDiffer
            When an answer is not as it was recorded, or the new record does not hold.
        """
        from stagewright.server.replay.replay_cassette import replay
        from stagewright.server.replay.ways import TRANSPORTS, Way, era_of
        from stagewright.tools.replay.cassette_file import read_cassette
        from stagewright.tools.replay.play import STAGES

        stages, transport = (self.config.getoption(f"--stagewright-{name}") for name in ("stages", "transport"))
        way = Way(
            stages=next(one for one in STAGES if one == stages),
            transport=next(one for one in TRANSPORTS if one == transport),
            era=era_of(read_cassette(self.cassette)),
        )
        *_, done = replay(self.cassette, way)
        if done.differs:
            raise AnswersDiffer(done)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:  # noqa: ANN401 - pytest's own
        """Show what differs, or of another error what pytest shows."""
        if not isinstance(excinfo.value, AnswersDiffer):
            return super().repr_failure(excinfo, style)
        from stagewright.server.replay.report import report_lines, title_of

        done = excinfo.value.done
        return "\n".join([title_of(self.name, done), *report_lines(done)])

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return where the test comes from."""
        return self.cassette, None, f"cassette {self.name}"
