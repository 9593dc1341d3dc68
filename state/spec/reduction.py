"""Dimension-reduction grid: methods, numbers of components K, seeds, settings of each method, what K is judged by.

The name of a method is open: a package may register one (entry points `stagewright.reductions`). Which names there are
is asked when a run is planned, by the stages' catalogue.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from stagewright.state.spec.reduction_settings import Cnmf, FactorAnalysis, Harmony, Nmf, Scvi
from stagewright.state.spec.strict import Strict, check_distinct

__all__ = [
    "LINEAR",
    "NON_NEGATIVE",
    "SEED_INVARIANT",
    "WITHOUT_TRANSFORM",
    "HeldOut",
    "Ks",
    "Method",
    "Reduction",
    "Replicates",
]

Method = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
"""Name of a method; it is part of file and metric names."""

NON_NEGATIVE: frozenset[Method] = frozenset({"nmf", "cnmf"})
"""Methods that factorise values without a sign."""
LINEAR: frozenset[Method] = frozenset({"pca", "fa"}) | NON_NEGATIVE
"""Methods with a linear model of the genes: they predict held-out genes from others."""
WITHOUT_TRANSFORM: frozenset[Method] = frozenset({"scvi", "harmony"})
"""Methods whose embedding is of the cells that they were fitted on and no others."""
SEED_INVARIANT: frozenset[Method] = frozenset({"pca"})
"""Methods that give the same result for every seed: fitted once for each K, and without a seed stability."""

Replicates = Literal["seed", "bootstrap_cells", "bootstrap_patients"]
"""What differs between the replicates of Plan 0, which the seeds number."""

Ks = Annotated[tuple[Annotated[int, Field(ge=2, le=1000)], ...], Field(min_length=1, max_length=50)]


class HeldOut(Strict):
    """Which cells are held out of one more fit of each method and K, to be predicted by it.

    Attributes
    ----------
    fraction
        Share of each patient's cells.
    seed
        Draws the cells, and the half of the genes that predicts the other.
    """

    fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.2
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1


class Reduction(Strict):
    """Methods, numbers of components K, seeds, rotations and settings.

    Attributes
    ----------
    k
        One list, or a list for each method.
    seed_invariant
        Registered methods that give the same result for every seed, as pca does.
    settings
        What a registered method is given, by its name.
    replicates
        Under ``seed``, replicate s of Plan 0 is the fit with seed s. Under ``bootstrap_cells`` and
        ``bootstrap_patients`` it is the fit, with the first seed, of bootstrap sample number s: of cells within each
        patient, or of whole patients.
    held_out
        False leaves the held-out figures out.
    """

    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = ("pca", "fa", "nmf")
    k: Ks | dict[Method, Ks] = (20, 40, 60)
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(min_length=1, max_length=100)] = (1, 2, 3)
    rotation: dict[Method, Literal["none", "varimax", "promax"]] = Field(default_factory=dict)
    nmf: Nmf = Nmf()
    fa: FactorAnalysis = FactorAnalysis()
    cnmf: Cnmf = Cnmf()
    harmony: Harmony = Harmony()
    scvi: Scvi = Scvi()
    seed_invariant: tuple[Method, ...] = ()
    settings: dict[Method, dict[str, JsonValue]] = Field(default_factory=dict)
    replicates: Replicates = "seed"
    held_out: HeldOut | Literal[False] = HeldOut()

    @field_validator("methods", "seeds")
    @classmethod
    def _each_once(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        check_distinct(values, "entry")
        return values

    @field_validator("k")
    @classmethod
    def _ascending(cls, k: Ks | dict[Method, Ks]) -> Ks | dict[Method, Ks]:
        if isinstance(k, dict):
            return {method: tuple(sorted(set(values))) for method, values in k.items()}
        return tuple(sorted(set(k)))

    @model_validator(mode="after")
    def _k_for_each_method(self) -> Self:
        if isinstance(self.k, dict):
            missing = [method for method in self.methods if method not in self.k]
            if missing:
                raise ValueError(f"k names no list for {', '.join(missing)}; give one for each method, or one for all")
        if any(kind != "none" for method, kind in self.rotation.items() if method != "fa"):
            raise ValueError("only fa can be rotated: write rotation: {fa: varimax}")
        return self

    def ks(self, method: Method) -> tuple[int, ...]:
        """Return the K list of one method, ascending."""
        return self.k[method] if isinstance(self.k, dict) else self.k

    def settings_of(self, method: Method) -> dict[str, JsonValue]:
        """Return what is set of one method, every default filled in."""
        own = getattr(self, method, None) if method in ("nmf", "fa", "cnmf", "harmony", "scvi") else None
        return own.model_dump(mode="json") if isinstance(own, Strict) else dict(self.settings.get(method, {}))
