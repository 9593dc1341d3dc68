"""Copy a run directory to a place where it may be spoilt; the run itself is only read.

A first copy is made of bytes. Further ones are trees of hard links to the first, which cost no space: in them files are
replaced (`own_file`) and never written through, so that the first copy stays as it was made.
"""

import os
import shutil
from pathlib import Path

__all__ = ["copy_run", "link_copy", "own_file"]

LEFT_OUT = ("unit_cache", ".lock", "alive.lock")
"""Nothing that is judged or verified: results that were used again lie in the checkpoints' folders too."""


def copy_run(run: Path, place: Path) -> None:
    """Copy a run directory, byte for byte, without its unit cache and its locks.

    Parameters
    ----------
    place
        Where the copy goes; must not exist. Its name should be the run's: verification compares them.
    """
    shutil.copytree(run, place, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))


def link_copy(first: Path, place: Path) -> None:
    """Make a second copy whose files are hard links to the first copy's; where links do not work they are copied."""
    shutil.copytree(first, place, symlinks=True, copy_function=_link)


def own_file(path: Path) -> Path:
    """Give a copy's file bytes of its own, so that it may be written to, and return it."""
    fresh = path.with_name(f".{path.name}.own")
    shutil.copyfile(path, fresh)
    os.replace(fresh, path)  # noqa: PTH105 - another inode under the same name
    return path


def _link(source: str, place: str) -> None:
    try:
        os.link(source, place)
    except OSError:
        shutil.copyfile(source, place)
