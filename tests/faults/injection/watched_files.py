"""Lead what Python's own files write through the fault gate.

`open` writes with system calls of its own, below `os`. Files that are opened for writing under the root are therefore
built from the same layers as always, on a raw file whose `write` passes the gate: each point is one real write, at the
moment at which the buffer is flushed. Libraries that write in C (h5py, pyarrow) do not come by here.
"""

import _io
import builtins
import io
import os
from typing import Any

from fault_gate import FaultGate
from open_paths import path_of_argument

__all__ = ["watch_files"]


def watch_files(gate: FaultGate) -> None:
    """Replace `open`."""
    real_open = io.open

    class WatchedFile(io.FileIO):
        """A raw file whose writes pass the gate."""

        def write(self, data: Any, /) -> int:
            half = memoryview(data).cast("B")[: memoryview(data).nbytes // 2]
            return gate.at_path(
                "write",
                path_of_argument(self.name),
                lambda: super(WatchedFile, self).write(data),
                torn=lambda: super(WatchedFile, self).write(half),
                grows=True,
            )

    def watched_open(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,  # noqa: FBT001, FBT002 - the signature of `open`
        opener: Any = None,
    ) -> Any:
        path = path_of_argument(file) if set(mode) & set("wax+") else ""
        if not path.startswith(gate.plan.root + os.sep):
            return real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)

        def opened() -> io.FileIO:
            return WatchedFile(file, mode.replace("b", "").replace("t", ""), closefd, opener)

        changes = not isinstance(file, int) and ("w" in mode or ("r" not in mode and not os.path.lexists(path)))
        raw = gate.at_path("open", path, opened, grows=True) if changes else opened()
        return _layered(raw, mode, buffering, encoding, errors, newline)

    builtins.open = io.open = watched_open  # type: ignore[assignment]
    setattr(_io, "open", watched_open)  # noqa: B010 - `tempfile` looks it up there; type checkers know no such module


def _layered(
    raw: io.FileIO, mode: str, buffering: int, encoding: str | None, errors: str | None, newline: str | None
) -> Any:
    """Return the file that `open` would build on `raw`."""
    if buffering == 0:
        return raw
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    binary = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
    if "b" in mode:
        return binary
    text = io.TextIOWrapper(binary, io.text_encoding(encoding), errors, newline, line_buffering=buffering == 1)
    text.mode = mode  # type: ignore[misc]
    return text
