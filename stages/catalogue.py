"""Which stages there are, what each is for, what it needs, and how many units of work it has. Light to import."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from stagewright.stages.protocol import Stage
from stagewright.stages.reduction.method_faults import method_faults
from stagewright.state.plan1c_models import planned_models
from stagewright.state.spec.effective import MIRRORED, EffectiveStudy, mirrored_stages
from stagewright.state.spec.faults import nearest
from stagewright.state.spec.goal import GoalSpec
from stagewright.state.spec.reduction import NON_NEGATIVE, WITHOUT_TRANSFORM
from stagewright.state.step_units import has_search, has_twin, searched, seeds_of, twin_refits, twin_study

__all__ = ["STAGES", "StageEntry", "count_units", "load_stage", "spec_faults"]


@dataclass(frozen=True, slots=True)
class StageEntry:
    """One built-in stage."""

    module: str
    purpose: str
    after: tuple[str, ...] = ()


STAGES: Mapping[str, StageEntry] = {
    "plan0": StageEntry(
        "stagewright.stages.plan0",
        "sweep K for each method; stability over replicates; prediction of held-out cells; choose K",
    ),
    "plan1a": StageEntry(
        "stagewright.stages.plan1a",
        "preprocess x method grid at the chosen K; L1 logistic paths per patient without cross-validation",
        after=("plan0",),
    ),
    "plan1b": StageEntry(
        "stagewright.stages.plan1b",
        "preprocess x method grid at the chosen K; L1 logistic paths per patient with repeated cross-validation",
        after=("plan0",),
    ),
    "plan1c": StageEntry(
        "stagewright.stages.plan1c",
        "penalties x downsampling on Plan 1's embeddings, pooled over patients and per patient, with confounding",
        after=("plan0",),
    ),
    "plan2": StageEntry(
        "stagewright.stages.plan2",
        "negative controls: labels permuted within strata and put through the plan1 stages that stand before it",
        after=("plan0",),
    ),
}
GRID = ("plan1a", "plan1b", "plan1c")
"""Stages of one grid of embeddings, which the first of them makes; they follow each other in this order."""

BEST = {
    "plan1a": ("auc_in_sample",),
    "plan1b": ("auc", "auc_choice_left_out", "average_precision", "winner_stability"),
    "plan1c": ("auc", "auc_choice_left_out", "average_precision", "recall_positive"),
}
OF_PLAN2 = ("excess", "p", "n_above_chance")
OF_CONFIGURATION = {"plan1a": "auc_in_sample", "plan1b": "auc"}
OF_METHOD = ("k", "explained", "stability_median", "held_out_r2")

SHOWN_METRICS = 5


def load_stage(name: str) -> Stage:
    """Return the function of a built-in stage, or the one that runs registered commands."""
    module = STAGES[name].module if name in STAGES else "stagewright.stages.command"
    return cast("Stage", import_module(module).run)


def count_units(stage: str, study: EffectiveStudy, stages: Sequence[str]) -> int:
    """Return how many units of work a stage has; the first stage of the grid among `stages` makes its embeddings."""
    if stage == "plan0":
        more = 0 if study.held_out is None else 1
        return sum(len(ks) * (len(seeds_of(study, method)) + more) for method, ks in study.ks.items())
    cells = len(study.preprocess) * len(study.methods)
    embeddings = cells if stage == next((one for one in stages if one in GRID), None) else 0
    if stage == "plan2":
        refitted = len(study.methods) * sum(entry.supervised for entry in study.preprocess)
        folds = cells * _folds(study, "plan1b") if "plan1b" in study.mirrored else 0
        return study.permutations * (refitted + folds + cells * len(study.mirrored))
    if stage in ("plan1b", "plan1c"):
        search = len(searched(study)) * len(study.methods) if has_search(stage, study) else 0
        return embeddings + cells * (1 + _folds(study, stage)) + _twin_units(stage, study) + search
    return embeddings + cells if stage in STAGES else 1


def _twin_units(stage: str, study: EffectiveStudy) -> int:
    """Return how many units the null twin of a stage has, the embeddings that depend on the label among them."""
    if not has_twin(stage, study):
        return 0
    refitted = sum(twin_refits(study, entry, stage) for entry in study.preprocess)
    cells = len(study.preprocess) * (1 + _folds(twin_study(study, stage), stage))
    return len(study.methods) * (cells + refitted)


def _folds(study: EffectiveStudy, stage: str) -> int:
    """Return how often the pipeline of one preprocess and method is fitted again."""
    return study.folds * study.repeats if stage == "plan1b" and study.scope == "pipeline" else 0


def metric_names(stage: str, spec: GoalSpec) -> list[str]:
    """Return the metrics that a built-in stage reports for this spec, e.g. ``plan1b.best.auc``."""
    if stage == "plan0":
        known = [name for name in OF_METHOD if name != "held_out_r2" or spec.reduction.held_out]
        return [f"plan0.{method}.{name}" for method in spec.reduction.methods for name in known]
    if stage == "plan1c":
        return _plan1c_metrics(spec)
    if stage == "plan2":
        best = "auc_in_sample" if mirrored_stages(spec) == ("plan1a",) else "auc"
        return [f"plan2.best.{best}", *(f"plan2.{name}" for name in OF_PLAN2)]
    cells = [
        f"{stage}.{entry.tag}.{method}.{penalty}.{OF_CONFIGURATION[stage]}"
        for entry in spec.preprocess
        for method in spec.reduction.methods
        for penalty in spec.classifier.penalties
    ]
    also = ["plan1b.decoy.auc", *_search_metrics(spec)] if stage == "plan1b" else []
    return [*(f"{stage}.best.{name}" for name in BEST[stage]), f"{stage}.n_patients", *also, *cells]


def _search_metrics(spec: GoalSpec) -> list[str]:
    controls = spec.negative_controls
    return ["plan1b.search.auc", "plan1b.best.search_p"] if controls.search_permutations and controls.search_at else []


def _plan1c_metrics(spec: GoalSpec) -> list[str]:
    of_best = [f"plan1c.{which}.{name}" for which in ("best", *spec.classifier.modes) for name in BEST["plan1c"]]
    cells = [
        f"plan1c.{entry.tag}.{method}.{model.name}.auc"
        for entry in spec.preprocess
        for method in spec.reduction.methods
        for model in planned_models(spec.classifier)
    ]
    return [*of_best, "plan1c.n_patients", *cells]


def _metric_faults(spec: GoalSpec) -> list[str]:
    """Return the stop criteria on metrics that no stage of the spec reports: they could never be judged."""
    faults = []
    for kind, criteria in (("success", spec.stop.success), ("failure", spec.stop.failure)):
        for index, criterion in enumerate(criteria):
            stage = criterion.metric.partition(".")[0]
            place = f"stop.{kind}[{index}].metric"
            if stage not in spec.stages:
                faults.append(f"{place}: got {criterion.metric!r}, but the stages are {', '.join(spec.stages)}")
            elif stage in STAGES and criterion.metric not in (known := metric_names(stage, spec)):
                shown = ", ".join(known[:SHOWN_METRICS])
                faults.append(
                    f"{place}: {stage} reports no {criterion.metric!r}{nearest(criterion.metric, known)}; "
                    f"it reports {shown} and the like",
                )
    return faults


def spec_faults(spec: GoalSpec, commands: Mapping[str, Any]) -> list[str]:
    """Return what of a valid spec this version cannot run, each with what it can.

    Parameters
    ----------
    commands
        The operator's registered command stages by name.
    """
    faults = []
    known = [*STAGES, *commands]
    for index, stage in enumerate(spec.stages):
        if stage not in known:
            faults.append(f"stages[{index}]: no stage {stage!r}{nearest(stage, known)}; available: {', '.join(known)}")
        needed = STAGES[stage].after if stage in STAGES else ()
        faults += [
            f"stages[{index}]: {stage} uses the K that {earlier} chooses; put {earlier} before it"
            for earlier in needed
            if earlier not in spec.stages[:index]
        ]
    if "plan2" in spec.stages and not mirrored_stages(spec):
        faults.append(f"stages: plan2 runs earlier stages again; put one of {', '.join(MIRRORED)} before it")
    grid = [stage for stage in spec.stages if stage in GRID]
    if grid != sorted(grid):
        order = ", ".join(sorted(grid))
        faults.append(f"stages: {', '.join(grid)} share embeddings that the first of them makes; order them {order}")
    faults += method_faults(spec)
    if spec.normalisation.method == "pearson_residuals":
        faults += [
            f"reduction.methods: {method} takes no negative values, and Pearson residuals have them; leave {method} "
            "out, or take normalisation: {method: log1p}"
            for method in spec.reduction.methods
            if method in NON_NEGATIVE
        ]
    if spec.classifier.cv.scope == "pipeline":
        faults += [
            f"reduction.methods: {method} cannot score cells that it was not fitted on, which classifier.cv.scope "
            "pipeline asks for; leave the method out, or take scope classifier"
            for method in spec.reduction.methods
            if method in WITHOUT_TRANSFORM
        ]
    faults += _metric_faults(spec)
    return faults + _holdout_faults(spec)


def _holdout_faults(spec: GoalSpec) -> list[str]:
    """Return what keeps a spec from having a sealed hold-out."""
    if spec.holdout is None:
        return []
    faults = [
        f"holdout: the command stage {stage} is given the whole data file, patients of the hold-out included; leave "
        "the stage or the hold-out out"
        for stage in spec.stages
        if stage not in STAGES
    ]
    if not {"plan1b", "plan1c"} & set(spec.stages):
        faults.append("holdout: what is scored at the end is the best configuration of plan1b or plan1c; add one")
    faults += [
        f"holdout: {method} cannot score cells that it was not fitted on, so not the patients put aside; leave the "
        "method or the hold-out out"
        for method in spec.reduction.methods
        if method in WITHOUT_TRANSFORM
    ]
    return faults
