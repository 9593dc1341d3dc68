"""Packages that only some methods need: whether they are there, and what to do when they are not."""

from importlib.util import find_spec

from stagewright.stages.reduction.catalogue import METHODS

__all__ = ["missing_package", "require_package"]


def missing_package(method: str) -> str | None:
    """Return what to say when the package of a built-in method is not installed; None when nothing is missing."""
    entry = METHODS.get(method)
    if entry is None or not entry.package or find_spec(entry.package) is not None:
        return None
    return (
        f"{method} needs the package {entry.package}, which is not installed; install it by "
        f"pip install 'stagewright[{entry.extra}]', or leave {method} out"
    )


def require_package(method: str) -> None:
    """Check that the package of a method is there.

    Raises
    ------
    ModuleNotFoundError
        It is not; the text names the extra that brings it.
    """
    missing = missing_package(method)
    if missing is not None:
        package = METHODS[method].package
        raise ModuleNotFoundError(f"No module named '{package}': {missing}", name=package)
