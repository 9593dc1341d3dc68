"""The limits that a worker puts on itself, and on all that it starts, before it begins.

The supervisor measures the tree several times a second; these hold in between, and hold when it cannot look.
"""

import sys

__all__ = ["limit_myself"]

HEADROOM_BYTES = 1 << 30
"""Thread stacks and the allocator's reserves count as data and are never used whole."""


def limit_myself(memory_bytes: int) -> None:
    """Write no core file, and let an allocation far beyond the memory limit fail where it is asked for.

    Parameters
    ----------
    memory_bytes
        What the whole process tree may use; one process may not ask for more than that and a reserve.
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - only where there is one

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    wanted = memory_bytes + HEADROOM_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
