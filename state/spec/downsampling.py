"""Downsampling of the abundant cells before a classifier is fitted: `classifier.downsampling` of the goal spec.

Written as a list of variants, each a word or a mapping: ``[none, {method: random, ratio_threshold: 10}]``.
"""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from stagewright.state.spec.preprocess import number_in_name, word_in_name
from stagewright.state.spec.strict import Level, Name, Strict

__all__ = ["Downsampling", "NoDownsampling", "RandomDownsampling"]

Ratio = Annotated[float, Field(ge=1, le=1e6)]
CellsOfType = Annotated[int, Field(ge=0, le=10**6)]


class NoDownsampling(Strict):
    """Every cell is kept."""

    method: Literal["none"]

    @property
    def tag(self) -> str:
        """The name of this variant in paths and tables."""
        return "none"


class RandomDownsampling(Strict):
    """Random draws of the abundant cells within each cell type, more of them where malignant cells are few.

    Attributes
    ----------
    source, source_level
        The role under `data.columns` whose column tells where a cell comes from, and the level whose cells are the
        abundant ones. When the spec declares no such role, the abundant cells are those of the label's negative class.
    strata
        The role under `data.columns` of the cell types. When the spec declares none, all cells are one stratum.
    ratio_threshold
        Abundant to other cells: up to this ratio all are kept, above it they are drawn down to it.
    min_cells_per_type
        As many of each cell type stay, if it has them.
    fraction_without_others
        Share of the abundant cells that is kept where there are no other cells, so that no ratio exists.
    few_malignant
        With at least 2 and fewer than this many malignant cells the policy for few malignant cells holds.
    few_min_cells_per_type
        Takes the place of `min_cells_per_type` under that policy.
    few_severe_ratio, few_ratio_threshold
        When, under that policy, more than `few_severe_ratio` abundant cells are left for each other cell, they are
        drawn again, down to `few_ratio_threshold`.
    seed
        Of the draws.
    """

    method: Literal["random"]
    source: Name = "source"
    source_level: Level = "donor"
    strata: Name = "cell_type"
    ratio_threshold: Ratio = 10.0
    min_cells_per_type: CellsOfType = 20
    fraction_without_others: Annotated[float, Field(gt=0, le=1)] = 0.7
    few_malignant: Annotated[int, Field(ge=2, le=10**6)] = 10
    few_min_cells_per_type: CellsOfType = 5
    few_severe_ratio: Ratio = 20.0
    few_ratio_threshold: Ratio = 5.0
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42

    @model_validator(mode="after")
    def _second_pass_is_stronger(self) -> Self:
        if self.few_ratio_threshold > self.ratio_threshold:
            raise ValueError("few_ratio_threshold must not be above ratio_threshold: the second pass draws fewer cells")
        return self

    @property
    def tag(self) -> str:
        """The name of this variant in paths and tables: `random`, and whatever differs from the defaults."""
        said = []
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if name != "method" and value != field.default:
                shown = number_in_name(value) if isinstance(value, int | float) else word_in_name(value)
                said.append(f"{name}_{shown}")
        return "_".join(["random", *said])


def _as_mapping(value: object) -> object:
    """Read the plain word `none` or `random` as a mapping with that method."""
    return {"method": value} if value in ("none", "random") else value


Downsampling = Annotated[
    NoDownsampling | RandomDownsampling,
    Field(discriminator="method"),
    BeforeValidator(_as_mapping),
]
