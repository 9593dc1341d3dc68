"""What one checkpoint runs: the sealed spec, the adjustments made so far, and the checkpoint's scale."""

from stagewright.state.spec.adjustments import Adjustments
from stagewright.state.spec.goal import Checkpoint, GoalSpec, Scale
from stagewright.state.spec.preprocess import Preprocess
from stagewright.state.spec.reduction import Method
from stagewright.state.spec.strict import Strict

__all__ = ["SCALES", "EffectiveStudy", "effective_study"]

SCALES: dict[Checkpoint, Scale] = {
    # A finds crashes: every patient, method and preprocess, few cells of each.
    "A": Scale(cells_per_patient=100, n_seeds=2, n_k=2, repeats=1),
    # B is a rehearsal: enough cells for scores to mean something, a reduced grid.
    "B": Scale(cells_per_patient=1000, n_seeds=3, n_k=2, n_preprocess=2, repeats=2),
    "C": Scale(),
}


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


def effective_study(spec: GoalSpec, adjustments: Adjustments, checkpoint: Checkpoint) -> EffectiveStudy:
    """Return what `checkpoint` runs of `spec` after `adjustments`."""
    scale = SCALES[checkpoint].model_copy(
        update=spec.checkpoints.get(checkpoint, Scale()).model_dump(exclude_unset=True),
    )
    adjusted = adjustments.applied_to(spec)
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
    )
