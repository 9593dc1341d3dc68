"""Read the best configuration of a step from its sealed summary."""

from pathlib import Path

import pandas as pd

from stagewright.stages.holdout.score import Configuration
from stagewright.stages.plan1_tables import l1_ratio_of
from stagewright.state.artifacts import read_outcome
from stagewright.state.canonical import digest_file
from stagewright.state.layout import grid_folder
from stagewright.state.plan1c_models import models_of
from stagewright.state.records import ArtifactSeal
from stagewright.state.run_state import split_step
from stagewright.state.spec.downsampling import Downsampling, NoDownsampling
from stagewright.state.spec.effective import EffectiveStudy

__all__ = ["ConfigurationLost", "best_configuration"]


class ConfigurationLost(ValueError):  # noqa: N818 - names the state of the summary
    """The sealed summary of a step cannot be read any more, or says of no configuration that it is the best."""


def best_configuration(run: Path, step: str, sealed: ArtifactSeal, study: EffectiveStudy) -> Configuration:
    """Return the configuration that a step's summary marks as the best.

    Raises
    ------
    ConfigurationLost
        When the summary is not the file that was sealed, or marks none.
    """
    checkpoint, stage = split_step(step)
    path = (grid_folder(checkpoint, stage) / f"{stage}_summary.csv").as_posix()
    try:
        digests = {item.path: item.sha256 for item in read_outcome(run, sealed).artifacts}
    except ValueError as error:
        raise ConfigurationLost(str(error)) from error
    if path not in digests or not (run / path).is_file() or digest_file(run / path) != digests[path]:
        raise ConfigurationLost(f"{path} is not the file that {step} sealed; restore it")
    table = pd.read_csv(run / path)
    best = table[table["best"].astype(str) == "True"]
    if len(best) != 1:
        raise ConfigurationLost(f"{path} marks {len(best)} configurations as the best; one is needed")
    row = best.iloc[0]
    tag, penalty = str(row["preprocess"]), str(row["penalty"])
    entry = next((entry for entry in study.preprocess if entry.tag == tag), None)
    if entry is None:
        raise ConfigurationLost(f"{path} names {tag}, which is not a preprocess of the study")
    parts = [tag, str(row["method"]), f"k_{int(row['k'])}", penalty, f"alpha {float(row['alpha']):.6g}"]
    ratio, drawn = l1_ratio_of(study, penalty) if stage == "plan1b" else 0.0, _none()
    if stage == "plan1c":
        mode, variant = str(row["mode"]), str(row["downsampling"])
        asked = (mode, variant, penalty)
        model = next(item for item in models_of(study) if (item.mode, item.downsampling, item.penalty) == asked)
        ratio = model.l1_ratio
        drawn = next(item for item in study.downsampling if item.tag == variant)
        parts.insert(3, f"{mode}/{variant}")
    return Configuration("/".join(parts), entry, str(row["method"]), int(row["k"]), ratio, float(row["alpha"]), drawn)


def _none() -> Downsampling:
    return NoDownsampling(method="none")
