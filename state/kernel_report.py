"""What became of the compiled kernels when they were warmed."""

from stagewright.state.records import Record

__all__ = ["KernelReport", "WarmRequest"]


class WarmRequest(Record):
    """Asks for every kernel; there is nothing to choose."""


class KernelReport(Record):
    """The kernels of this installation.

    Attributes
    ----------
    loaded, compiled
        Functions that were in the cache, and those that had to be compiled and are there now.
    folders
        Where the cache lies: beside the code where that can be written, else under the user's cache folder, or in
        NUMBA_CACHE_DIR.
    elapsed_s
        How long it took, the import of numba included.
    """

    loaded: int
    compiled: int
    folders: tuple[str, ...]
    elapsed_s: float
