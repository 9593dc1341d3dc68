"""Whether a data file is still the one that was sealed at planning. Light to import."""

from pathlib import Path

from stagewright.stages.cohort.unreadable import CohortUnreadable
from stagewright.state.canonical import digest_file
from stagewright.state.records import SealedData

__all__ = ["check_sealed"]


def check_sealed(data: SealedData) -> None:
    """Compare a data file, every byte of it, with its seal.

    Raises
    ------
    CohortUnreadable
        The file is gone, or is another one.
    """
    path = Path(data.path)
    if not path.is_file():
        raise CohortUnreadable(f"{path}: the data file that was sealed at planning is gone; put it back")
    if path.stat().st_size != data.bytes or digest_file(path) != data.sha256:
        raise CohortUnreadable(f"{path}: is not the file that was sealed at planning (its sha256 differs); put it back")
