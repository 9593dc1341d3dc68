"""Large arguments as files that every process maps into its memory instead of getting a copy."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Stored", "resolved", "store"]

KEPT = 3
"""Values that a process keeps at hand: a matrix, a sample of it, and the sample before."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Stored(Generic[_Value]):
    """A value whose arrays lie in files: small to send, and made again where it is needed.

    Attributes
    ----------
    key
        Unlike that of any other stored value.
    arrays
        Path of the `.npy` file of each array.
    others
        Parts that are no arrays.
    """

    key: str
    build: Callable[..., _Value]
    arrays: Mapping[str, Path]
    others: Mapping[str, Any]


def store(key: str, build: Callable[..., _Value], parts: Mapping[str, Any], folder: Path) -> Stored[_Value]:
    """Write the arrays among the parts of a value into a folder, and return what stands for it.

    Raises
    ------
    OSError
        When the disk does not take them.
    """
    folder.mkdir(parents=True)
    arrays = {name: part for name, part in parts.items() if isinstance(part, np.ndarray)}
    paths = {}
    for name, array in arrays.items():
        paths[name] = folder / f"{name}.npy"
        # In its own order: a product of the same numbers in another order may round otherwise.
        whole = array if array.flags.forc else np.ascontiguousarray(array)
        np.save(paths[name], whole, allow_pickle=False)
    return Stored(key, build, paths, {name: part for name, part in parts.items() if name not in arrays})


class _AtHand:
    """The values that this process made last; each is made once, whichever thread needs it first."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def value_of(self, stored: Stored[Any]) -> Any:  # noqa: ANN401 - whatever was stored
        with self._lock:
            if stored.key not in self._values:
                arrays = {name: _mapped(path) for name, path in stored.arrays.items()}
                self._values[stored.key] = stored.build(**arrays, **stored.others)
            self._values.move_to_end(stored.key)
            while len(self._values) > KEPT:
                self._values.popitem(last=False)
            return self._values[stored.key]


def _mapped(path: Path) -> NDArray[Any]:
    """Return the array of a file, mapped: its pages are those of every process that maps it.

    Copy on write, not read-only: numba compiles other code for read-only arrays.
    """
    mapped: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False).view(np.ndarray)
    return mapped


_AT_HAND = _AtHand()


def resolved(argument: Any) -> Any:  # noqa: ANN401 - whatever a call is given
    """Return an argument as the called function wants it."""
    return _AT_HAND.value_of(argument) if isinstance(argument, Stored) else argument
