"""The counts of a step's cells, read when they are first asked for."""

from functools import cached_property

from stagewright.stages.cohort.load import Cohort, load_cohort
from stagewright.stages.protocol import StageContext

__all__ = ["CohortOnce"]


class CohortOnce:
    """Reads the cohort of a step once, and not at all when nobody asks.

    Parameters
    ----------
    context
        Of the stage.
    """

    def __init__(self, context: StageContext) -> None:
        self._context = context

    @cached_property
    def counts(self) -> Cohort:
        """The cells with their counts and observed labels."""
        cohort = load_cohort(self._context.request, self._context.artifacts.staging)
        self._context.workload.is_now(cohort.source.shape, cohort.source.n_nonzero)
        return cohort
