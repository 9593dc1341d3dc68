"""The grids of a study: preprocessing, dimension reduction with its K list, classification."""

import math
import zlib
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from stagewright.state.spec.strict import Name, Strict, Text

__all__ = [
    "SEED_INVARIANT",
    "AllFiltered",
    "Classifier",
    "CrossValidation",
    "DegWeakScreen",
    "GeneList",
    "Hvg",
    "Hybrid",
    "Logspace",
    "Method",
    "Preprocess",
    "Reduction",
    "TwoStage",
    "check_tags",
]

Method = Literal["pca", "fa", "nmf", "cnmf", "scvi", "harmony"]

SEED_INVARIANT: frozenset[Method] = frozenset({"pca"})
"""Methods that give the same result for every seed: fitted once for each K, and without a seed stability."""

Fraction = Annotated[float, Field(gt=0, le=1)]
Genes = Annotated[int, Field(ge=2, le=200_000)]


def _number_in_name(value: float) -> str:
    return repr(float(value)).removesuffix(".0").replace(".", "p").replace("-", "m").replace("+", "")


def _word_in_name(text: str) -> str:
    """Return a text as part of a name; what the name cannot hold is told apart by a short digest."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in text)
    return plain if plain == text else f"{plain}_{zlib.crc32(text.encode()):08x}"


class Hvg(Strict):
    """The most variable genes by the seurat_v3 rule on counts."""

    method: Literal["hvg"]
    n_top_genes: Genes = 3000
    batch: Name | None = None

    @property
    def supervised(self) -> bool:
        """Whether the label takes part in the choice of genes."""
        return False

    @property
    def tag(self) -> str:
        """The name of this preprocessing in paths and tables."""
        return f"hvg_{self.n_top_genes}" + ("" if self.batch is None else f"_by_{_word_in_name(self.batch)}")


class AllFiltered(Strict):
    """Every gene detected in enough cells; on request also genes enriched in positive cells (then supervised)."""

    method: Literal["all_filtered"]
    min_cells_fraction: Fraction = 0.01
    enrichment_ratio: Annotated[float, Field(gt=1)] | None = None

    @property
    def supervised(self) -> bool:
        """Whether the label takes part in the choice of genes."""
        return self.enrichment_ratio is not None

    @property
    def tag(self) -> str:
        """The name of this preprocessing in paths and tables."""
        rescue = "" if self.enrichment_ratio is None else f"_er{_number_in_name(self.enrichment_ratio)}"
        return f"all_filtered_{_number_in_name(self.min_cells_fraction)}{rescue}"


class DegWeakScreen(Strict):
    """Genes with a weak difference between the classes (supervised)."""

    method: Literal["deg_weak_screen"]
    p: Fraction = 0.1
    lfc: Annotated[float, Field(ge=0)] = 0.05
    min_genes: Genes = 500

    @property
    def supervised(self) -> bool:
        """Whether the label takes part in the choice of genes."""
        return True

    @property
    def tag(self) -> str:
        """The name of this preprocessing in paths and tables."""
        thresholds = f"p{_number_in_name(self.p)}_lfc{_number_in_name(self.lfc)}"
        return f"deg_weak_screen_{thresholds}_min{self.min_genes}"


class Hybrid(Strict):
    """Highly variable genes and the genes that all_filtered's enrichment rescues."""

    method: Literal["hybrid"]
    n_top_genes: Genes = 3000
    min_cells_fraction: Fraction = 0.01
    enrichment_ratio: Annotated[float, Field(gt=1)] = 20.0

    @property
    def supervised(self) -> bool:
        """Whether the label takes part in the choice of genes."""
        return True

    @property
    def tag(self) -> str:
        """The name of this preprocessing in paths and tables."""
        rescue = f"{_number_in_name(self.min_cells_fraction)}_er{_number_in_name(self.enrichment_ratio)}"
        return f"hybrid_{self.n_top_genes}_{rescue}"


class TwoStage(Strict):
    """An unsupervised prefilter, then a supervised top-up."""

    method: Literal["two_stage"]
    min_cells_fraction: Fraction = 0.01
    n_top_genes: Genes = 3000

    @property
    def supervised(self) -> bool:
        """Whether the label takes part in the choice of genes."""
        return True

    @property
    def tag(self) -> str:
        """The name of this preprocessing in paths and tables."""
        return f"two_stage_{_number_in_name(self.min_cells_fraction)}_{self.n_top_genes}"


