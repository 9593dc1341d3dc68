"""What the stages of Plan 1 reported under the observed labels, read from what they sealed."""

from collections.abc import Mapping

import pandas as pd

from stagewright.stages.plan1_tables import SummaryRow
from stagewright.stages.protocol import StageContext
from stagewright.state.artifacts import read_outcome
from stagewright.state.canonical import digest_file
from stagewright.state.layout import analysis

__all__ = ["observed_rows"]


def observed_rows(context: StageContext) -> Mapping[str, list[SummaryRow]]:
    """Return the rows of each mirrored stage's summary, by stage.

    Raises
    ------
    ValueError
        When a stage has not been executed at this checkpoint, or its summary is not what it sealed.
    """
    return {stage: _rows(context, stage) for stage in context.request.study.mirrored}


def _rows(context: StageContext, stage: str) -> list[SummaryRow]:
    request = context.request
    sealed = request.upstream.get(f"{request.checkpoint}/{stage}")
    if sealed is None:
        raise ValueError(f"{request.checkpoint}/{stage} has no sealed result; plan2 needs it, so execute it first")
    path = (analysis(request.checkpoint) / "classification_grid" / f"{stage}_summary.csv").as_posix()
    digests = {item.path: item.sha256 for item in read_outcome(context.run, sealed).artifacts}
    if digests.get(path) != digest_file(context.run / path):
        raise ValueError(f"{path} was changed after {stage} sealed it (its sha256 differs); restore it")
    texts = {"preprocess": str, "method": str, "penalty": str}
    table = pd.read_csv(context.run / path, dtype=texts, float_precision="round_trip")
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
