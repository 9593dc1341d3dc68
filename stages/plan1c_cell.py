"""Score the models of Plan 1C on one embedding: one cell of its grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_grid import CellResult, ScoredCell
from stagewright.stages.plan1c_draws import training_draws
from stagewright.stages.plan1c_parts import split
from stagewright.stages.plan1c_scores import Scored, score_models
from stagewright.stages.plan1c_tables import summary_row, tables_of
from stagewright.stages.protocol import StageContext
from stagewright.state.artifacts import Skipped
from stagewright.state.plan1c_models import models_of
from stagewright.state.spec.effective import EffectiveStudy

__all__ = ["ScoredModels", "score_models_of", "scored_models"]


@dataclass(frozen=True, slots=True)
class ScoredModels:
    """The models of one embedding that could be scored.

    Attributes
    ----------
    scored
        In the order of the tables; none of a mode in which no patient can be scored.
    skipped
        By mode, the patients without a score of their own.
    notes
        What a reader should know.
    """

    scored: Sequence[Scored]
    skipped: Mapping[str, Sequence[Skipped]]
    notes: Sequence[str]


def score_models_of(context: StageContext, cohort: EmbeddedCohort, method: str) -> ScoredCell:
    """Score every model on one embedding, and return its tables and a summary row for each model."""
    request, study = context.request, context.request.study
    found = scored_models(context, cohort, method, study)
    summary = [summary_row(cohort, method, item, len(found.skipped[item.model.mode])) for item in found.scored]
    tables = tables_of(found.scored, cohort, request.scope.patient, study.repeats)
    skipped = [item for items in found.skipped.values() for item in items]
    return ScoredCell(CellResult(summary, skipped, [*found.notes]), tables)


def scored_models(context: StageContext, cohort: EmbeddedCohort, method: str, study: EffectiveStudy) -> ScoredModels:
    """Cross-validate every model of a study on one embedding.

    Parameters
    ----------
    study
        The request's, or what is made of it for the null twin.

    Raises
    ------
    ValueError
        When no mode can score any patient.
    """
    scope = context.request.scope
    embedding = cohort.scores[method].astype(np.float64)
    alphas = np.asarray(study.alphas)
    scored: list[Scored] = []
    skipped: dict[str, Sequence[Skipped]] = {}
    notes: list[str] = []
    for mode in study.modes:
        parts = split(cohort, study, scope.patient, mode, f"{cohort.tag}/{method}")
        skipped[mode] = parts.skipped
        notes += parts.notes
        if not parts.parts:
            notes.append(f"{mode}: no patient can be scored: {parts.skipped[0].reason}")
            continue
        for entry in study.downsampling:
            models = [model for model in models_of(study) if (model.mode, model.downsampling) == (mode, entry.tag)]
            draws = training_draws(entry, cohort, scope)
            scored += score_models(context, embedding, cohort.positive, parts.parts, models, alphas, draws=draws)
    if not scored:
        reasons = "; ".join(dict.fromkeys(item.reason for items in skipped.values() for item in items))
        raise ValueError(
            f"no mode of {', '.join(study.modes)} can score any patient ({reasons}); see the plan's warnings"
        )
    return ScoredModels(scored, skipped, notes)
