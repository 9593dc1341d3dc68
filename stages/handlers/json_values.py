"""Values of adjustments as JSON has them."""

from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from stagewright.state.spec.preprocess import Preprocess

__all__ = ["entries_of", "entry_of", "list_of", "lists_of"]


def list_of(values: Iterable[str | int]) -> JsonValue:
    """Return names or numbers as a list."""
    return [*values]


def lists_of(values: Mapping[str, Iterable[int]]) -> JsonValue:
    """Return the K list of each method."""
    return {name: [*numbers] for name, numbers in values.items()}


def entry_of(entry: Preprocess) -> JsonValue:
    """Return a preprocess as a goal spec writes it."""
    plain: JsonValue = entry.model_dump(mode="json", exclude_none=True)
    return plain


def entries_of(entries: Iterable[Preprocess]) -> JsonValue:
    """Return a preprocess list."""
    return [entry_of(entry) for entry in entries]
