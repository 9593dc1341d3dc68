"""Which failures are worth another try, and as what they are counted."""

import errno
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

from stagewright.stages.cohort.open_h5ad import CohortUnreadable
from stagewright.stages.executors.failures import ClusterUnfit, SchedulerUnreachable, WorkerLost
from stagewright.stages.failure import Failure, describe_failure
from stagewright.stages.failure_table import FAILURES
from stagewright.stages.preprocess.normalise import CountsUnusable
from stagewright.stages.protocol import Killed, Unit, UnitFailed

CASES = [
    (MemoryError(), "out_of_memory"),
    (np._core._exceptions._ArrayMemoryError((1,), np.dtype(float)), "out_of_memory"),  # type: ignore[attr-defined]
    (OSError(errno.ENOMEM, "cannot fork"), "out_of_memory"),
    (OSError(errno.ENOSPC, "no space left"), "disk_full"),
    (OSError("Can't write data (file write failed: errno = 28, error message = 'No space left')"), "disk_full"),
    (OSError("6400 requested and 3200 written"), "disk_full"),
    (OSError(errno.EIO, "input/output error"), "storage"),
    (OSError(errno.EMFILE, "too many open files"), "environment"),
    (BlockingIOError(errno.EAGAIN, "try again"), "environment"),
    (Killed("ended by SIGKILL"), "killed"),
    (BrokenProcessPool("a process of the pool ended"), "killed"),
    (SchedulerUnreachable("nobody answers"), "scheduler_unreachable"),
    (WorkerLost("it ended"), "worker_lost"),
    (ClusterUnfit("numpy 2.3 there, 2.4 here"), "cluster_unfit"),
    (OSError(errno.ENOENT, "no such file"), "data"),
    (OSError("truncated file"), "data"),
    (CohortUnreadable("is cut short"), "data"),
    (CountsUnusable("3 are negative"), "data"),
    (PermissionError(errno.EACCES, "denied"), "permission"),
    (ModuleNotFoundError("No module named 'skmisc'"), "package"),
    (np.linalg.LinAlgError("singular matrix"), "numerical"),
    (ZeroDivisionError(), "numerical"),
    (ValueError("K = 60 is above the rank"), "spec"),
    (RuntimeError("never"), "bug"),
]
TRANSIENT = {
    "disk_full",
    "storage",
    "environment",
    "out_of_memory",
    "killed",
    "lost",
    "scheduler_unreachable",
    "worker_lost",
}


@pytest.mark.parametrize(("error", "kind"), CASES)
def test_an_error_is_of_one_kind(error: Exception, kind: str) -> None:
    """By its number, or by its type."""
    assert describe_failure(error).kind == kind


def test_a_cause_with_a_number_says_more_than_the_error_that_it_led_to() -> None:
    """A file that cannot be read because of the disk is not bad data."""
    error = CohortUnreadable("cannot be read")
    error.__cause__ = OSError(errno.EIO, "input/output error")
    assert describe_failure(error).kind == "storage"


def test_only_what_the_environment_did_is_tried_again() -> None:
    """Bad data, a numerical failure and a bug give the same on the next try; each row says why."""
    assert {kind for kind, rule in FAILURES.items() if rule.transient} == TRANSIENT
    assert all(rule.why for rule in FAILURES.values())


def test_retries_are_bounded_by_the_step_and_by_the_kind() -> None:
    """Out of memory is tried once more only, whatever the retries; others as often as the spec says."""
    assert Failure(error="x", kind="killed").may_retry(("killed", "killed"), retries=3)
    assert not Failure(error="x", kind="killed").may_retry(("killed", "lost"), retries=2)
    assert Failure(error="x", kind="out_of_memory").may_retry(("killed",), retries=3)
    assert not Failure(error="x", kind="out_of_memory").may_retry(("out_of_memory",), retries=3)
    assert not Failure(error="x", kind="spec").may_retry((), retries=3)


def test_a_failed_unit_is_named_with_its_cause() -> None:
    """The record tells which fit failed and why, so that just this one can be left out."""
    failed = UnitFailed(Unit("fa/k_60/seed_1", method="fa", k=60))
    failed.__cause__ = ArithmeticError("did not converge")
    found = describe_failure(failed)
    assert (found.unit, found.method, found.k) == ("fa/k_60/seed_1", "fa", 60)
    assert found.error == "ArithmeticError: did not converge"
