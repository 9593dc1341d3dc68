"""Which software a run computes with: the versions of its packages, and a digest of our own code.

Versions are read from the packages' metadata; none of them is imported. An installed wheel knows no commit, so the
digest is what tells one state of the product's code from another.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["own_code_digest", "package_versions"]

PACKAGES = (
    "stagewright",
    "anndata",
    "h5py",
    "llvmlite",
    "mcp",
    "numba",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "scanpy",
    "scikit-learn",
    "scikit-misc",
    "scipy",
    "threadpoolctl",
)
"""What every run needs."""

EXTRAS = ("cnmf", "dask", "distributed", "harmonypy", "scvi-tools", "torch", "zarr")
"""What only some methods, executors or data files need; named where they are installed."""

ROOMS = Path(__file__).parents[1]
OURS = ("server", "tools", "stages", "gates", "state")


def package_versions() -> Mapping[str, str | None]:
    """Return the version of each package that bears on the numbers; None for a required one that is not installed."""
    extras = {name: found for name in EXTRAS if (found := _version(name)) is not None}
    return {name: _version(name) for name in PACKAGES} | extras


@cache
def own_code_digest() -> str:
    """Return the sha256 over the names and contents of all Python files of this installation of the product.

    Computed once in a process: the code that was loaded is the code that runs, whatever happens to its files.
    """
    digest = hashlib.sha256()
    for room in OURS:
        for path in sorted((ROOMS / room).rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(ROOMS).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
