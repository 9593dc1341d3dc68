"""Whether a failure belongs to what the unit computed, so that leaving it out can help."""

from stagewright.stages.handlers.case import MEMORY_KINDS, FailedCase
from stagewright.stages.unfit_setting import UnfitSetting
from stagewright.state.records import FailureKind

__all__ = ["belongs_to_unit"]

KINDS: frozenset[FailureKind] = frozenset({*MEMORY_KINDS, "numerical", "spec", "bug", "data", "package"})


def belongs_to_unit(case: FailedCase) -> bool:
    """Return whether the unit itself is the reason; a full disk or a killed process would have met another as well."""
    return case.failure.kind in KINDS and case.built_in and not case.failure.error.startswith(UnfitSetting.__name__)
