"""Disks that can be filled: a small file system in memory with a ballast file, or the fault layer's refusals."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from fault_bench.case import Case

__all__ = ["BallastDisk", "Disk", "LayerDisk", "NoMount", "mounted"]

SIZE = "24m"
BLOCK = bytes(4096)


class NoMount(Exception):  # noqa: N818 - says what is missing
    """The user cannot mount a file system here."""


class Disk(Protocol):
    """A disk under the root of a case."""

    plan: Path | None

    def fill(self, *, leaving: int = 0) -> None:
        """Take all space but `leaving` bytes."""

    def free(self) -> None:
        """Give the space back."""


class BallastDisk:
    """A mounted file system that a file of ballast fills."""

    def __init__(self, root: Path) -> None:
        self.plan: Path | None = None
        self._ballast = root / "ballast"

    def fill(self, *, leaving: int = 0) -> None:
        """Take all space but `leaving` bytes."""
        try:
            with self._ballast.open("wb", buffering=0) as file:
                while file.write(BLOCK) == len(BLOCK):
                    pass
        except OSError:
            pass  # that is what it is for
        if leaving:
            with self._ballast.open("r+b") as file:
                file.truncate(self._ballast.stat().st_size - leaving)

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)


class LayerDisk:
    """A disk that the fault layer calls full; for users who cannot mount one."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.plan: Path | None = case.plan_full("no point")
        self.free()

    def fill(self, *, leaving: int = 0) -> None:
        """Take all space; the layer leaves none."""
        assert leaving == 0
        self._case.full.touch()
        self._case.freed.unlink(missing_ok=True)

    def free(self) -> None:
        """Give the space back."""
        self._case.freed.touch()


@contextmanager
def mounted(place: Path) -> Iterator[None]:
    """Mount a small file system in memory for the length of the `with` block.

    Raises
    ------
    NoMount
        When this user cannot, or there is no such file system here.
    """
    place.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NoMount(str(error)) from error
    if done.returncode != 0:
        raise NoMount(done.stderr.strip())
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False)
