"""The habits that every part of a goal spec shares: frozen, no unknown keys, defaults checked like input."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

__all__ = ["Level", "Name", "Strict", "Text", "check_distinct"]


class Strict(BaseModel):
    """A frozen record that refuses keys it does not know, and numbers that JSON cannot say."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, allow_inf_nan=False)


def _level_as_text(value: object) -> object:
    """Read `positive: 1` and `keep: [true]` as the text that an obs column of categories holds."""
    return str(value) if isinstance(value, bool | int | float) else value


Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
"""Free text of a person."""

Name = Annotated[str, Field(min_length=1, max_length=200)]
"""The name of an obs column."""

Level = Annotated[str, BeforeValidator(_level_as_text), Field(min_length=1, max_length=500)]
"""One level of an obs column."""


def check_distinct(values: tuple[object, ...], what: str) -> None:
    """Raise ValueError when a value is named twice."""
    if len(set(values)) != len(values):
        raise ValueError(f"each {what} may be named once")
