"""What one checkpoint runs: the sealed spec, the adjustments made so far, and the checkpoint's scale."""

from stagewright.state.spec.adjustments import Adjustments
from stagewright.state.spec.goal import Checkpoint, GoalSpec
from stagewright.state.spec.negative_controls import strata_columns
from stagewright.state.spec.normalisation import Log1p, Normalisation
from stagewright.state.spec.preprocess import Preprocess
from stagewright.state.spec.reduction import Method
from stagewright.state.spec.scales import scale_of
from stagewright.state.spec.strict import Strict

__all__ = ["MIRRORED", "EffectiveStudy", "effective_study", "mirrored_stages"]

MIRRORED = ("plan1a", "plan1b")
"""Stages that Plan 2 can run again with permuted labels."""


class EffectiveStudy(Strict):
    """The parameters that a checkpoint's steps run with, every default filled in.

    Attributes
    ----------
    ks
        For each method, the numbers of components to sweep, ascending.
    alphas
        Penalty strengths, ascending.
    cells_per_patient
        At most this many cells of each patient; None is all.
    mirrored
        The stages that Plan 2 runs again with permuted labels: those of Plan 1 that stand before it.
    permutations, permutation_strata, permutation_seed
        How Plan 2 permutes the labels, and within the combinations of which obs columns.
    """

    checkpoint: Checkpoint
    preprocess: tuple[Preprocess, ...]
    reference: Preprocess
    methods: tuple[Method, ...]
    ks: dict[Method, tuple[int, ...]]
    seeds: tuple[int, ...]
    rotation: dict[Method, str]
    penalties: tuple[str, ...]
    alphas: tuple[float, ...]
    folds: int
    repeats: int
    group: str
    scope: str
    cells_per_patient: int | None
    workers: int | None
    mirrored: tuple[str, ...] = ()
    permutations: int = 0
    permutation_strata: tuple[str, ...] = ()
    permutation_seed: int = 0
    normalisation: Normalisation = Log1p(method="log1p")


def effective_study(spec: GoalSpec, adjustments: Adjustments, checkpoint: Checkpoint) -> EffectiveStudy:
    """Return what `checkpoint` runs of `spec` after `adjustments`."""
    adjusted = adjustments.applied_to(spec)
    scale = scale_of(adjusted, checkpoint)
    reduction, classifier = adjusted.reduction, adjusted.classifier
    return EffectiveStudy(
        checkpoint=checkpoint,
        preprocess=adjusted.preprocess[: scale.n_preprocess],
        reference=adjusted.reference_preprocess,
        methods=reduction.methods,
        ks={method: reduction.ks(method)[: scale.n_k] for method in reduction.methods},
        seeds=reduction.seeds[: scale.n_seeds],
        rotation={method: kind for method, kind in reduction.rotation.items() if method in reduction.methods},
        penalties=classifier.penalties,
        alphas=classifier.alpha_values(),
        folds=classifier.cv.folds,
        repeats=min(classifier.cv.repeats, scale.repeats or classifier.cv.repeats),
        group=classifier.cv.group,
        scope=classifier.cv.scope,
        cells_per_patient=scale.cells_per_patient,
        workers=adjusted.budget.workers,
        mirrored=mirrored_stages(adjusted),
        permutations=adjusted.negative_controls.permutations,
        permutation_strata=strata_columns(adjusted.negative_controls, adjusted.data),
        permutation_seed=adjusted.negative_controls.seed,
        normalisation=adjusted.normalisation,
    )


def mirrored_stages(spec: GoalSpec) -> tuple[str, ...]:
    """Return the stages of Plan 1 that stand before Plan 2, or none where there is no Plan 2."""
    before = spec.stages[: spec.stages.index("plan2")] if "plan2" in spec.stages else ()
    return tuple(stage for stage in before if stage in MIRRORED)
