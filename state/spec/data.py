"""Data scope: which cells of which file, and what their obs columns mean."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from stagewright.state.spec.strict import Level, Name, Strict

__all__ = ["ColumnFilter", "DataScope", "Label", "Timepoint"]


class Label(Strict):
    """The obs column to predict. Cells with any other level than these two are left out of classification."""

    column: Name
    positive: Level
    negative: Level

    @model_validator(mode="after")
    def _two_classes(self) -> Self:
        if self.positive == self.negative:
            raise ValueError("positive and negative must be two different levels of the label column")
        return self


class Timepoint(Strict):
    """The obs column of time points, and those to keep."""

    column: Name
    keep: Annotated[tuple[Level, ...], Field(min_length=1)]


class ColumnFilter(Strict):
    """Keep only the cells whose obs column has one of these levels, or drop those that have."""

    column: Name
    keep: Annotated[tuple[Level, ...], Field(min_length=1)] | None = None
    drop: Annotated[tuple[Level, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.keep is None) == (self.drop is None):
            raise ValueError("write either keep: [...] or drop: [...]")
        return self


class DataScope(Strict):
    """One AnnData file and the cells of it that the study looks at.

    `columns` names further obs columns that are carried into the results, for people and for gates. No obs column is
    ever a feature: stages load the columns that are named here and no others.
    """

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    counts: Annotated[str, Field(pattern=r"^(X|raw|layers/.+)$")] = "X"
    patient: Name
    label: Label
    timepoint: Timepoint | None = None
    filters: tuple[ColumnFilter, ...] = ()
    columns: dict[str, Name] = Field(default_factory=dict)

    @property
    def obs_columns(self) -> tuple[str, ...]:
        """The obs columns that the study needs, each once, in the order of the spec."""
        timepoint = [] if self.timepoint is None else [self.timepoint.column]
        filters = [item.column for item in self.filters]
        return tuple(dict.fromkeys([self.patient, self.label.column, *timepoint, *filters, *self.columns.values()]))
