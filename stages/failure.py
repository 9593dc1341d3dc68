"""Say of a failure whether trying again can help, and which unit of work it belongs to."""

import errno
from dataclasses import dataclass

from pydantic import JsonValue

from stagewright.stages.protocol import Killed, UnitFailed
from stagewright.state.records import Record

__all__ = ["Failure", "describe_failure", "killed"]

# What the environment did, and may not do again. Everything else (bad data, a bad spec, a numerical failure, a bug)
# gives the same result on the next try.
TRANSIENT_ERRNO = frozenset(
    {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ESTALE}
    | {errno.ETIMEDOUT, errno.ENOMEM},
)


class Failure(Record):
    """Why a worker failed, as `failure.json` says it.

    Attributes
    ----------
    unit
        The unit's name, where the failure belongs to one, and what it was about in the fields after it.
    """

    error: str
    transient: bool
    unit: str | None = None
    method: str | None = None
    k: int | None = None
    preprocess: str | None = None


@dataclass(frozen=True, slots=True)
class _Cause:
    error: BaseException
    about: dict[str, JsonValue]


def describe_failure(error: BaseException) -> Failure:
    """Return what failed and whether another try may succeed."""
    cause = _cause(error)
    kind = type(cause.error).__name__
    return Failure.model_validate(
        cause.about | {"error": f"{kind}: {cause.error}", "transient": _is_transient(cause.error)},
    )


def killed(signal_name: str) -> Failure:
    """Return the failure of a worker that a signal ended: from outside, or for want of memory."""
    return Failure(error=f"the worker was ended by {signal_name}", transient=True)


def _cause(error: BaseException) -> _Cause:
    if isinstance(error, UnitFailed) and error.__cause__ is not None:
        unit = error.unit
        about: dict[str, JsonValue] = {"unit": unit.name, "method": unit.method, "k": unit.k}
        return _Cause(error.__cause__, about | {"preprocess": unit.preprocess})
    return _Cause(error, {})


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, MemoryError | Killed):
        return True
    return isinstance(error, OSError) and error.errno in TRANSIENT_ERRNO
