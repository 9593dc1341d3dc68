"""Reduction methods that other packages register, as entry points of the group `stagewright.reductions`.

In the package's pyproject.toml::

    [project.entry-points."stagewright.reductions"]
    ica = "my_package.ica:ICA"

The value is an object, or a class without arguments, with what `RegisteredMethod` says. Its name in the goal spec is
the entry point's name. The server asks for names only: nothing numerical is imported here, and arrays have no types.
"""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from types import MappingProxyType
from typing import Protocol, cast, runtime_checkable

from pydantic import JsonValue

__all__ = ["GROUP", "MethodUnusable", "RegisteredMethod", "load_registered", "package_of", "registered_names"]

GROUP = "stagewright.reductions"
EXTRAS = MappingProxyType({"harmony": ("harmonypy",), "scvi": ("scvi-tools", "torch")})
"""Packages of our own extras that do the fitting."""


class MethodUnusable(ImportError):  # noqa: N818 - names the state of the method, as Refusal names the reply
    """A registered method cannot be loaded or does not keep to the protocol; the text names its package."""


@runtime_checkable
class RegisteredMethod(Protocol):
    """What a registered method has.

    Attributes
    ----------
    name
        The entry point's name.
    title
        Name in reports.
    signed
        True when a component may as well be its own negative.
    seed_invariant
        Whether every seed gives the same result. The goal spec has to name such a method in
        `reduction.seed_invariant`, or it is fitted once for each seed.
    """

    name: str
    title: str
    signed: bool
    seed_invariant: bool

    def fit(self, view: object, k: int, seed: int, settings: Mapping[str, JsonValue]) -> object:
        """Fit k components.

        Parameters
        ----------
        view
            The standardised matrix, a `stages.reduction.view.View`.
        settings
            From `reduction.settings.<name>` of the goal spec.

        Returns
        -------
        object
            A `stages.reduction.reduction.Reduction`: float32 `scores` (n_cells, k) and `loadings` (n_genes, k), finite,
            with the extras that it asks for. A method of its own `transform(reduction, x)` may score other cells.
        """
        ...


def registered_names() -> list[str]:
    """Return the names of the registered methods, without loading any."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def package_of(name: str) -> str:
    """Return the package that does the fits of a method that is not ours alone, with its version, e.g. ``ica 1.2``.

    A result that it gave is used again for the same version only: whoever changes a method under one version deletes
    the run's `unit_cache`.
    """
    if name in EXTRAS:
        return ", ".join(f"{package} {_version(package)}" for package in EXTRAS[name])
    points = [*entry_points(group=GROUP, name=name)]
    known = [point.dist for point in points if point.dist is not None]
    return ", ".join(sorted(f"{dist.name} {dist.version}" for dist in known)) or "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is not installed"


def load_registered(name: str) -> RegisteredMethod:
    """Load a registered method.

    Raises
    ------
    MethodUnusable
        It is not registered, registered twice, cannot be imported, or lacks something.
    """
    points = [*entry_points(group=GROUP, name=name)]
    if not points:
        raise MethodUnusable(f"No package registers a reduction {name!r}; registered: {registered_names() or 'none'}.")
    packages = sorted({_package(point) for point in points})
    if len(packages) > 1:
        raise MethodUnusable(f"The packages {', '.join(packages)} all register a reduction {name!r}; keep one of them.")
    try:
        loaded = points[0].load()
        method = loaded() if isinstance(loaded, type) else loaded
    except Exception as error:
        raise MethodUnusable(
            f"The reduction {name!r} of the package {packages[0]} cannot be loaded ({type(error).__name__}: {error}); "
            f"repair or remove the package, or leave {name} out."
        ) from error
    lacking = [one for one in ("name", "title", "signed", "seed_invariant", "fit") if not hasattr(method, one)]
    if lacking:
        raise MethodUnusable(f"The reduction {name!r} of the package {packages[0]} lacks {', '.join(lacking)}.")
    if method.name != name:
        raise MethodUnusable(
            f"The package {packages[0]} registers the reduction {method.name!r} under another name, {name!r}."
        )
    return cast("RegisteredMethod", method)


def _package(point: EntryPoint) -> str:
    return point.value if point.dist is None else point.dist.name
