"""Compare what is asked with the operator's caps."""

from stagewright.state.policy import Caps
from stagewright.state.units import format_bytes, format_seconds

__all__ = ["over_caps"]


def over_caps(
    caps: Caps,
    runtime: float | None,
    memory: int | None,
    retries: int | None,
    workers: int | None,
) -> list[str]:
    """Return a line for each limit that is asked above its cap; None asks for nothing.

    Parameters
    ----------
    runtime
        In seconds.
    memory
        In bytes.
    """
    over = []
    if runtime is not None and runtime > caps.runtime:
        over.append(f"runtime: {format_seconds(runtime)} asked, {format_seconds(caps.runtime)} allowed")
    if memory is not None and memory > caps.memory:
        over.append(f"memory: {format_bytes(memory)} asked, {format_bytes(caps.memory)} allowed")
    if retries is not None and retries > caps.retries:
        over.append(f"retries: {retries} asked, {caps.retries} allowed")
    if workers is not None and workers > caps.workers:
        over.append(f"workers: {workers} asked, {caps.workers} allowed")
    return over
