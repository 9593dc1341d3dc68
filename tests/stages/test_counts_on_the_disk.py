"""A study whose counts do not fit in memory gives the files that it gives when they do."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from stagewright.stages.cohort.disk_counts import StoredCounts
from stagewright.stages.cohort.load import CountsTooLarge, load_cohort
from stagewright.state.artifacts import Outcome
from stagewright.state.records import Limits

SMALL = Limits(runtime_s=600, memory_bytes=1, retries=0)


class Study(Protocol):
    """The small study of this folder's conftest."""

    run: Path

    def execute(self, step: str, **changes: object) -> Outcome:
        """Execute a step."""
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


def test_what_needs_all_counts_says_so(study: Study) -> None:
    """Counts on the disk are not taken into memory behind the back of the budget."""
    cohort = load_cohort(study.request("C/plan0", limits=SMALL))  # type: ignore[arg-type]  # a step's request
    assert isinstance(cohort.source, StoredCounts)
    with pytest.raises(CountsTooLarge, match=r"raise budget\.memory"):
        _ = cohort.counts
