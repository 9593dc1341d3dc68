"""The reduction methods by name, and the units of work that a sweep over K and seeds consists of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from stagewright.stages.reduction.registered import load_registered, registered_names
from stagewright.state.spec.reduction import SEED_INVARIANT

__all__ = ["METHODS", "FitUnit", "MethodEntry", "known_methods", "method_entry", "plan_units"]


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """What is known of a method without loading it.

    Attributes
    ----------
    name
        Value in `reduction.methods` of the goal spec.
    title
        Name in reports.
    signed
        True when a component may as well be its own negative, so that comparisons ignore the sign.
    rotations
        Rotations that may be asked for.
    explained
        What `explained` is a share of.
    package, extra
        The optional package that it needs, and the extra of this project that brings it; empty when it needs none.
    """

    name: str
    title: str
    signed: bool
    explained: str
    rotations: tuple[str, ...] = ("none",)
    package: str = ""
    extra: str = ""

    @property
    def seed_invariant(self) -> bool:
        """Whether every seed gives the same result: such a fit runs once, and its seed stability means nothing."""
        return self.name in SEED_INVARIANT


METHODS: Mapping[str, MethodEntry] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            MethodEntry(
                "pca",
                "principal component analysis",
                signed=True,
                explained="total variance of the standardised genes",
            ),
            MethodEntry(
                "fa",
                "maximum-likelihood factor analysis",
                signed=True,
                rotations=("none", "varimax", "promax"),
                explained="total variance of the standardised genes, as communality",
            ),
            MethodEntry(
                "nmf",
                "non-negative matrix factorisation",
                signed=False,
                explained="sum of squares about zero of the variance-scaled genes",
            ),
            MethodEntry(
                "cnmf",
                "consensus non-negative matrix factorisation",
                signed=False,
                explained="sum of squares about zero of the variance-scaled genes",
            ),
            MethodEntry(
                "harmony",
                "principal components corrected for a batch by Harmony",
                signed=True,
                explained="total variance of the standardised genes, by the corrected scores",
                package="harmonypy",
                extra="harmony",
            ),
            MethodEntry(
                "scvi",
                "variational autoencoder of counts (scVI)",
                signed=True,
                explained="total variance of the standardised genes, by linear regression on the latent variables",
                package="scvi",
                extra="scvi",
            ),
        )
    }
)


def known_methods() -> list[str]:
    """Return the names of all methods: the built-in ones, and those that other packages register."""
    return [*METHODS, *(name for name in registered_names() if name not in METHODS)]


def method_entry(name: str) -> MethodEntry:
    """Return what is known of a method; one that is registered is loaded for it.

    Raises
    ------
    ImportError
        No such method is registered, or it cannot be loaded.
    """
    if name in METHODS:
        return METHODS[name]
    method = load_registered(name)
    return MethodEntry(name, method.title, signed=method.signed, explained="what the method says")


@dataclass(frozen=True, slots=True, order=True)
class FitUnit:
    """One fit: the smallest piece of a sweep that is cached and counted."""

    method: str
    k: int
    seed: int


def plan_units(methods: Iterable[str], k_by_method: Mapping[str, Sequence[int]], seeds: Sequence[int]) -> list[FitUnit]:
    """List the fits of a sweep of built-in methods; a seed-invariant method has one per K, under the first seed.

    Parameters
    ----------
    methods
        Names from `METHODS`.
    k_by_method
        The K values of each method.
    seeds
        At least one.

    Raises
    ------
    ValueError
        A method is unknown or has no K, or there is no seed.
    """
    if not seeds:
        raise ValueError("No seed is given; at least one is needed.")
    units: list[FitUnit] = []
    for method in methods:
        if method not in METHODS:
            raise ValueError(f"Unknown reduction method {method!r}; allowed are {', '.join(METHODS)}.")
        ks = sorted(set(k_by_method.get(method, ())))
        if not ks:
            raise ValueError(f"Method {method} has no K; give at least one.")
        used = seeds[:1] if METHODS[method].seed_invariant else tuple(dict.fromkeys(seeds))
        units.extend(FitUnit(method, k, seed) for k in ks for seed in used)
    return units
