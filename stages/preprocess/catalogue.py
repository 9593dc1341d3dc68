"""The preprocess methods by name, with the parameters that a goal spec may give each of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class PreprocessEntry:
    """What a goal spec may say of one preprocess method.

    Attributes
    ----------
    name
        Value of `method` in the goal spec.
    required
        Parameters that must be given.
    optional
        Parameters that may be given.
    supervised_by
        Parameters whose presence makes the selection look at the label; empty for a method that never does.
    """

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    supervised_by: tuple[str, ...] = ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """Every parameter the method takes, required ones first."""
        return self.required + self.optional


PREPROCESS_METHODS: Mapping[str, PreprocessEntry] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            PreprocessEntry("hvg", required=("n_top_genes",)),
            PreprocessEntry(
                "all_filtered",
                required=("min_cells_fraction",),
                optional=("enrichment_ratio",),
                supervised_by=("enrichment_ratio",),
            ),
        )
    }
)
