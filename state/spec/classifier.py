"""Classifier and cross-validation of a study."""

import math
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from stagewright.state.spec.strict import Name, Strict, check_distinct

__all__ = ["Alphas", "Classifier", "CrossValidation", "Logspace"]


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
        check_distinct(penalties, "penalty")
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
