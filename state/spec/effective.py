"""What one checkpoint runs: the sealed spec, the adjustments made so far, and the checkpoint's scale."""

from pydantic import Field, JsonValue

from stagewright.state.spec.adjustments import Adjustments
from stagewright.state.spec.classifier import Mode
from stagewright.state.spec.downsampling import Downsampling, NoDownsampling
from stagewright.state.spec.goal import Checkpoint, GoalSpec
from stagewright.state.spec.negative_controls import strata_columns
from stagewright.state.spec.normalisation import Log1p, Normalisation
from stagewright.state.spec.preprocess import Preprocess
from stagewright.state.spec.reduction import SEED_INVARIANT, HeldOut, Method, Replicates
from stagewright.state.spec.scales import scale_of
from stagewright.state.spec.strict import Strict

__all__ = ["MIRRORED", "EffectiveStudy", "effective_study", "mirrored_stages"]

MIRRORED = ("plan1a", "plan1b", "plan1c")
"""Stages that Plan 2 can run again with permuted labels."""


class EffectiveStudy(Strict):
    """The parameters that a checkpoint's steps run with, every default filled in.

    Attributes
    ----------
    ks
        For each method, the numbers of components to sweep, ascending.
    method_settings
        For each method, what else is set of it.
    seed_invariant
        Methods that give the same result for every seed.
    alphas
        Penalty strengths, ascending.
    cells_per_patient
        At most this many cells of each patient; None is all.
    mirrored
        The stages that Plan 2 runs again with permuted labels: those of Plan 1 that stand before it.
    permutations, permutation_strata, permutation_seed
        How often Plan 2 permutes the labels. Within the combinations of which obs columns, and from which seed: that of
        the null twin of Plan 1B and 1C, too.
    search_permutations
        How often the labels are permuted for the search-wide permutation of Plan 1B; 0 where there is none.
    replicates
        What differs between Plan 0's replicates.
    held_out
        Which cells Plan 0 holds out of one more fit of each method and K; None for none.
    """

    checkpoint: Checkpoint
    preprocess: tuple[Preprocess, ...]
    reference: Preprocess
    methods: tuple[Method, ...]
    ks: dict[Method, tuple[int, ...]]
    seeds: tuple[int, ...]
    rotation: dict[Method, str]
    method_settings: dict[Method, dict[str, JsonValue]] = Field(default_factory=dict)
    seed_invariant: tuple[Method, ...] = tuple(sorted(SEED_INVARIANT))
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
    search_permutations: int = 0
    l1_ratios: tuple[float, ...] = (0.5,)
    modes: tuple[Mode, ...] = ("pooled", "per_patient")
    downsampling: tuple[Downsampling, ...] = (NoDownsampling(method="none"),)
    normalisation: Normalisation = Log1p(method="log1p")
    replicates: Replicates = "seed"
    held_out: HeldOut | None = None

    def fitted_once(self, method: Method) -> bool:
        """Return whether Plan 0 fits a method once for each K, because its replicates would be the same."""
        return self.replicates == "seed" and method in self.seed_invariant


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
        method_settings={method: reduction.settings_of(method) for method in reduction.methods},
        seed_invariant=tuple(m for m in reduction.methods if m in SEED_INVARIANT or m in reduction.seed_invariant),
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
        search_permutations=adjusted.negative_controls.search_at_checkpoint(checkpoint),
        l1_ratios=classifier.l1_ratios,
        modes=classifier.modes,
        downsampling=classifier.downsampling,
        normalisation=adjusted.normalisation,
        replicates=reduction.replicates,
        held_out=reduction.held_out or None,
    )


def mirrored_stages(spec: GoalSpec) -> tuple[str, ...]:
    """Return the stages of Plan 1 that stand before Plan 2, or none where there is no Plan 2."""
    before = spec.stages[: spec.stages.index("plan2")] if "plan2" in spec.stages else ()
    return tuple(stage for stage in before if stage in MIRRORED)
