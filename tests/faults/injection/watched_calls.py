"""Lead the system calls that change the disk, and the start of processes, through the fault gate.

The functions of `os` are replaced where they are looked up, so that the standard library's own callers (`pathlib`,
`shutil`, `tempfile`) pass the gate as well.
"""

import functools
import os
import subprocess
from collections.abc import Callable
from typing import Any

from fault_gate import FaultGate
from open_paths import path_of_argument, path_of_fd
from point_names import role_of_process

__all__ = ["watch_calls"]

SUPPORTING = (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids)

BY_PATH = {
    # The function: which argument is the path that changes, the keyword of its folder's descriptor, whether it grows.
    "mkdir": (0, "path", "dir_fd", True),
    "unlink": (0, "path", "dir_fd", False),
    "remove": (0, "path", "dir_fd", False),
    "rmdir": (0, "path", "dir_fd", False),
    "truncate": (0, "path", "dir_fd", False),
    "replace": (1, "dst", "dst_dir_fd", False),
    "rename": (1, "dst", "dst_dir_fd", False),
    "link": (1, "dst", "dst_dir_fd", True),
    "symlink": (1, "dst", "dir_fd", True),
}
BY_FD = ("fsync", "fdatasync", "ftruncate")


def watch_calls(gate: FaultGate) -> None:
    """Replace the functions of `os` and the constructor of `subprocess.Popen`."""
    for name, (position, keyword, folder, grows) in BY_PATH.items():
        _replace(name, _by_path(gate, name, position, keyword, folder, grows=grows))
    for name in BY_FD:
        if hasattr(os, name):
            _replace(name, _by_fd(gate, name))
    _replace("write", _writing(gate, "write"))
    _replace("pwrite", _writing(gate, "pwrite"))
    for name in ("sendfile", "copy_file_range"):
        if hasattr(os, name):
            _replace(name, _copying(gate, name, fd_at=0 if name == "sendfile" else 1))
    _replace("open", _opening(gate))
    _watch_spawn(gate)


def _replace(name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    real = getattr(os, name)
    watched = functools.wraps(real)(make(real))
    for supporting in SUPPORTING:  # `shutil` asks these sets what the functions can do
        if real in supporting:
            supporting.add(watched)
    setattr(os, name, watched)


def _by_path(
    gate: FaultGate, name: str, position: int, keyword: str, folder: str, *, grows: bool
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(real: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **named: Any) -> Any:
            given = arguments[position] if len(arguments) > position else named[keyword]
            path = path_of_argument(given, named.get(folder))
            return gate.at_path(name, path, lambda: real(*arguments, **named), grows=grows)

        return watched

    return make


def _by_fd(gate: FaultGate, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(real: Callable[..., Any]) -> Callable[..., Any]:
        def watched(fd: Any, *arguments: Any) -> Any:
            number = fd if isinstance(fd, int) else fd.fileno()
            return gate.at_path(name, path_of_fd(number), lambda: real(fd, *arguments))

        return watched

    return make


def _writing(gate: FaultGate, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(real: Callable[..., Any]) -> Callable[..., Any]:
        def watched(fd: int, data: Any, *arguments: Any) -> Any:
            half = memoryview(data).cast("B")[: memoryview(data).nbytes // 2]
            return gate.at_path(
                name,
                path_of_fd(fd),
                lambda: real(fd, data, *arguments),
                torn=lambda: real(fd, half, *arguments),
                grows=True,
            )

        return watched

    return make


def _copying(gate: FaultGate, name: str, *, fd_at: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(real: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **named: Any) -> Any:
            return gate.at_path(name, path_of_fd(arguments[fd_at]), lambda: real(*arguments, **named), grows=True)

        return watched

    return make


def _opening(gate: FaultGate) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(real: Callable[..., Any]) -> Callable[..., Any]:
        def watched(path: Any, flags: int, *arguments: Any, **named: Any) -> Any:
            if not flags & (os.O_CREAT | os.O_TRUNC):
                return real(path, flags, *arguments, **named)
            place = path_of_argument(path, named.get("dir_fd"))
            if not flags & os.O_TRUNC and os.path.lexists(place):  # opening what is there changes nothing
                return real(path, flags, *arguments, **named)
            return gate.at_path("open", place, lambda: real(path, flags, *arguments, **named), grows=True)

        return watched

    return make


def _watch_spawn(gate: FaultGate) -> None:
    real = subprocess.Popen.__init__

    @functools.wraps(real)
    def watched(self: Any, args: Any, *arguments: Any, **named: Any) -> None:
        words = [args] if isinstance(args, str | bytes | os.PathLike) else [*args]
        role = role_of_process([os.fsdecode(word) for word in words])
        gate.at_point("spawn", role, lambda: real(self, args, *arguments, **named))

    setattr(subprocess.Popen, "__init__", watched)  # noqa: B010 - a plain assignment is an error to type checkers
