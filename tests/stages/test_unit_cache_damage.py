"""What is wrong with the unit cache costs time, and never a result."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from stagewright.stages.failure import describe_failure
from stagewright.stages.protocol import UnitFailed
from stagewright.stages.unit_cache import UnitCache
from stagewright.state.artifacts import ArtifactWriter, Outcome

Study = Any  # the fixture's class, which lives in conftest.py
Digests = Callable[[Outcome], dict[str, str]]
CHANGE = {"methods": ["pca"], "k": [3]}


def _truncate(entry: Path) -> None:
    path = entry / "files" / "scores.npy"
    _replace(path, path.read_bytes()[:-1])


def _flip(entry: Path) -> None:
    path = entry / "files" / "scores.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    _replace(path, bytes(content))


def _replace(path: Path, content: bytes) -> None:
    path.unlink()  # an artifact of the step may be the same file
    path.write_bytes(content)


def _link(entry: Path) -> None:
    (entry / "files" / "scores.npy").rename(entry.parent / "elsewhere.npy")
    (entry / "files" / "scores.npy").symlink_to(entry.parent / "elsewhere.npy")


def _alter(entry: Path) -> None:
    listing = json.loads((entry / "entry.json").read_text())
    listing["inputs"]["k"] = 4
    (entry / "entry.json").write_text(json.dumps(listing))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (_truncate, "scores.npy: "),
    "bit-flipped": (_flip, "scores.npy: sha256 differs"),
    "missing file": (lambda entry: (entry / "files" / "scores.npy").unlink(), "scores.npy: missing"),
    "linked file": (_link, "scores.npy: no regular file"),
    "stranger": (lambda entry: (entry / "files" / "more.npy").touch(), "files/more.npy: nobody stored it"),
    "no listing": (lambda entry: (entry / "entry.json").unlink(), "entry.json: missing"),
    "torn listing": (lambda entry: os.truncate(entry / "entry.json", 40), "entry.json: cannot be read"),
    "not text": (lambda entry: (entry / "entry.json").write_bytes(b"\xff\x00" * 40), "entry.json: cannot be read"),
    "deep listing": (lambda entry: (entry / "entry.json").write_text("[" * 9999), "entry.json: cannot be read"),
    "altered listing": (_alter, "entry.json: its digest differs"),
    "empty": (lambda entry: [path.unlink() for path in entry.rglob("*") if path.is_file()], "entry.json: missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_named_moved_aside_and_made_again(study: Study, digests: Digests, damage: str) -> None:
    """And the result is what it was; the entry that replaces it is used from then on."""
    spoil, said = DAMAGES[damage]
    first = study.execute("A/plan0", adjust=CHANGE)
    (entry,) = (study.run / "unit_cache" / "fit").iterdir()
    spoil(entry)
    second = study.execute("A/plan0", adjust=CHANGE)
    assert second.units[-1].how == "ran"
    assert second.units[-1].why.startswith(f"its cache entry was damaged ({said}")
    assert digests(first) == digests(second)
    assert len([*(study.run / "unit_cache" / "damaged").iterdir()]) == 1
    third = study.execute("A/plan0", adjust=CHANGE)
    assert (third.units[-1].how, digests(third)) == ("reused", digests(first))


def test_an_entry_under_another_key_is_not_believed(study: Study) -> None:
    """A whole entry that was renamed belongs to other inputs."""
    study.execute("A/plan0", adjust={"methods": ["pca"], "k": [3, 4]})
    first, second = sorted((study.run / "unit_cache" / "fit").iterdir())
    shutil.rmtree(first)
    second.rename(first)
    again = study.execute("A/plan0", adjust={"methods": ["pca"], "k": [3, 4]})
    assert any("it belongs to another key" in unit.why for unit in again.units)


def test_a_linked_cache_is_not_used(study: Study, tmp_path: Path) -> None:
    """It could lead anywhere; the step is done without it."""
    study.execute("A/plan0", adjust=CHANGE)
    (study.run / "unit_cache").rename(tmp_path / "elsewhere")
    (study.run / "unit_cache").symlink_to(tmp_path / "elsewhere")
    unit = study.execute("A/plan0", adjust=CHANGE).units[-1]
    assert unit.how == "ran"
    assert "goes through a link" in unit.why


def test_a_full_disk_under_the_cache_fails_nothing(
    study: Study, digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The artifacts are there; the unit says that it is not kept, and runs again the next time."""

    def refuses(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(UnitCache, "keep", refuses)
        first = study.execute("A/plan0", adjust=CHANGE)
    assert first.units[-1].why == "no earlier result; not kept: No space left on device"
    assert not (study.attempt("A/plan0") / "units").exists()
    second = study.execute("A/plan0", adjust=CHANGE)
    assert (second.units[-1].how, digests(second)) == ("ran", digests(first))


@pytest.mark.parametrize("at", ["record", "adopt"])
def test_a_full_disk_under_the_artifacts_is_an_error(study: Study, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """Whether it refuses the unit's own files or the step's."""

    def refuses(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ArtifactWriter, at, refuses)
    with pytest.raises((OSError, UnitFailed)) as caught:
        study.execute("A/plan0", adjust=CHANGE)
    assert describe_failure(caught.value).kind == "disk_full"


def test_nothing_writes_through_a_second_name(tmp_path: Path) -> None:
    """A writer that replaces an adopted file leaves the original as it was."""
    source = ArtifactWriter(tmp_path / "entry")
    source.write_json(PurePosixPath("a.json"), [1])
    staging = ArtifactWriter(tmp_path / "staging")
    staging.adopt(PurePosixPath("A"), tmp_path / "entry", source.artifacts())
    assert (tmp_path / "staging/A/a.json").samefile(tmp_path / "entry/a.json")
    staging.write_json(PurePosixPath("A/a.json"), [2])
    assert (tmp_path / "entry/a.json").read_text() == "[\n  1\n]\n"
    assert [item.path for item in staging.artifacts()] == ["A/a.json"]


def test_files_are_copied_where_they_cannot_be_linked(
    study: Study, digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system without hard links the results are the same."""
    first = study.execute("A/plan0", adjust=CHANGE)

    def refuses(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuses)
    second = study.execute("A/plan0", adjust=CHANGE)
    assert (second.units[-1].how, digests(second)) == ("reused", digests(first))
