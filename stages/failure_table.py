"""Which failures may pass by themselves, and which are the same on every try: one table, with its reasons.

A transient failure is tried again with back-off, within the step's retries and the row's own bound. A permanent one
blocks the step at once: bad data, a parameter that does not fit, a numerical failure or a bug give the same result on
the next try, and cost the budget once more.
"""

import errno
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stagewright.state.records import FailureKind

__all__ = ["FAILURES", "FailureRule", "kind_of"]


@dataclass(frozen=True, slots=True)
class FailureRule:
    """One row of the table.

    Attributes
    ----------
    errnos
        Of an `OSError`.
    types
        Full names of exception types, so that no library has to be imported to be named; subclasses count.
    at_most
        How often a step may be tried again after this kind, whatever its retries; None for no bound of its own.
    """

    transient: bool
    why: str
    errnos: frozenset[int] = frozenset()
    types: tuple[str, ...] = ()
    at_most: int | None = None


def _errnos(*names: str) -> frozenset[int]:
    """Return the numbers of the names that this platform has."""
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


FAILURES: Mapping[FailureKind, FailureRule] = MappingProxyType(
    {
        # The environment did it, and may not do it again.
        "disk_full": FailureRule(
            transient=True,
            why="space comes back when another job ends or somebody clears up",
            errnos=_errnos("ENOSPC", "EDQUOT"),
        ),
        "out_of_memory": FailureRule(
            transient=True,
            why="another program may have held the memory; a second time it is the step itself that needs too much",
            errnos=_errnos("ENOMEM"),
            types=("builtins.MemoryError",),
            at_most=1,
        ),
        "storage": FailureRule(
            transient=True,
            why="network storage and cables recover; a disk that is gone for good uses the retries up",
            errnos=_errnos("EIO", "ESTALE", "EREMOTEIO", "ETIMEDOUT", "ENETDOWN", "ENETUNREACH", "EHOSTDOWN"),
        ),
        "environment": FailureRule(
            transient=True,
            why="processes, files and locks that others hold are let go of",
            errnos=_errnos("EAGAIN", "EBUSY", "EINTR", "EMFILE", "ENFILE", "ECONNRESET", "ETXTBSY"),
        ),
        "killed": FailureRule(
            transient=True,
            why="somebody, or the kernel for want of memory, ended a process; nothing says it will again",
            types=("stagewright.stages.protocol.Killed", "concurrent.futures.process.BrokenProcessPool"),
        ),
        "lost": FailureRule(
            transient=True,
            why="the supervisor is gone without an outcome: a kill, a crash or loss of power",
        ),
        "scheduler_unreachable": FailureRule(
            transient=True,
            why="a scheduler is started again, a network recovers, a queue lets workers through",
            types=("stagewright.stages.executors.failures.SchedulerUnreachable",),
        ),
        "worker_lost": FailureRule(
            transient=True,
            why="the cluster ended a machine or a worker; the work goes on where it was, on others",
            types=("stagewright.stages.executors.failures.WorkerLost",),
        ),
        # The budget: never cut silently, and more of it is a decision.
        "runtime_budget": FailureRule(transient=False, why="the time is used up; more of it is a decision"),
        "memory_budget": FailureRule(
            transient=False,
            why="the step needs more than it was given; it would again, and more is a decision",
        ),
        "output_limit": FailureRule(transient=False, why="whatever prints without end does so again"),
        # The same on every try.
        "permission": FailureRule(
            transient=False,
            why="somebody has to change who may read or write there",
            errnos=_errnos("EACCES", "EPERM", "EROFS"),
            types=("stagewright.state.pseudonym_key.KeyUnusable",),
        ),
        "package": FailureRule(
            transient=False,
            why="a package that is missing or broken has to be installed",
            types=("builtins.ImportError",),
        ),
        "cluster_unfit": FailureRule(
            transient=False,
            why="other software on the workers might give other results; somebody has to make it the same",
            types=("stagewright.stages.executors.failures.ClusterUnfit",),
        ),
        "data": FailureRule(
            transient=False,
            why="the data are the same on the next try",
            errnos=_errnos("ENOENT", "EISDIR", "ENOTDIR", "ELOOP", "ENAMETOOLONG"),
            types=(
                "stagewright.stages.cohort.unreadable.CohortUnreadable",
                "stagewright.stages.cohort.unreadable.CohortMismatch",
                "stagewright.stages.preprocess.normalise.CountsUnusable",
                "builtins.OSError",  # without a number it is a file format's own: a file that is damaged
            ),
        ),
        "command": FailureRule(
            transient=False,
            why="an operator's command said that it failed; only its author knows of what",
            types=("stagewright.stages.command.CommandFailed",),
        ),
        "numerical": FailureRule(
            transient=False,
            why="the same numbers and seed do not converge on the next try either",
            types=(
                "numpy.linalg.LinAlgError",
                "scipy.sparse.linalg._eigen.arpack.arpack.ArpackError",
                "builtins.ArithmeticError",
            ),
        ),
        "spec": FailureRule(
            transient=False,
            why="a parameter does not fit the data, for example K above the rank",
            types=("builtins.ValueError",),  # `UnfitSetting` among them: then no unit's omission is proposed
        ),
        "bug": FailureRule(transient=False, why="nobody foresaw it, so nothing says that another try would help"),
    },
)
"""In the order in which an error is compared with them; a number says more than a type, so all numbers come first."""

NUMBER_IN_TEXT = re.compile(r"errno ?= ?(\d+)")
SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")


def kind_of(error: BaseException) -> FailureKind:
    """Return what kind of failure an error is: by the numbers of it and of its causes, then by their types.

    >>> kind_of(OSError(28, "No space left on device")), kind_of(ZeroDivisionError())
    ('disk_full', 'numerical')
    """
    chain = [*_with_causes(error)]
    for cause in chain:
        number = _number(cause)
        found: FailureKind | None = next(
            (kind for kind, rule in FAILURES.items() if number is not None and number in rule.errnos), None
        )
        if found is not None:
            return found
    for kind, rule in FAILURES.items():
        if any(name in rule.types for name in _type_names(chain[0])):
            return kind
    return "bug"


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__


def _number(error: BaseException) -> int | None:
    """Return the errno of an error; HDF5 has it in the text only, and numpy says how much a full disk took."""
    if not isinstance(error, OSError):
        return None
    if error.errno is not None:
        return error.errno
    if SHORT_WRITE.search(str(error)):
        return errno.ENOSPC
    found = NUMBER_IN_TEXT.search(str(error))
    return None if found is None else int(found[1])


def _type_names(error: BaseException) -> list[str]:
    return [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
