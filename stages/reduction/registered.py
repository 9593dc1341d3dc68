"""Reduction methods that other packages register, as entry points of the group `stagewright.reductions`.

In the package's pyproject.toml::

    [project.entry-points."stagewright.reductions"]
    ica = "my_package.ica:ICA"

The value is an object, or a class without arguments, with what `RegisteredMethod` says. Its name in the goal spec is
the entry point's name. The server asks for names only: nothing numerical is imported here, and arrays have no types.
"""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Protocol, cast, runtime_checkable

from pydantic import JsonValue

from stagewright.state.registered import Registered

__all__ = ["RegisteredMethod", "load_registered", "package_of", "registered_names"]

REDUCTIONS = Registered("stagewright.reductions", "reduction", ("name", "title", "signed", "seed_invariant", "fit"))
EXTRAS = MappingProxyType({"harmony": ("harmonypy",), "scvi": ("scvi-tools", "torch")})
"""Packages of our own extras that do the fitting."""


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
    return REDUCTIONS.names()


def package_of(name: str) -> str:
    """Return the package that does the fits of a method that is not ours alone, with its version, e.g. ``ica 1.2``.

    A result that it gave is used again for the same version only: whoever changes a method under one version deletes
    the run's `unit_cache`.
    """
    if name in EXTRAS:
        return ", ".join(f"{package} {_version(package)}" for package in EXTRAS[name])
    return REDUCTIONS.versions(name)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is not installed"


def load_registered(name: str) -> RegisteredMethod:
    """Load a registered method.

    Raises
    ------
    PackageUnusable
        It is not registered, registered by two packages, cannot be imported, or lacks something.
    """
    method = cast("RegisteredMethod", REDUCTIONS.load(name))
    if method.name != name:
        raise REDUCTIONS.unusable(name, f"calls itself {method.name!r}; the two names have to be the same")
    return method
