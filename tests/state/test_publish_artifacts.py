"""Artifacts: recorded as they were written, published whole, and never mixed with an earlier attempt's."""

import errno
import json
from pathlib import Path, PurePosixPath

import pytest

from stagewright.state.artifacts import Artifact, ArtifactWriter, Outcome, read_outcome
from stagewright.state.canonical import digest_file
from stagewright.state.publishing import publish
from stagewright.state.records import ArtifactSeal


def attempt(run: Path, number: int, files: dict[str, str], step: str = "A/one") -> tuple[Path, Outcome]:
    """Stage the files of an attempt as a worker does."""
    folder = run / "attempts" / f"{number:04d}"
    (folder / "staging").mkdir(parents=True)
    writer = ArtifactWriter(folder / "staging")
    for path, text in files.items():
        writer.place(PurePosixPath(path)).write_text(text)
        writer.record(PurePosixPath(path), "csv", shape=(1, 1), columns=["x"])
    return folder, Outcome(step=step, attempt=number, artifacts=writer.artifacts())


def published(run: Path, number: int, files: dict[str, str], kept: tuple[str, ...] = ()) -> ArtifactSeal:
    """Stage and publish."""
    folder, outcome = attempt(run, number, files)
    return publish(run, folder, outcome, kept=kept)


def test_an_artifact_has_the_bytes_and_the_digest_of_its_file(tmp_path: Path) -> None:
    """And a place inside the run directory."""
    writer = ArtifactWriter(tmp_path)
    recorded = writer.write_json(PurePosixPath("A/b/c.json"), {"ü": [1.5, None]})
    assert json.loads((tmp_path / "A/b/c.json").read_text(encoding="utf-8")) == {"ü": [1.5, None]}
    assert (recorded.bytes, recorded.sha256) == (
        (tmp_path / "A/b/c.json").stat().st_size,
        digest_file(tmp_path / "A/b/c.json"),
    )
    assert writer.artifacts() == (recorded,)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "A/../../x"])
def test_a_stage_writes_nowhere_else(tmp_path: Path, path: str) -> None:
    """A path out of the staging folder is a bug of the stage."""
    with pytest.raises(ValueError, match="not a place inside the run directory"):
        ArtifactWriter(tmp_path).place(PurePosixPath(path))


def test_a_nan_is_not_written_as_json(tmp_path: Path) -> None:
    """Other readers would refuse the file."""
    with pytest.raises(ValueError, match="JSON"):
        ArtifactWriter(tmp_path).write_json(PurePosixPath("a.json"), float("nan"))


def test_publishing_moves_the_files_and_seals_their_list(tmp_path: Path) -> None:
    """What the ledger gets is the digest of outcome.json, which has the digests of all files."""
    sealed = published(tmp_path, 1, {"A/x.csv": "x\n1\n", "A/deep/y.csv": "x\n2\n"})
    assert (sealed.count, sealed.bytes) == (2, 8)
    outcome = read_outcome(tmp_path, sealed)
    assert [item.path for item in outcome.artifacts] == ["A/deep/y.csv", "A/x.csv"]
    assert all(digest_file(tmp_path / item.path) == item.sha256 for item in outcome.artifacts)


def test_an_earlier_attempts_files_are_set_aside_not_deleted(tmp_path: Path) -> None:
    """Files that only the earlier attempt had do not stay among the new ones; other steps' files do."""
    other = published(tmp_path, 1, {"A/other.csv": "0"})
    published(tmp_path, 2, {"A/x.csv": "1", "A/old.csv": "1"}, kept=("A/other.csv",))
    (tmp_path / "A/stray.txt").write_text("written by hand")
    published(tmp_path, 3, {"A/x.csv": "2"}, kept=("A/other.csv",))
    there = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "A").rglob("*") if path.is_file())
    assert there == ["A/other.csv", "A/x.csv"]
    assert (tmp_path / "A/x.csv").read_text() == "2"
    aside = tmp_path / "attempts/0003/superseded/A"
    assert {path.name: path.read_text() for path in aside.iterdir()} == {
        "x.csv": "1",
        "old.csv": "1",
        "stray.txt": "written by hand",
    }
    assert read_outcome(tmp_path, other).attempt == 1


