"""Preprocess grid: which genes a study looks at, one way an entry. An entry's tag names it in paths and tables."""

import zlib
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stagewright.state.spec.strict import Name, Strict, Text

__all__ = [
    "AllFiltered",
    "DegWeakScreen",
    "GeneList",
    "Hvg",
    "Hybrid",
    "NoiseFilter",
    "Preprocess",
    "TwoStage",
    "check_tags",
    "number_in_name",
    "word_in_name",
]

Fraction = Annotated[float, Field(gt=0, le=1)]
Genes = Annotated[int, Field(ge=2, le=200_000)]


def number_in_name(value: float) -> str:
    """Return a number as part of a name, e.g. ``0p05``."""
    return repr(float(value)).removesuffix(".0").replace(".", "p").replace("-", "m").replace("+", "")


def word_in_name(text: str) -> str:
    """Return a text as part of a name; what the name cannot hold is told apart by a short digest."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in text)
    return plain if plain == text else f"{plain}_{zlib.crc32(text.encode()):08x}"


def _within(column: str | None) -> str:
    return "" if column is None else f"_within_{word_in_name(column)}"


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
        return f"hvg_{self.n_top_genes}" + ("" if self.batch is None else f"_by_{word_in_name(self.batch)}")


class NoiseFilter(Strict):
    """Genes to drop for a high variance at a low mean: above a percentile of the one and below a quantile of the other.

    Both are measured on the counts, over the genes that are kept so far.
    """

    variance_percentile: Annotated[float, Field(gt=0, lt=100)] = 99.5
    mean_quantile: Annotated[float, Field(gt=0, lt=1)] = 0.1


class AllFiltered(Strict):
    """Every gene detected in enough cells; on request also genes enriched in positive cells (then supervised).

    Noisy genes are dropped where `noise_filter` says so.
    """

    method: Literal["all_filtered"]
    min_cells_fraction: Fraction = 0.01
    enrichment_ratio: Annotated[float, Field(gt=1)] | None = None
    noise_filter: NoiseFilter | None = None

    @property
    def supervised(self) -> bool:
        """Whether the label takes part in the choice of genes."""
        return self.enrichment_ratio is not None

    @property
    def tag(self) -> str:
        """The name of this preprocessing in paths and tables."""
        rescue = "" if self.enrichment_ratio is None else f"_er{number_in_name(self.enrichment_ratio)}"
        noise = ""
        if self.noise_filter is not None:
            bounds = (self.noise_filter.variance_percentile, self.noise_filter.mean_quantile)
            noise = "_noise" + "_".join(map(number_in_name, bounds))
        return f"all_filtered_{number_in_name(self.min_cells_fraction)}{rescue}{noise}"


class DegWeakScreen(Strict):
    """Genes with a weak difference between the classes (supervised).

    Attributes
    ----------
    p, lfc
        A gene passes with a smaller adjusted p of the Wilcoxon test and a larger absolute log2 fold change.
    min_genes
        When fewer pass, the genes with the largest absolute scores fill up.
    within
        An obs column (for example of patients): cells are compared within each of its levels only. None: all cells.
    """

    method: Literal["deg_weak_screen"]
    p: Fraction = 0.1
    lfc: Annotated[float, Field(ge=0)] = 0.05
    min_genes: Genes = 500
    within: Name | None = None

    @property
    def supervised(self) -> bool:
        """Whether the label takes part in the choice of genes."""
        return True

    @property
    def tag(self) -> str:
        """The name of this preprocessing in paths and tables."""
        thresholds = f"p{number_in_name(self.p)}_lfc{number_in_name(self.lfc)}"
        return f"deg_weak_screen_{thresholds}_min{self.min_genes}{_within(self.within)}"


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
        rescue = f"{number_in_name(self.min_cells_fraction)}_er{number_in_name(self.enrichment_ratio)}"
        return f"hybrid_{self.n_top_genes}_{rescue}"


class TwoStage(Strict):
    """An unsupervised prefilter, then a supervised top-up (Wilcoxon) to `n_top_genes`.

    Attributes
    ----------
    min_cells_fraction
        Genes detected in fewer cells are no candidates.
    n_hvg
        As many of the candidates are taken for their variability, without the label; the top-up is the rest. None:
        all are chosen by the label.
    within
        As for `deg_weak_screen`.
    """

    method: Literal["two_stage"]
    min_cells_fraction: Fraction = 0.01
    n_top_genes: Genes = 3000
    n_hvg: Genes | None = None
    within: Name | None = None

    @model_validator(mode="after")
    def _room_for_a_top_up(self) -> Self:
        if self.n_hvg is not None and self.n_hvg >= self.n_top_genes:
            raise ValueError("n_hvg must be below n_top_genes, so that there is room for a top-up")
        return self

    @property
    def supervised(self) -> bool:
        """Whether the label takes part in the choice of genes."""
        return True

    @property
    def tag(self) -> str:
        """The name of this preprocessing in paths and tables."""
        unsupervised = "" if self.n_hvg is None else f"_hvg{self.n_hvg}"
        genes = f"{number_in_name(self.min_cells_fraction)}_{self.n_top_genes}"
        return f"two_stage_{genes}{unsupervised}{_within(self.within)}"


class GeneList(Strict):
    """The genes of a GMT file's sets.

    Attributes
    ----------
    path
        Of the file, taken from the folder of the spec like `data.path`. Its content is sealed when the run is planned.
    sets
        Names of the sets to take; None is all of them.
    """

    method: Literal["gene_list"]
    path: Annotated[str, Field(min_length=1, max_length=4096)]
    sets: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None

    @property
    def supervised(self) -> bool:
        """Whether the label takes part in the choice of genes."""
        return False

    @property
    def tag(self) -> str:
        """The name of this preprocessing in paths and tables."""
        return "gene_list_" + word_in_name(" ".join([self.path, *(self.sets or ())]))


Preprocess = Annotated[
    Hvg | AllFiltered | DegWeakScreen | Hybrid | TwoStage | GeneList,
    Field(discriminator="method"),
]


def check_tags(preprocess: tuple[Preprocess, ...]) -> None:
    """Raise `ValueError` when two entries would write to the same places."""
    tags = [entry.tag for entry in preprocess]
    if len(set(tags)) != len(tags):
        raise ValueError(f"two entries would share one name ({', '.join(tags)}); change or drop one of them")
