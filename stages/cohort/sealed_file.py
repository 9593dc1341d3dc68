"""Whether the data are still those that were sealed at planning. Light to import."""

from pathlib import Path

from stagewright.stages.cohort.unreadable import CohortUnreadable
from stagewright.state.canonical import data_bytes, digest_data
from stagewright.state.records import SealedData

__all__ = ["check_sealed"]


def check_sealed(data: SealedData) -> None:
    """Compare a data file or a zarr store, every byte of it, with its seal.

    Raises
    ------
    CohortUnreadable
        The data are gone, or are others.
    """
    path = Path(data.path)
    if not (path.is_file() or path.is_dir()):
        raise CohortUnreadable(f"{path}: the data file that was sealed at planning is gone; put it back")
    if data_bytes(path) != data.bytes or digest_data(path) != data.sha256:
        raise CohortUnreadable(f"{path}: is not the file that was sealed at planning (its sha256 differs); put it back")
