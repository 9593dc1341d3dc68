"""Which failures are worth another try."""

import errno

import pytest

from stagewright.stages.failure import describe_failure
from stagewright.stages.protocol import Killed, Unit, UnitFailed


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (MemoryError(), True),
        (OSError(errno.ENOSPC, "no space left"), True),
        (OSError(errno.EIO, "input/output error"), True),
        (Killed("ended by SIGKILL"), True),
        (OSError(errno.ENOENT, "no such file"), False),
        (ValueError("counts hold NaN"), False),
        (ZeroDivisionError(), False),
    ],
)
def test_only_what_the_environment_did_is_tried_again(error: Exception, *, transient: bool) -> None:
    """Bad data, a numerical failure and a bug give the same on the next try; a full disk or a kill may not."""
    assert describe_failure(error).transient is transient


def test_a_failed_unit_is_named_with_its_cause() -> None:
    """The record tells which fit failed and why, so that just this one can be left out."""
    failed = UnitFailed(Unit("fa/k_60/seed_1", method="fa", k=60))
    failed.__cause__ = ArithmeticError("did not converge")
    found = describe_failure(failed)
    assert (found.unit, found.method, found.k) == ("fa/k_60/seed_1", "fa", 60)
    assert found.error == "ArithmeticError: did not converge"