def test_other_checkpoints_are_left_alone(tmp_path: Path) -> None:
    """Publishing at A looks at A only."""
    (tmp_path / "B").mkdir()
    (tmp_path / "B/x.csv").write_text("1")
    published(tmp_path, 1, {"A/x.csv": "2"})
    assert (tmp_path / "B/x.csv").read_text() == "1"


def test_a_link_in_the_way_is_set_aside_and_not_followed(tmp_path: Path) -> None:
    """Neither a link to a file nor one to a folder leads a publication out of the run."""
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "x.csv").write_text("precious")
    run = tmp_path / "run"
    (run / "A").mkdir(parents=True)
    (run / "A/x.csv").symlink_to(outside / "x.csv")
    (run / "A/deep").symlink_to(outside / "deep")
    published(run, 1, {"A/x.csv": "2", "A/deep/y.csv": "3"})
    assert (outside / "x.csv").read_text() == "precious"
    assert not list((outside / "deep").iterdir())
    assert (run / "A/deep/y.csv").read_text() == "3"


def test_a_missing_staged_file_seals_nothing(tmp_path: Path) -> None:
    """An outcome that lists what is not there is an error, not a shorter list."""
    folder, outcome = attempt(tmp_path, 1, {"A/x.csv": "1"})
    (folder / "staging/A/x.csv").unlink()
    with pytest.raises(ValueError, match=r"A/x\.csv was reported by the worker and is not there"):
        publish(tmp_path, folder, outcome, kept=())
    assert not (folder / "outcome.json").exists()


def test_publishing_goes_on_where_a_disk_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was moved already stays and counts; what lies there from an earlier attempt is still put aside."""
    published(tmp_path, 1, {"A/x.csv": "old", "A/z.csv": "old"})
    folder, outcome = attempt(tmp_path, 2, {"A/x.csv": "1", "A/y.csv": "2"})
    with monkeypatch.context() as broken:
        broken.setattr("stagewright.state.publishing.sync_tree", refuse)
        with pytest.raises(OSError, match="No space"):
            publish(tmp_path, folder, outcome, kept=())
    assert not (folder / "outcome.json").exists()
    sealed = publish(tmp_path, folder, outcome, kept=())
    assert read_outcome(tmp_path, sealed) == outcome
    assert [(tmp_path / "A" / name).read_text() for name in ("x.csv", "y.csv")] == ["1", "2"]
    assert not (tmp_path / "A/z.csv").exists()
    assert sorted(path.name for path in (folder / "superseded/A").iterdir()) == ["x.csv", "z.csv"]


def refuse(*_: object) -> None:
    """Be a disk that is full."""
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("edit", ["changed", "missing"])
def test_a_changed_outcome_is_not_read(tmp_path: Path, edit: str) -> None:
    """The list is believed while its digest is the ledger's."""
    sealed = published(tmp_path, 1, {"A/x.csv": "1"})
    path = tmp_path / sealed.outcome
    if edit == "missing":
        path.unlink()
    else:
        path.write_text(path.read_text().replace('"attempt": 1', '"attempt": 7'))
    with pytest.raises(ValueError, match=r"sealed|seals"):
        read_outcome(tmp_path, sealed)


def test_an_artifacts_promise_survives_the_record() -> None:
    """Shapes, columns and arrays come back from outcome.json."""
    item = Artifact(
        path="A/a.h5ad", format="h5ad", bytes=1, sha256="0" * 64, shape=(3, 2), obs=("p",), obsm={"X_pca": 2}
    )
    outcome = Outcome(step="A/one", attempt=1, artifacts=(item,), k_shortlist={"pca": (5, 10)})
    assert Outcome.model_validate_json(outcome.model_dump_json(exclude_none=True)) == outcome
