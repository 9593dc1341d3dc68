"""Say of a failure what kind it is, and which unit of work it belongs to."""

from dataclasses import asdict, dataclass

from pydantic import JsonValue

from stagewright.stages.failure_table import FAILURES, kind_of
from stagewright.stages.protocol import UnitFailed
from stagewright.stages.workload import Workload
from stagewright.state.records import FailureKind, Record

__all__ = ["Failure", "describe_failure", "killed"]


class Failure(Record):
    """Why a worker failed, as `failure.json` says it.

    Attributes
    ----------
    unit
        The unit's name, where the failure belongs to one, and what it was about in the fields after it.
    n_cells, n_genes, n_nonzero
        How much data the step was at work on, where it had been loaded.
    """

    error: str
    kind: FailureKind
    unit: str | None = None
    method: str | None = None
    k: int | None = None
    preprocess: str | None = None
    n_cells: int | None = None
    n_genes: int | None = None
    n_nonzero: int | None = None

    @property
    def transient(self) -> bool:
        """Whether another try may succeed."""
        return FAILURES[self.kind].transient

    def may_retry(self, failed_as: tuple[FailureKind, ...], retries: int) -> bool:
        """Return whether the step may be tried again, after the failures that it has had since the last decision."""
        bound = FAILURES[self.kind].at_most
        within = bound is None or failed_as.count(self.kind) < bound
        return self.transient and within and len(failed_as) < retries


@dataclass(frozen=True, slots=True)
class _Cause:
    error: BaseException
    about: dict[str, JsonValue]


def describe_failure(error: BaseException, workload: Workload | None = None) -> Failure:
    """Return what failed, of what kind it is, in which unit, and at work on how much data."""
    cause = _cause(error)
    kind, said = kind_of(cause.error), f"{type(cause.error).__name__}: {cause.error}"
    if kind == "disk_full":
        said = f"the disk is full ({said})"  # numpy and HDF5 say it in words of their own
    if isinstance(error, UnitFailed) and error.beyond:
        said = f"{error.beyond}; the last: {said}"
    size = {} if workload is None else asdict(workload)
    return Failure.model_validate(cause.about | size | {"error": said, "kind": kind})


def killed(signal_name: str) -> Failure:
    """Return the failure of a worker that a signal ended: from outside, or for want of memory."""
    return Failure(error=f"the worker was ended by {signal_name}", kind="killed")


def _cause(error: BaseException) -> _Cause:
    if isinstance(error, UnitFailed) and error.__cause__ is not None:
        unit = error.unit
        about: dict[str, JsonValue] = {"unit": unit.name, "method": unit.method, "k": unit.k}
        return _Cause(error.__cause__, about | {"preprocess": unit.preprocess})
    return _Cause(error, {})
