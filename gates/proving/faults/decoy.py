"""Faults of Plan 1b's technical decoy: a weaker one than the one that was promised."""

import numpy as np
import pandas as pd

from stagewright.gates.oof_auc import roc_auc_by_repeat
from stagewright.gates.places import decoy_oof, decoy_table
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.gates.tables import numbers
from stagewright.gates.technical_decoy import METRIC

__all__ = ["edited_table", "other_folds", "shuffled"]

MOVED = 0.01


def edited_table(step: SpoiledStep) -> None:
    """Lower the decoy's AUC of one patient by 0.01."""

    def lower(table: pd.DataFrame) -> pd.DataFrame:
        lowered = repr(float(numbers(table["auc_mean"])[0]) - MOVED)
        return table.assign(auc_mean=table["auc_mean"].mask(np.arange(len(table)) == 0, lowered))

    step.csv(decoy_table(step.request.checkpoint), lower)


def other_folds(step: SpoiledStep) -> None:
    """Predict by the decoy in other folds than those of the configurations."""

    def turn(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(fold=(table["fold"] + 1) % (int(table["fold"].max()) + 1))

    step.parquet(decoy_oof(step.request.checkpoint), turn)


def shuffled(step: SpoiledStep) -> None:
    """Give each cell the decoy's prediction of another one, and report honestly what these score."""
    rng = np.random.default_rng(0)
    scored: dict[str, float] = {}

    def shuffle(table: pd.DataFrame) -> pd.DataFrame:
        decision = rng.permutation(table["decision"].to_numpy())
        weak = table.assign(decision=decision, probability=1 / (1 + np.exp(-decision)))
        auc = roc_auc_by_repeat(weak.assign(penalty="decoy")).groupby("patient", observed=True).mean()
        scored.update({str(patient): float(value) for patient, value in auc.items()})
        return weak

    step.parquet(decoy_oof(step.request.checkpoint), shuffle)
    step.csv(
        decoy_table(step.request.checkpoint),
        lambda table: table.assign(auc_mean=[repr(scored[patient]) for patient in table["patient"]]),
    )
    if METRIC in step.outcome.metrics:
        step.say(metrics=step.outcome.metrics | {METRIC: float(np.median([*scored.values()]))})
