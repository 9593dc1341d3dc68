"""Classifier and cross-validation of a study."""

import math
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from stagewright.state.spec.downsampling import Downsampling, NoDownsampling
from stagewright.state.spec.strict import Name, Strict, check_distinct

__all__ = ["Alphas", "Classifier", "CrossValidation", "L1Ratio", "Logspace", "Mode"]


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


L1Ratio = Annotated[float, Field(gt=0, lt=1)]
"""Share of the L1 part in an elastic net; its ends are the penalties l1 and l2."""

Mode = Literal["pooled", "grouped", "per_patient"]
"""How Plan 1C trains: on the cells of all patients, on those of other patients, or on those of one patient."""


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
    """Logistic regression with balanced weights and a free intercept, over a path of penalty strengths alpha = 1/C.

    `l1_ratios` are the elastic nets of Plan 1C (Plan 1A and 1B take the first); `modes` and `downsampling` say how it
    trains.
    """

    penalties: Annotated[tuple[Literal["l1", "l2", "elasticnet"], ...], Field(min_length=1)] = ("l1",)
    l1_ratios: Annotated[tuple[L1Ratio, ...], Field(min_length=1, max_length=20)] = (0.5,)
    alphas: Alphas = Logspace(logspace=(-4, 5, 20))
    cv: CrossValidation = CrossValidation()
    modes: Annotated[tuple[Mode, ...], Field(min_length=1)] = ("pooled", "per_patient")
    downsampling: Annotated[tuple[Downsampling, ...], Field(min_length=1, max_length=20)] = (
        NoDownsampling(method="none"),
    )

    @field_validator("penalties")
    @classmethod
    def _penalties_once(cls, penalties: tuple[str, ...]) -> tuple[str, ...]:
        check_distinct(penalties, "penalty")
        return penalties

    @field_validator("l1_ratios")
    @classmethod
    def _l1_ratios_once(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        check_distinct(tuple(f"{ratio:g}" for ratio in ratios), "l1_ratio")
        return ratios

    @field_validator("modes")
    @classmethod
    def _modes_once(cls, modes: tuple[Mode, ...]) -> tuple[Mode, ...]:
        check_distinct(modes, "mode")
        return modes

    @field_validator("downsampling")
    @classmethod
    def _downsampling_once(cls, entries: tuple[Downsampling, ...]) -> tuple[Downsampling, ...]:
        check_distinct(tuple(entry.tag for entry in entries), "downsampling")
        return entries

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
