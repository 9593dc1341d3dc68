"""What the stages of Plan 1 reported under the observed labels, read from what they sealed."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from stagewright.stages.negative_controls.within_strata import PREDICTIONS, WithinStrata, within_strata
from stagewright.stages.plan1_tables import SummaryRow
from stagewright.stages.protocol import StageContext
from stagewright.state.artifacts import read_outcome
from stagewright.state.canonical import digest_file
from stagewright.state.layout import grid_cell, grid_folder

__all__ = ["observed_rows", "observed_within"]


def observed_rows(context: StageContext) -> Mapping[str, list[SummaryRow]]:
    """Return the rows of each mirrored stage's summary, by stage.

    Raises
    ------
    ValueError
        When a stage has not been executed at this checkpoint, or its summary is not what it sealed.
    """
    return {stage: _rows(context, stage) for stage in context.request.study.mirrored}


def observed_within(
    context: StageContext, stage: str, tag: str, method: str, stratum_of: pd.Series
) -> dict[str, WithinStrata]:
    """Return, by penalty, the AUC within strata of one cell of a stage's grid under the observed labels.

    Raises
    ------
    ValueError
        When its predictions are not what the stage sealed.
    """
    place = grid_cell(context.request.checkpoint, stage, tag, method) / PREDICTIONS
    return within_strata(_sealed(context, stage, place), stratum_of)


def _rows(context: StageContext, stage: str) -> list[SummaryRow]:
    place = grid_folder(context.request.checkpoint, stage) / f"{stage}_summary.csv"
    texts = {"preprocess": str, "method": str, "penalty": str}
    table = pd.read_csv(_sealed(context, stage, place), dtype=texts, float_precision="round_trip")
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _sealed(context: StageContext, stage: str, place: PurePosixPath) -> Path:
    """Return where a file of an earlier stage lies, once it is known to be what the stage sealed."""
    request = context.request
    sealed = request.upstream.get(f"{request.checkpoint}/{stage}")
    if sealed is None:
        raise ValueError(f"{request.checkpoint}/{stage} has no sealed result; plan2 needs it, so execute it first")
    digests = {item.path: item.sha256 for item in read_outcome(context.run, sealed).artifacts}
    path = context.run / place
    if digests.get(place.as_posix()) != digest_file(path):
        raise ValueError(f"{place} was changed after {stage} sealed it (its sha256 differs); restore it")
    return path