class GeneList(Strict):
    """The genes of a GMT file's sets."""

    method: Literal["gene_list"]
    path: Text
    sets: tuple[Text, ...] | None = None

    @property
    def supervised(self) -> bool:
        """Whether the label takes part in the choice of genes."""
        return False

    @property
    def tag(self) -> str:
        """The name of this preprocessing in paths and tables."""
        return "gene_list_" + _word_in_name(" ".join([self.path, *(self.sets or ())]))


Preprocess = Annotated[
    Hvg | AllFiltered | DegWeakScreen | Hybrid | TwoStage | GeneList,
    Field(discriminator="method"),
]


def check_tags(preprocess: tuple[Preprocess, ...]) -> None:
    """Raise `ValueError` when two entries would write to the same places."""
    tags = [entry.tag for entry in preprocess]
    if len(set(tags)) != len(tags):
        raise ValueError(f"two entries would share one name ({', '.join(tags)}); change or drop one of them")


def _distinct(values: tuple[object, ...], what: str) -> None:
    if len(set(values)) != len(values):
        raise ValueError(f"each {what} may be named once")


Ks = Annotated[tuple[Annotated[int, Field(ge=2, le=1000)], ...], Field(min_length=1, max_length=50)]


class Reduction(Strict):
    """Methods, numbers of components K, seeds and rotations. `k` is one list, or a list for each method."""

    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = ("pca", "fa", "nmf")
    k: Ks | dict[Method, Ks] = (20, 40, 60)
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(min_length=1, max_length=100)] = (1, 2, 3)
    rotation: dict[Method, Literal["none", "varimax", "promax"]] = Field(default_factory=dict)

    @field_validator("methods", "seeds")
    @classmethod
    def _each_once(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        _distinct(values, "entry")
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


class Logspace(Strict):
    """`num` penalty strengths from 10**start to 10**stop, both included, evenly spaced in the exponent."""

    logspace: Annotated[tuple[float, float, int], Field()]

    @field_validator("logspace")
    @classmethod
    def _ordered(cls, value: tuple[float, float, int]) -> tuple[float, float, int]:
        start, stop, count = value
        if not (-12 <= start < stop <= 12 and 2 <= count <= 200):  # noqa: PLR2004 - the bounds are in the message
            raise ValueError("write logspace: [start, stop, count] with -12 <= start < stop <= 12, 2 <= count <= 200")
        return value

    def values(self) -> tuple[float, ...]:
        """Return the strengths, ascending."""
        start, stop, count = self.logspace
        return tuple(10 ** (start + (stop - start) * index / (count - 1)) for index in range(count))


def _alphas(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Alphas = Annotated[
    Logspace | Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1, max_length=200)],
    BeforeValidator(_alphas),
]


class CrossValidation(Strict):
    """Repeated stratified cross-validation within each patient.

    `group` names the obs column whose cells stay together in one fold (`none`: cells are split one by one); `scope`
    says what is refitted inside each training fold: the `classifier` alone, or the whole `pipeline`.
    """

    folds: Annotated[int, Field(ge=2, le=50)] = 5
    repeats: Annotated[int, Field(ge=1, le=1000)] = 10
    group: Name = "none"
    scope: Literal["classifier", "pipeline"] = "classifier"


class Classifier(Strict):
    """Logistic regression with balanced weights and a free intercept, over a path of penalty strengths alpha = 1/C."""

    penalties: Annotated[tuple[Literal["l1", "l2", "elasticnet"], ...], Field(min_length=1)] = ("l1",)
    alphas: Alphas = Logspace(logspace=(-4, 5, 20))
    cv: CrossValidation = CrossValidation()

    @field_validator("penalties")
    @classmethod
    def _penalties_once(cls, penalties: tuple[str, ...]) -> tuple[str, ...]:
        _distinct(penalties, "penalty")
        return penalties

    @model_validator(mode="after")
    def _alphas_apart(self) -> Self:
        if len({f"{alpha:.6g}" for alpha in self.alpha_values()}) != len(self.alpha_values()):
            raise ValueError("alphas: two strengths agree in six digits, so their results could not be told apart")
        return self

    def alpha_values(self) -> tuple[float, ...]:
        """Return the penalty strengths, ascending."""
        values = self.alphas.values() if isinstance(self.alphas, Logspace) else self.alphas
        if not all(math.isfinite(value) for value in values):
            raise ValueError("alphas must be finite")
        return tuple(sorted(values))
