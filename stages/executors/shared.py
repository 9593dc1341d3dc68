"""A large argument on the side of the stage: at hand here, and stored once when another process asks for it."""

import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from stagewright.stages.executors.stored import Stored, store

__all__ = ["Shared", "Sharing", "elsewhere", "here"]

_Value = TypeVar("_Value")


class Shared(Generic[_Value]):
    """A value that calls take as an argument.

    Parameters
    ----------
    value
        What a call in this process is given.
    store_it
        Writes its parts into files.
    """

    def __init__(self, value: _Value, store_it: Callable[[], Stored[_Value]]) -> None:
        self.value = value
        self._store = store_it
        self._stored: Stored[_Value] | None = None
        self._lock = threading.Lock()

    def stored(self) -> Stored[_Value]:
        """Return what stands for the value in another process; it is written at the first call."""
        with self._lock:
            if self._stored is None:
                self._stored = self._store()
            return self._stored

    def forget(self) -> None:
        """Remove what was stored of it; no call with it may be under way or come."""
        with self._lock:
            if self._stored is not None:
                for path in self._stored.arrays.values():
                    path.unlink(missing_ok=True)


class Sharing:
    """Makes values shared, with a folder of its own for each.

    Parameters
    ----------
    scratch
        The folder in which theirs are made.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch

    def share(self, value: _Value, build: Callable[..., _Value], **parts: Any) -> Shared[_Value]:  # noqa: ANN401
        """Return a value as a shared one; see `Executor.share`."""
        key = uuid.uuid4().hex
        return Shared(value, lambda: store(key, build, parts, self._scratch / key))


def here(argument: Any) -> Any:  # noqa: ANN401 - whatever a call is given
    """Return an argument for a call in this process."""
    return argument.value if isinstance(argument, Shared) else argument


def elsewhere(argument: Any) -> Any:  # noqa: ANN401 - whatever a call is given
    """Return an argument for a call in another process."""
    return argument.stored() if isinstance(argument, Shared) else argument
