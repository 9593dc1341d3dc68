"""What one checkpoint runs: the sealed spec, the adjustments made so far, and the checkpoint's scale."""

from stagewright.state.spec.adjustments import Adjustments
from stagewright.state.spec.classifier import Mode
from stagewright.state.spec.downsampling import Downsampling, NoDownsampling
from stagewright.state.spec.goal import Checkpoint, GoalSpec
from stagewright.state.spec.preprocess import Preprocess
from stagewright.state.spec.reduction import Method
from stagewright.state.spec.scales import scale_of
from stagewright.state.spec.strict import Strict

__all__ = ["EffectiveStudy", "effective_study"]


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
    l1_ratios: tuple[float, ...] = (0.5,)
    modes: tuple[Mode, ...] = ("pooled", "per_patient")
    downsampling: tuple[Downsampling, ...] = (NoDownsampling(method="none"),)


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
        l1_ratios=classifier.l1_ratios,
        modes=classifier.modes,
        downsampling=classifier.downsampling,
    )
