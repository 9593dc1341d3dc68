"""Which stages there are, what each is for, what it needs, and how many units of work it has. Light to import."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from stagewright.stages.protocol import Stage
from stagewright.state.spec.effective import EffectiveStudy
from stagewright.state.spec.faults import nearest
from stagewright.state.spec.goal import GoalSpec
from stagewright.state.spec.grid import SEED_INVARIANT

__all__ = ["STAGES", "StageEntry", "count_units", "load_stage", "spec_faults"]


@dataclass(frozen=True, slots=True)
class StageEntry:
    """One built-in stage."""

    module: str
    purpose: str
    after: tuple[str, ...] = ()


STAGES: Mapping[str, StageEntry] = {
    "plan0": StageEntry("stagewright.stages.plan0", "sweep K for each method; stability over seeds; choose K"),
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
}

METHODS = ("pca", "fa", "nmf")
PREPROCESS = ("hvg", "all_filtered")


def load_stage(name: str) -> Stage:
    """Return the function of a built-in stage, or the one that runs registered commands."""
    module = STAGES[name].module if name in STAGES else "stagewright.stages.command"
    return cast("Stage", import_module(module).run)


def count_units(stage: str, study: EffectiveStudy) -> int:
    """Return how many units of work a stage has."""
    if stage == "plan0":
        return sum(len(ks) * (1 if method in SEED_INVARIANT else len(study.seeds)) for method, ks in study.ks.items())
    cells = len(study.preprocess) * len(study.methods)
    if stage == "plan1a":
        return 2 * cells  # the embedding, then its paths
    return cells if stage in STAGES else 1


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
    entries = [(f"preprocess[{index}]", entry) for index, entry in enumerate(spec.preprocess)]
    if spec.reference is not None:
        entries.append(("reference", spec.reference))
    faults += [
        f"{place}.method: {entry.method} is not built into this version; available: {', '.join(PREPROCESS)}"
        for place, entry in entries
        if entry.method not in PREPROCESS
    ]
    faults += [
        f"reduction.methods: {method} is not built into this version; available: {', '.join(METHODS)}"
        for method in spec.reduction.methods
        if method not in METHODS
    ]
    if spec.classifier.cv.scope != "classifier":
        faults.append("classifier.cv.scope: pipeline is not built into this version; available: classifier")
    if spec.holdout is not None:
        faults.append("holdout: the sealed hold-out is not built into this version; leave the key out")
    return faults
