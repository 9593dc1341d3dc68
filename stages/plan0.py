"""Plan 0: sweep K for each method on one reference preprocess, measure how stable the components are, choose K.

Replicates differ by their seed, or by a bootstrap sample of the cells or of the patients; the components of all pairs
of them are matched one to one. By seed, a seed-invariant method (exact PCA) is fitted once for each K, and its
stability is said not to apply rather than reported as 1. One more fit of each method and K leaves cells out and
predicts them. The rule that chooses K is that of `stability.choose_k`.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from stagewright.stages.bootstrapped import Bootstrapped
from stagewright.stages.cohort.load import Cohort, load_cohort
from stagewright.stages.files import save_csv
from stagewright.stages.fits import MatrixFits
from stagewright.stages.gene_unit import genes_of
from stagewright.stages.held_out_unit import HeldOutFits, Prediction
from stagewright.stages.k_selection import Replicate, Sweep, k_selection, kept
from stagewright.stages.preprocess.scale import to_scale
from stagewright.stages.protocol import StageContext, StageResult, Unit, UnitFailed
from stagewright.stages.reduction.catalogue import FitUnit
from stagewright.stages.reduction.sweep import SharedMatrix
from stagewright.stages.stability.choose_k import KChoice
from stagewright.state.layout import analysis, replicate_folder
from stagewright.state.spec.data import DataScope
from stagewright.state.spec.effective import EffectiveStudy
from stagewright.state.step_units import fit_unit, seeds_of

__all__ = ["run"]


@dataclass(frozen=True, slots=True)
class _Todo:
    """One unit: replicate `number` of a method and K, or, without a number, its held-out fit."""

    what: FitUnit
    number: int | None


def run(context: StageContext) -> StageResult:
    """Fit the sweep, write each replicate, and choose K for each method.

    Raises
    ------
    UnitFailed
        When no genes can be selected, or more fits fail for good than the spec allows, or all of a method.
    """
    request, study = context.request, context.request.study
    cohort = load_cohort(request, context.artifacts.staging)
    context.workload.is_now(cohort.source.shape, cohort.source.n_nonzero)
    folder = analysis(request.checkpoint) / "plan0"
    genes = genes_of(context, cohort, study.reference, folder)
    matrix = to_scale(cohort.source, genes, study.normalisation)
    save_csv(context.artifacts, folder / "cells.csv", _cells(cohort, request.scope))
    fits = MatrixFits(context, cohort, study.reference, SharedMatrix(matrix))
    try:
        swept = _sweep(context, fits, cohort.patients)
    finally:
        fits.forget()
    rows, choices = k_selection(context, swept)
    save_csv(context.artifacts, folder / "k_selection_summary.csv", pd.DataFrame(rows))
    return StageResult(
        metrics=_metrics(rows, choices),
        k_by_method={method: choice.k for method, choice in choices.items()},
        k_shortlist={method: choice.shortlist for method, choice in choices.items()},
        notes=(*cohort.notes, *(f"{method}: {choice.reason}" for method, choice in choices.items())),
        n_cells=cohort.n_cells,
    )


def _cells(cohort: Cohort, scope: DataScope) -> pd.DataFrame:
    """Return which cell each row of the scores is."""
    columns = {"patient": scope.patient, "label": scope.label.column}
    if scope.timepoint is not None:
        columns["timepoint"] = scope.timepoint.column
    return pd.DataFrame({"cell": cohort.obs.index} | {name: cohort.column(column) for name, column in columns.items()})


def _sweep(context: StageContext, fits: MatrixFits, patients: pd.Series) -> Sweep:
    """Do every unit; return what is needed to compare them, by method and K, without those that failed for good."""
    study = context.request.study
    todo = _todo(study)
    samples = {
        number: Bootstrapped(
            fits.shared, fits.share, patients, study.replicates, number, sum(one.number == number for one in todo)
        )
        for number in study.seeds
        if study.replicates != "seed"
    }
    n_held_out = sum(one.number is None for one in todo)
    held_out = None if study.held_out is None else HeldOutFits(context, fits, patients, study.held_out, n_held_out)
    failures: dict[str, UnitFailed] = {}

    def do(one: _Todo) -> Replicate | Prediction | None:
        try:
            if one.number is not None:
                return _replicate(context, fits, one.what, one.number, samples.get(one.number))
            return None if held_out is None else held_out.predict(one.what)
        except UnitFailed as failed:
            context.tolerate(failed)
            failures[one.what.method] = failed
            return None

    replicates: dict[tuple[str, int], list[Replicate]] = defaultdict(list)
    predictions: dict[tuple[str, int], Prediction] = {}
    for one, done in zip(todo, context.map(do, todo), strict=True):
        key = one.what.method, one.what.k
        if isinstance(done, Replicate):
            replicates[key].append(done)
        elif done is not None:
            predictions[key] = done
    for method, failed in failures.items():
        if not any(name == method for name, _ in replicates):
            raise failed  # nothing is left to choose K from
    ordered = {key: sorted(found, key=lambda item: item.number) for key, found in replicates.items()}
    return Sweep(MappingProxyType(ordered), MappingProxyType(predictions))


def _todo(study: EffectiveStudy) -> list[_Todo]:
    """List the units in the order in which they are begun.

    One group after the other shares what its fits have in common: all seeds, each bootstrap sample, the training cells.
    Within a group one factor analysis comes first, which makes the correlations that the others need; while it does,
    other workers fit what needs none, the largest first. The other factor analyses are short and come last, so that no
    worker waits long for another.
    """
    todo: list[_Todo] = []
    for method, ks in study.ks.items():
        for k in ks:
            for number in seeds_of(study, method):
                seed = number if study.replicates == "seed" else study.seeds[0]
                todo.append(_Todo(FitUnit(method, k, seed), number))
            if study.held_out is not None:
                todo.append(_Todo(FitUnit(method, k, study.seeds[0]), None))

    def number_of(one: _Todo) -> int:
        return len(study.seeds) if one.number is None else study.seeds.index(one.number)

    def group_of(one: _Todo) -> int:
        return 0 if study.replicates == "seed" and one.number is not None else number_of(one)

    todo.sort(key=lambda one: (-one.what.k, number_of(one)))
    leading = {group_of(one): one for one in reversed(todo) if one.what.method == "fa"}
    return sorted(
        todo,
        key=lambda one: (group_of(one), one is not leading.get(group_of(one)), one.what.method == "fa"),
    )


def _replicate(
    context: StageContext, fits: MatrixFits, what: FitUnit, number: int, sample: Bootstrapped | None
) -> Replicate:
    unit = Unit(fit_unit(what.method, what.k, number), method=what.method, k=what.k)
    place = replicate_folder(context.request.checkpoint, what.method, what.k, number)
    try:
        return kept(number, fits.fit(unit, what, place, sample))
    finally:
        if sample is not None:
            sample.done()


def _metrics(rows: list[dict[str, object]], choices: Mapping[str, KChoice]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for row in rows:
        method = str(row["method"])
        if row["chosen"]:
            metrics[f"plan0.{method}.k"] = float(choices[method].k)
            metrics[f"plan0.{method}.explained"] = float(str(row["explained"]))
            for name in ("stability_median", "held_out_r2"):
                if row[name] is not None:
                    metrics[f"plan0.{method}.{name}"] = float(str(row[name]))
    return metrics
