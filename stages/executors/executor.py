"""What a stage sees of an executor. Light to import."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from stagewright.state.executor import ExecutorRecord

__all__ = ["Executor", "SharedValue"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Value_co = TypeVar("_Value_co", covariant=True)
_Value = TypeVar("_Value")


class SharedValue(Protocol[_Value_co]):
    """A large argument of many calls: the called function gets `value`, wherever it runs."""

    @property
    def value(self) -> _Value_co:
        """The value in this process."""
        ...

    def forget(self) -> None:
        """Remove what was stored of it for other processes; no call with it may be under way or come."""
        ...


class Executor(Protocol):
    """Runs the heavy calls of a stage. Any thread may use it."""

    @property
    def n_workers(self) -> int:
        """How many calls can run side by side."""
        ...

    def map(
        self, function: Callable[[_Item], _Result], items: Iterable[_Item], *, most: int | None = None
    ) -> list[_Result]:
        """Apply a function to each item in this process, as many side by side as there are workers.

        The function holds no time of its own: it looks into the cache, and gives what is heavy to `call`.

        Parameters
        ----------
        most
            No more side by side than this, however many workers there are: for items that hold memory of this process.

        Returns
        -------
        list
            The results in the order of the items.

        Raises
        ------
        Exception
            What `function` raises, the earliest item's first; then no further item is begun, and those at work are
            waited for.
        """
        ...

    def share(self, value: _Value, build: Callable[..., _Value], **parts: Any) -> SharedValue[_Value]:  # noqa: ANN401
        """Return a value as an argument that is not copied for each call.

        Parameters
        ----------
        value
            What a call in this process is given.
        build
            Module-level function that makes the same value of `parts` in another process, once in each.
        parts
            Arrays, which other processes map from a file, and small values.
        """
        ...

    def call(self, function: Callable[..., _Result], *arguments: Any, holds_gil: bool = False) -> _Result:  # noqa: ANN401
        """Call a pure, module-level function on a worker and return its result.

        Parameters
        ----------
        arguments
            `SharedValue` where they are large; all others small.
        holds_gil
            Whether the function keeps Python's lock for most of its time, so that threads do not help.

        Raises
        ------
        Exception
            What the function raises; or one of `stagewright.stages.executors.failures`.
        """
        ...

    def record(self) -> ExecutorRecord:
        """Return what the calls ran on."""
        ...

    def close(self) -> None:
        """Cancel what is at work and remove what was stored. An executor that was closed is not used again."""
        ...
