"""Open a zarr store that anndata wrote, for looking, with one clear error when it cannot be read."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from stagewright.stages.cohort.store import Store, check_members
from stagewright.stages.cohort.unreadable import CohortUnreadable

__all__ = ["open_zarr"]

MARKS = (".zgroup", "zarr.json")
"""The file that a zarr store starts with, of format 2 and of format 3."""


@contextmanager
def open_zarr(path: Path) -> Generator[Store]:
    """Open a folder read-only as a zarr store.

    Raises
    ------
    CohortUnreadable
        The folder is no zarr store, takes parts of itself from elsewhere, is no AnnData, or a read error came up inside
        the `with` block.
    """
    if not any((path / mark).is_file() for mark in MARKS):
        raise CohortUnreadable(
            f"{path}: is a folder and no zarr store; give an .h5ad file, or a .zarr folder written by anndata"
        )
    linked = next((part for part in path.rglob("*") if part.is_symlink()), None)
    if linked is not None:  # its digest would not be that of the data
        raise CohortUnreadable(
            f"{linked}: is a link; a zarr store must hold its parts itself, so copy it with its data"
        )
    import zarr.errors  # noqa: PLC0415 - half a second, and only a zarr store needs it

    try:
        group = zarr.open_group(path, mode="r")
        check_members(group, str(path))
        yield group
    except CohortUnreadable:
        raise
    except PermissionError as error:
        raise CohortUnreadable(f"{path}: may not be read; change its permissions") from error
    except (OSError, RuntimeError, zarr.errors.BaseZarrError) as error:
        raise CohortUnreadable(f"{path}: cannot be read ({error}); copy or write it again") from error
