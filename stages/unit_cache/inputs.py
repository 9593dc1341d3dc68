"""Everything that a unit's result depends on, and the key that this gives."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from stagewright.stages.unit_cache.code_version import Kind, code_version
from stagewright.state.canonical import digest_json

__all__ = ["UnitInputs", "key_of"]


@dataclass(frozen=True, slots=True)
class UnitInputs:
    """What one unit is made from.

    Attributes
    ----------
    kind
        Of which kind the unit is; with it goes the code that it depends on.
    values
        Every input by name: digests of data, parameters. Never what does not change the result, such as the attempt
        or the number of workers.
    """

    kind: Kind
    values: Mapping[str, JsonValue]

    @property
    def code(self) -> dict[str, str]:
        """The version of the code, part by part."""
        return {**code_version(self.kind)}

    @property
    def key(self) -> str:
        """The sha256 over kind, code and values."""
        return key_of(self.kind, self.code, self.values)


def key_of(kind: str, code: Mapping[str, str], values: Mapping[str, JsonValue]) -> str:
    """Return the key of a unit, as 64 hexadecimal digits."""
    return digest_json({"kind": kind, "code": {**code}, "inputs": {**values}})
