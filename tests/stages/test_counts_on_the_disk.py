"""A study whose counts do not fit in memory gives the files that it gives when they do."""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import anndata
import pytest

from stagewright.gates.protocol import Finding
from stagewright.stages.cohort.disk_counts import StoredCounts
from stagewright.stages.cohort.load import CountsTooLarge, load_cohort
from stagewright.stages.cohort.unreadable import CohortUnreadable
from stagewright.state.artifacts import Outcome
from stagewright.state.canonical import data_bytes, digest_data
from stagewright.state.records import Limits, SealedData

SMALL = Limits(runtime_s=600, memory_bytes=1, retries=0)


class Study(Protocol):
    """The small study of this folder's conftest."""

    run: Path
    data: SealedData

    def execute(self, step: str, **changes: object) -> Outcome:
        """Execute a step."""
        ...

    def judge(self, step: str) -> list[Finding]:
        """Run the gates on the newest attempt at a step."""
        ...

    def request(self, step: str, **changes: object) -> object:
        """Return the request of the next attempt."""
        ...


def test_results_do_not_depend_on_where_the_counts_are(
    new_study: Callable[[str], Study], digests: Callable[[Outcome], dict[str, str]]
) -> None:
    """Plan 0 and Plan 1A write the same bytes, from counts in memory and from the disk."""
    adjust = {"reference": {"method": "hvg", "n_top_genes": 100}}
    fits, does_not = new_study("fits"), new_study("does_not")
    for step in ("A/plan0", "A/plan1a"):
        at_once = fits.execute(step, adjust=adjust if step == "A/plan0" else {})
        in_blocks = does_not.execute(step, adjust=adjust if step == "A/plan0" else {}, limits=SMALL)
        assert digests(at_once) == digests(in_blocks)


def test_a_zarr_store_gives_what_the_file_gives(
    new_study: Callable[[str], Study], digests: Callable[[Outcome], dict[str, str]], tmp_path: Path
) -> None:
    """Stages and gates read a store as they read the h5ad file that it was made of."""
    file, store = new_study("file"), new_study("store")
    _as_store(store, tmp_path)
    for step in ("A/plan0", "A/plan1a"):
        assert digests(file.execute(step)) == digests(store.execute(step))
    findings = [item for item in store.judge("A/plan1a") if item.gate == "patient_coverage"]
    assert {item.severity for item in findings} == {"pass"}, findings


def _as_store(study: Study, folder: Path) -> Path:
    """Let a study read its data from a zarr store, and return the store."""
    path = folder / "cohort.zarr"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which format anndata will write in future
        anndata.read_h5ad(study.data.path).write_zarr(path)
    study.data = SealedData(path=str(path), bytes=data_bytes(path), sha256=digest_data(path))
    return path


def test_what_needs_all_counts_says_so(study: Study) -> None:
    """Counts on the disk are not taken into memory behind the back of the budget."""
    cohort = load_cohort(study.request("C/plan0", limits=SMALL))  # type: ignore[arg-type]  # a step's request
    assert isinstance(cohort.source, StoredCounts)
    with pytest.raises(CountsTooLarge, match=r"raise budget\.memory"):
        _ = cohort.counts


def test_a_file_that_changes_under_the_reader(study: Study, tmp_path: Path) -> None:
    """The next pass says so, instead of joining two files."""
    path = tmp_path / "cohort.h5ad"
    shutil.copy(study.data.path, path)
    study.data = study.data.model_copy(update={"path": str(path)})
    cohort = load_cohort(study.request("C/plan0", limits=SMALL))  # type: ignore[arg-type]  # a step's request
    with path.open("ab") as file:
        file.write(b"x")
    with pytest.raises(CohortUnreadable, match="was changed while the step was reading it"):
        next(iter(cohort.source.blocks()))


def test_a_chunk_that_changes_under_the_reader(study: Study, tmp_path: Path) -> None:
    """In a zarr store too, where a chunk that is written again in place changes no folder."""
    path = _as_store(study, tmp_path)
    cohort = load_cohort(study.request("C/plan0", limits=SMALL))  # type: ignore[arg-type]  # a step's request
    next(iter(cohort.source.blocks()))
    assert isinstance(cohort.source, StoredCounts)
    chunk = max((path / cohort.source.location).rglob("*"), key=lambda part: part.is_file() and part.stat().st_size)
    folders = [folder for folder in (path, *chunk.parents) if folder.is_relative_to(path)]
    before = [folder.stat().st_mtime_ns for folder in folders]
    with chunk.open("r+b") as file:
        file.write(b"x")
    assert [folder.stat().st_mtime_ns for folder in folders] == before
    with pytest.raises(CohortUnreadable, match="was changed while the step was reading it"):
        next(iter(cohort.source.blocks()))
