"""Open a study's data, an h5ad file or a zarr store, for looking, with one clear error when they cannot be read."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from stagewright.stages.cohort.open_h5ad import open_h5ad
from stagewright.stages.cohort.open_zarr import open_zarr
from stagewright.stages.cohort.store import Store
from stagewright.stages.cohort.unreadable import CohortUnreadable

__all__ = ["open_data"]


@contextmanager
def open_data(path: Path) -> Generator[Store]:
    """Open an h5ad file, or a folder as a zarr store, read-only.

    Raises
    ------
    CohortUnreadable
        There is nothing at the path, it may not be read, is damaged or of another format: the text says what to do. A
        read error inside the `with` block (a damaged part) is turned into it, too.
    """
    if not path.exists():
        raise CohortUnreadable(f"{path}: no such file; give the path of an .h5ad file or a .zarr store")
    if path.is_dir():
        with open_zarr(path) as store:
            yield store
        return
    if not path.is_file():
        raise CohortUnreadable(f"{path}: is no regular file (a pipe or a device); give the path of an .h5ad file")
    with open_h5ad(path) as file:
        yield file
