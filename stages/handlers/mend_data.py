"""Data that a step cannot use: name the obs column or the matrix, and the file."""

import re
from collections.abc import Iterator

from stagewright.stages.handlers.case import FailedCase
from stagewright.state.records import Proposal

__all__ = ["mend_data"]

COLUMN = re.compile(r"obs has no column '([^']+)'|column '([^']+)' has no level '([^']+)'")
ABOUT_COUNTS = re.compile("CountsUnusable|stored counts")
ABOUT_FILE = re.compile("CohortUnreadable|sealed at planning|cannot be read|truncated")


def mend_data(case: FailedCase) -> Iterator[Proposal]:
    """Propose to open the step again on the file that was sealed; other data are another run."""
    if case.failure.kind != "data":
        return
    path = case.state.data.path
    first = (
        f"mend {_at_fault(case)}: put back the file that was sealed (sha256 {case.state.data.sha256[:12]}...). If the "
        f"data themselves have to change, that is a new run: plan_run(parent_run_id={case.state.run_id!r})"
    )
    yield Proposal(what=f"open the step again, on the sealed {path.rpartition('/')[2]}", adjustments={}, first=first)


def _at_fault(case: FailedCase) -> str:
    error, path = case.failure.error, case.state.data.path
    column = COLUMN.search(error)
    if column is not None and column[1]:
        return f"the obs column {column[1]!r} of {path}, which is not there"
    if column is not None:
        return f"the obs column {column[2]!r} of {path}, which has no level {column[3]!r}"
    if ABOUT_COUNTS.search(error):
        return f"the counts in {case.spec.data.counts} of {path}"
    if ABOUT_FILE.search(error) or path in error:
        return path
    return f"the file that the error names, or {path}"
