"""Negative controls: how often labels are permuted, and within which strata."""

from typing import Annotated

from pydantic import Field, field_validator

from stagewright.state.spec.data import DataScope
from stagewright.state.spec.strict import Name, Strict, check_distinct

__all__ = ["NegativeControls", "strata_columns"]

PATIENT, TIMEPOINT = "patient", "timepoint"


class NegativeControls(Strict):
    """What Plan 2 does to the labels.

    Attributes
    ----------
    permutations
        How many permutations; the smallest p value that they allow is 1 / (1 + permutations).
    strata
        Within which cells labels are permuted: roles (`patient`, `timepoint`, a role of `data.columns`) or obs columns
        that the study loads. None is patient and time point, or patient alone where no time point is declared.
    seed
        Seed of the permutations; each of them and each stratum draws for itself.
    """

    permutations: Annotated[int, Field(ge=1, le=10_000)] = 3
    strata: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @field_validator("strata")
    @classmethod
    def _each_once(cls, strata: tuple[str, ...] | None) -> tuple[str, ...] | None:
        check_distinct(strata or (), "stratum")
        return strata


def strata_columns(controls: NegativeControls, data: DataScope) -> tuple[str, ...]:
    """Return the obs columns within whose combinations labels are permuted, each once.

    Raises
    ------
    ValueError
        When a name is neither a role nor a column that the study loads, or the label's own.
    """
    roles = {PATIENT: data.patient, **data.columns}
    if data.timepoint is not None:
        roles[TIMEPOINT] = data.timepoint.column
    names = controls.strata or tuple(role for role in (PATIENT, TIMEPOINT) if role in roles)
    columns = dict.fromkeys(roles.get(name, name) for name in names)
    for name in names:
        column = roles.get(name, name)
        if column == data.label.column:
            raise ValueError(f"negative_controls.strata: {name!r} is the label; within its classes nothing is permuted")
        if column not in data.obs_columns:
            known = ", ".join(
                dict.fromkeys([*roles, *(item for item in data.obs_columns if item != data.label.column)])
            )
            raise ValueError(
                f"negative_controls.strata: {name!r} is neither a role nor a column that the study loads ({known}); "
                f"name it under data.columns, e.g. columns: {{{name}: {name}}}"
            )
    return tuple(columns)
