"""Negative controls: how often labels are permuted, and within which strata."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from stagewright.state.spec.data import DataScope
from stagewright.state.spec.strict import Name, Strict, check_distinct

__all__ = ["NegativeControls", "strata_columns"]

FEWEST = 19
PATIENT, TIMEPOINT = "patient", "timepoint"


class NegativeControls(Strict):
    """How labels are permuted: by Plan 2, by the null twin and by the search-wide permutation.

    Attributes
    ----------
    permutations
        How many permutations Plan 2 makes; the smallest p value that they allow is 1 / (1 + permutations).
    strata
        Within which cells labels are permuted: roles (`patient`, `timepoint`, a role of `data.columns`) or obs columns
        that the study loads. None is patient and time point, or patient alone where no time point is declared.
    seed
        Seed of the permutations; each of them and each stratum draws for itself.
    search_permutations
        How often the whole search of Plan 1B is scored under permuted labels; 0 leaves it out.
    search_at
        The checkpoints that do so.
    """

    permutations: Annotated[int, Field(ge=1, le=10_000)] = 3
    strata: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    search_permutations: Annotated[int, Field(ge=0, le=10_000)] = 200
    search_at: tuple[Literal["A", "B", "C"], ...] = ("C",)

    @field_validator("strata")
    @classmethod
    def _each_once(cls, strata: tuple[str, ...] | None) -> tuple[str, ...] | None:
        check_distinct(strata or (), "stratum")
        return strata

    @field_validator("search_permutations")
    @classmethod
    def _enough(cls, permutations: int) -> int:
        if 0 < permutations < FEWEST:
            raise ValueError(f"{FEWEST} at least, so that p can reach 0.05; or 0 for none")
        return permutations

    def search_at_checkpoint(self, checkpoint: str) -> int:
        """Return how often a checkpoint scores the whole search under permuted labels."""
        return self.search_permutations if checkpoint in self.search_at else 0


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
