"""Faults of fits of several K, which are compared with each other."""

import numpy as np

from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.state.layout import replicate_folder
from stagewright.state.spec.reduction import LINEAR
from stagewright.state.step_units import seeds_of

__all__ = ["copied_components"]

NESTED = ("pca", "harmony")
"""Methods whose axes are the same for every K anyway."""


def copied_components(step: SpoiledStep) -> None:
    """Take the components of a smaller K from the fit of a larger one, which was cut and not fitted again."""
    study, checkpoint = step.request.study, step.request.checkpoint
    for method, ks in study.ks.items():
        if method in NESTED or method not in LINEAR or len(ks) == 1:
            continue
        smaller, larger = sorted(ks)[:2]
        for seed in seeds_of(study, method):
            # The loadings stay: the summary of the replicates is over them, and agrees with them as before.
            few, many = (replicate_folder(checkpoint, method, k, seed) / "scores.npy" for k in (smaller, larger))
            if step.has(few) and step.has(many):
                np.save(step.own(few), np.load(step.run / many)[:, :smaller])
                return
    raise DoesNotApply(f"{step.asked.step} has no two K of one method whose components shift with K")
