"""What a process computes with: the same facts on two machines give the same results."""

import hashlib
import platform
import socket
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from threadpoolctl import threadpool_info

__all__ = ["different", "host_facts", "must_be_equal"]

ROOMS = Path(__file__).parents[2]
PACKAGES = ("numpy", "scipy", "numba", "scikit-learn", "pandas", "scanpy", "scikit-misc")


@lru_cache
def must_be_equal() -> Mapping[str, str]:
    """Return the versions of Python and the numerical packages, and the digest of our own code."""
    digest = hashlib.sha256()
    for room in ("stages", "state"):
        for path in sorted((ROOMS / room).rglob("*.py")):
            digest.update(f"{path.relative_to(ROOMS).as_posix()}\n".encode() + path.read_bytes())
    facts = {"python": ".".join(platform.python_version_tuple()[:2]), "stagewright code": digest.hexdigest()[:12]}
    return facts | {package: _installed(package) for package in PACKAGES}


def different(wanted: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Return in words what differs, e.g. ``numpy 2.3.0 there, 2.4.1 here``; empty when nothing does."""
    return "; ".join(
        f"{name} {found.get(name, 'none')} there, {wanted.get(name, 'none')} here"
        for name in dict.fromkeys([*wanted, *found])
        if wanted.get(name) != found.get(name)
    )


def host_facts() -> tuple[str, str]:
    """Return the name of this machine, and the kernels that its linear algebra chose for the processor."""
    import numpy  # noqa: F401, PLC0415, ICN001 - loads the library that is asked about

    kernels = {str(pool.get("architecture", "unknown")) for pool in threadpool_info() if pool["user_api"] == "blas"}
    return socket.gethostname(), ", ".join(sorted(kernels)) or "unknown"


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
