"""Plan 1C: the supervised benchmark on the embeddings of Plan 1, over modes, downsampling and penalties.

Each embedding is scored pooled over all patients, by models of other patients (`grouped`), or within each patient, as
`classifier.modes` says; always patient by patient, from out-of-fold predictions. `plan1c_parts` says how cells are
split, `plan1c_draws` what is trained on, `plan1c_scores` how a strength is chosen. A preprocess that chose its genes by
the label is scored, and never the best. Beside the models of each embedding their null twin is scored, under permuted
labels (`negative_controls.benchmark_twin`).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pydantic import JsonValue

from stagewright.stages.baselines import baseline_columns, baselines, scored_patients
from stagewright.stages.classify.calibration import N_BINS
from stagewright.stages.classify.choice import OBJECTIVE, TIE
from stagewright.stages.classify.patient_interval import LEVEL, N_RESAMPLES
from stagewright.stages.confounding import confounding
from stagewright.stages.files import save_csv
from stagewright.stages.negative_controls.benchmark_twin import benchmark_twin
from stagewright.stages.negative_controls.twin_note import twin_note
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_grid import GridResult, over_grid
from stagewright.stages.plan1_tables import SummaryRow, configurations, supervised_notes, unsupervised
from stagewright.stages.plan1c_cell import score_models_of
from stagewright.stages.protocol import StageContext, StageResult
from stagewright.stages.refit.cohort_once import CohortOnce
from stagewright.state.layout import plan1c_folder, plan1c_twin_summary
from stagewright.state.step_units import has_twin

__all__ = ["run"]

OF_BEST = {
    "auc": "auc_median",
    "auc_choice_left_out": "auc_choice_left_out_median",
    "average_precision": "average_precision_median",
    "recall_positive": "recall_positive_median",
}
"""The metrics of the best model, by the column of the summary."""


def run(context: StageContext) -> StageResult:
    """Score every model on every embedding of the grid.

    Raises
    ------
    UnitFailed
        When an embedding or its models fail; it names the unit.
    """
    request = context.request
    counts, with_twin = CohortOnce(context), has_twin(request.stage, request.study)
    twin: list[SummaryRow] = []

    def beside(cohort: EmbeddedCohort) -> None:
        if with_twin:
            twin.extend(benchmark_twin(context, counts, cohort))

    grid = over_grid(context, "benchmark", score_models_of, beside=[beside])
    if with_twin:
        save_csv(context.artifacts, plan1c_twin_summary(request.checkpoint), pd.DataFrame(twin))
    best = _best(grid.summary)
    of_mode: dict[str, SummaryRow] = {
        mode: _best(rows) for mode in request.study.modes if (rows := _of_mode(grid.summary, mode))
    }
    _write(context, grid, best, of_mode)
    metrics = _of_best("plan1c.best", best)
    for mode, row in of_mode.items():
        metrics |= _of_best(f"plan1c.{mode}", row)
    metrics["plan1c.n_patients"] = float(min(int(row["n_patients"]) for row in grid.summary))
    metrics |= {f"plan1c.{_name(row, '.')}.auc": float(row["auc_median"]) for row in grid.summary}
    return StageResult(
        metrics={name: value for name, value in metrics.items() if np.isfinite(value)},
        configurations=configurations(grid.summary),
        skipped=grid.skipped,
        notes=(
            *(
                f"best {mode} model: {_name(row, '/')}, median AUC over patients {row['auc_median']:.4f}"
                for mode, row in of_mode.items()
            ),
            *supervised_notes(grid.summary),
            *([twin_note(twin)] if twin else []),
            *grid.notes,
        ),
        trials=tuple(_trial(row) for row in grid.summary),
        n_cells=grid.n_cells,
    )


def _write(context: StageContext, grid: GridResult, best: SummaryRow, of_mode: dict[str, SummaryRow]) -> None:
    """Write the summary, what trivial predictions reach, and what else tells the label."""
    request = context.request
    folder = plan1c_folder(request.checkpoint)
    trivial = baselines(grid.cells, request.scope.patient)
    rows = []
    for row in grid.summary:
        where = f"{row['preprocess']}/{row['method']}/{row['mode']}"
        patients = scored_patients(trivial, grid.skipped, where)
        marks = {"best_of_mode": row is of_mode[str(row["mode"])], "best": row is best}
        rows.append(row | baseline_columns(trivial, patients) | marks)
    save_csv(context.artifacts, folder / "plan1c_summary.csv", pd.DataFrame(rows))
    save_csv(context.artifacts, folder / "baselines.csv", trivial)
    contingency, figures = confounding(grid.cells, request.scope)
    figures["auc_of_best_models"] = {mode: round(float(row["auc_median"]), 6) for mode, row in of_mode.items()}
    save_csv(context.artifacts, folder / "confounding.csv", contingency)
    context.artifacts.write_json(folder / "confounding.json", figures)
    context.artifacts.write_json(folder / "choice.json", _choice(best, of_mode))


def _choice(best: SummaryRow, of_mode: dict[str, SummaryRow]) -> dict[str, JsonValue]:
    """Return how models were chosen and which ones, for a reader of the folder."""
    return {
        "objective": "median over patients of the AUC over a patient's out-of-fold predictions, mean over repeats",
        "order": [*OBJECTIVE, "stronger penalty (larger alpha)", "first in the order of the grid"],
        "tie": TIE,
        "interval": f"percentile bootstrap over patients, {N_RESAMPLES} draws, level {LEVEL:g}",
        "calibration": f"{N_BINS} bins of equal width, both classes with the same weight",
        "downsampling": "training cells only; every cell is predicted",
        "best": _name(best, "/"),
        "best_of_mode": {mode: _name(row, "/") for mode, row in of_mode.items()},
    }


def _best(rows: Sequence[SummaryRow]) -> SummaryRow:
    """Return the best row by the objective and its tie-breakers; the first in the order of the grid among equals."""
    left = unsupervised(rows)
    for column in ("auc_median", "average_precision_median", "recall_positive_median", "alpha"):
        values = [float(row[column]) for row in left]
        highest = max(values)
        left = [row for row, value in zip(left, values, strict=True) if value >= highest - TIE]
    return left[0]


def _of_mode(rows: Sequence[SummaryRow], mode: str) -> list[SummaryRow]:
    return [row for row in rows if row["mode"] == mode]


def _of_best(prefix: str, row: SummaryRow) -> dict[str, float]:
    return {f"{prefix}.{name}": float(row[column]) for name, column in OF_BEST.items()}


def _name(row: SummaryRow, separator: str) -> str:
    parts = ("preprocess", "method", "mode", "downsampling", "penalty")
    return separator.join(str(row[part]) for part in parts)


def _trial(row: SummaryRow) -> dict[str, JsonValue]:
    named = ("preprocess", "supervised", "method", "k", "mode", "downsampling", "penalty", "alpha")
    trial: dict[str, JsonValue] = {name: row[name] for name in named}
    return trial | {"metric": "auc_median", "value": round(float(row["auc_median"]), 6)}
