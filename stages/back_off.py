"""Wait between two attempts in a way that a stop ends at once."""

import random
import time
from collections.abc import Callable

__all__ = ["wait_until_stopped", "with_jitter"]

POLL_S = 0.05
JITTER = 0.5


def with_jitter(wait_s: float) -> float:
    """Return a wait lengthened by up to half of it: many runs that failed together do not come back together."""
    return wait_s * (1 + random.uniform(0, JITTER))  # noqa: S311 - no secret, and no result depends on it


def wait_until_stopped(stopped: Callable[[], bool], wait_s: float) -> bool:
    """Wait, and return early with True when the run is stopped.

    Parameters
    ----------
    wait_s
        In seconds.
    """
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        if stopped():
            return True
        time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))
    return stopped()
