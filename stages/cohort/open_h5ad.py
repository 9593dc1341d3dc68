"""Open an h5ad file for looking, with one clear error when it cannot be read."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import h5py

from stagewright.stages.cohort.other_formats import another_format
from stagewright.stages.cohort.store import check_members
from stagewright.stages.cohort.unreadable import CohortMismatch, CohortUnreadable

__all__ = ["CohortMismatch", "CohortUnreadable", "open_h5ad"]


@contextmanager
def open_h5ad(path: Path) -> Generator[h5py.File]:
    """Open a regular file read-only.

    Raises
    ------
    CohortUnreadable
        No permission, empty, not HDF5, cut short, or not an AnnData file. A read error inside the `with` block (a
        damaged part of the file) is turned into it, too.
    """
    try:
        with h5py.File(path, "r") as file:
            check_members(file, str(path))
            _check_whole(file)
            yield file
    except PermissionError as error:
        raise CohortUnreadable(f"{path}: may not be read; change its permissions") from error
    except OSError as error:
        raise CohortUnreadable(f"{path}: {_fault(path, str(error))}") from error


def _check_whole(group: h5py.Group) -> None:
    """Refuse a file that takes parts of itself from other files: its digest would not be that of the data."""
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise CohortUnreadable(
                f"{group.file.filename}: {group.name.rstrip('/')}/{name} is a link into another file; write the data "
                "into one file with anndata"
            )
        if not isinstance(link, h5py.HardLink):
            continue  # a link within the file leads to what is checked where it lies
        member = group[name]
        if isinstance(member, h5py.Group):
            _check_whole(member)
        elif isinstance(member, h5py.Dataset) and (member.is_virtual or member.external):
            raise CohortUnreadable(
                f"{group.file.filename}: {member.name} is stored in another file; write the data into one with anndata"
            )


def _fault(path: Path, message: str) -> str:
    """Put the HDF5 library's message into words."""
    if path.stat().st_size == 0:
        return "is empty, not an HDF5 file; wait until it is written, or copy it again"
    if "truncated file" in message:
        return "is cut short (a truncated HDF5 file); copy or download it again"
    if "file signature not found" in message:
        return another_format(path) or "is not an HDF5 file; give an .h5ad file written by anndata"
    if "unable to lock file" in message or "already open for write" in message:
        return "is open for writing elsewhere; wait until it is closed"
    return f"cannot be read ({message}); copy or write it again"
