"""What an attempt published that the ledger never heard of is taken back, and what it had replaced comes back."""

from pathlib import Path

from stagewright.state.artifacts import Artifact, Outcome
from stagewright.state.attempts import RESULT
from stagewright.state.canonical import digest_file
from stagewright.state.publishing import publish, withdraw


def staged(run: Path, number: int, files: dict[str, str]) -> tuple[Path, Outcome]:
    """Stage files as a worker does and report them; return the attempt's folder and the report."""
    folder = run / "attempts" / f"{number:04d}_A_one"
    for path, text in files.items():
        place = folder / "staging" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    artifacts = tuple(
        Artifact(path=path, format="other", bytes=len(text), sha256=digest_file(folder / "staging" / path))
        for path, text in files.items()
    )
    outcome = Outcome(step="A/one", attempt=number, artifacts=artifacts)
    (folder / RESULT).write_text(outcome.model_dump_json())
    return folder, outcome


def contents(run: Path) -> dict[str, str]:
    """Return the files of the checkpoint with what is in them."""
    return {path.relative_to(run).as_posix(): path.read_text() for path in (run / "A").rglob("*") if path.is_file()}


def test_all_of_it_is_taken_back(tmp_path: Path) -> None:
    """Killed after the last move: the files of the attempt before lie where the ledger says they lie."""
    folder, outcome = staged(tmp_path, 1, {"A/x.csv": "old", "A/y.csv": "old too"})
    publish(tmp_path, folder, outcome, kept=())
    (folder / RESULT).unlink()  # as after the commit
    before = contents(tmp_path)
    second, changed = staged(tmp_path, 2, {"A/x.csv": "new", "A/z.csv": "more"})
    publish(tmp_path, second, changed, kept=())
    assert contents(tmp_path) != before
    withdraw(tmp_path, second)
    assert contents(tmp_path) == before
    assert (second / "withdrawn/A/z.csv").read_text() == "more"


def test_half_of_it_is_taken_back(tmp_path: Path) -> None:
    """Killed between two moves."""
    folder, outcome = staged(tmp_path, 1, {"A/x.csv": "1", "A/y.csv": "2"})
    (tmp_path / "A").mkdir()
    (folder / "staging/A/x.csv").rename(tmp_path / "A/x.csv")
    withdraw(tmp_path, folder)
    assert contents(tmp_path) == {}
    publish(tmp_path, *staged(tmp_path, 2, {"A/x.csv": outcome.step}), kept=())
    assert contents(tmp_path) == {"A/x.csv": "A/one"}


def test_nothing_is_touched_where_nothing_was_published(tmp_path: Path) -> None:
    """An attempt that ended before it reported, and one whose folder is gone."""
    folder, outcome = staged(tmp_path, 1, {"A/x.csv": "1"})
    publish(tmp_path, folder, outcome, kept=())
    (folder / RESULT).unlink()
    for other in (tmp_path / "attempts/0002_A_one", tmp_path / "nowhere"):
        withdraw(tmp_path, other)
    assert contents(tmp_path) == {"A/x.csv": "1"}
