"""The stages that Plan 2 puts permuted labels through: the very functions that score the observed ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from stagewright.stages.plan1_grid import ScoredCell
from stagewright.stages.plan1_inputs import GridKind
from stagewright.stages.plan1a import score_paths
from stagewright.stages.plan1b import score_configuration
from stagewright.stages.plan1c_cell import score_models_of

__all__ = ["MIRRORS", "Mirror", "judged_stage", "scope_of"]


@dataclass(frozen=True, slots=True)
class Mirror:
    """A stage of Plan 1 as Plan 2 runs it.

    Attributes
    ----------
    kind
        Of its units.
    score
        Scores one method of one embedded cohort, as `over_grid` has it.
    column
        The score of a configuration in the stage's summary: a median over patients, at the strength chosen on it.
    in_sample
        Whether cells are scored that the model was fitted on: then no score is expected at 0.5.
    """

    kind: GridKind
    score: Callable[..., ScoredCell]
    column: str
    in_sample: bool


MIRRORS: Mapping[str, Mirror] = MappingProxyType(
    {
        "plan1a": Mirror("paths", score_paths, "auc_in_sample_median", in_sample=True),
        "plan1b": Mirror("cv", score_configuration, "auc_median", in_sample=False),
        "plan1c": Mirror("benchmark", score_models_of, "auc_median", in_sample=False),
    }
)


def judged_stage(mirrored: Sequence[str]) -> str:
    """Return the stage whose best score Plan 2 reports: the first that scores cells out of fold, if there is one."""
    return next((stage for stage in mirrored if not MIRRORS[stage].in_sample), mirrored[-1])


def scope_of(stage: str, scope: str) -> str:
    """Return the CV scope of a mirrored stage: Plan 1B alone has another than the classifier's."""
    return scope if stage == "plan1b" else "classifier"
