"""Plan 1C as a stage after Plan 1A and 1B, on a small built-in cohort: its tables, its choice and its gates."""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportOperatorIssue=false

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from stagewright.gates.grouped_folds import grouped_folds
from stagewright.gates.protocol import Finding, GateContext
from stagewright.stages.catalogue import metric_names
from stagewright.stages.executors.local import LocalExecutor
from stagewright.stages.executors.shared import elsewhere
from stagewright.stages.protocol import UnitFailed
from stagewright.state.artifacts import Outcome
from stagewright.state.spec import Adjustments, GoalSpec, effective_study, parse_spec
from stagewright.state.step_request import StepRequest

SmallStudy = Any  # the fixture's class, which lives in conftest.py
MODES = ["pooled", "grouped", "per_patient"]
RANDOM = {"method": "random", "ratio_threshold": 1.0, "few_ratio_threshold": 1.0, "min_cells_per_type": 2}
CLASSIFIER: dict[str, Any] = {
    "penalties": ["l1", "l2", "elasticnet"],
    "l1_ratios": [0.25, 0.75],
    "alphas": [0.1, 1.0, 10.0],
    "cv": {"folds": 3, "repeats": 2},
    "modes": MODES,
    "downsampling": ["none", RANDOM],
}
DATA: dict[str, Any] = {
    "path": "cohort.h5ad",
    "patient": "patient",
    "label": {"column": "CN.label", "positive": "cancer", "negative": "normal"},
    "columns": {"cell_type": "predicted.annotation", "batch": "Tech"},
}
TAG = "all_filtered_0p02"
CHOSEN = {"pca": 3}
FOLDER = "C/analysis/plan1c"
MODEL = ["mode", "downsampling", "penalty"]


def spec_of(keep: list[str] | None = None, **classifier: object) -> GoalSpec:
    """Return the spec of a small study with Plan 1C, of some patients."""
    filters = [] if keep is None else [{"column": "patient", "keep": keep}]
    return parse_spec(
        {
            "objective": "test",
            "data": DATA | {"filters": filters},
            "stages": ["plan0", "plan1a", "plan1b", "plan1c"],
            "preprocess": [{"method": "all_filtered", "min_cells_fraction": 0.02}],
            "reduction": {"methods": ["pca"], "k": [3, 4], "seeds": [1]},
            "classifier": CLASSIFIER | classifier,
        }
    )


def execute(study: SmallStudy, step: str, spec: GoalSpec, **changes: object) -> Outcome:
    """Execute one step of a spec."""
    effective = effective_study(spec, Adjustments(), "C")
    fields: dict[str, Any] = {"study": effective, "scope": spec.data, "k_by_method": CHOSEN} | changes
    return study.execute(step, **fields)


def failures(findings: list[Finding]) -> list[str]:
    """Return what the gates found fault with."""
    return [f"{item.gate} {item.subject}: {item.measured}" for item in findings if item.severity in ("fail", "error")]


@pytest.fixture(scope="module")
def done(
    tmp_path_factory: pytest.TempPathFactory, study_at: Callable[[Path], SmallStudy]
) -> tuple[SmallStudy, Outcome]:
    """Execute Plan 1A, 1B and 1C once."""
    study = study_at(tmp_path_factory.mktemp("plan1c"))
    spec = spec_of()
    execute(study, "C/plan1a", spec)
    execute(study, "C/plan1b", spec)
    return study, execute(study, "C/plan1c", spec, workers=2)


def _summary(study: SmallStudy) -> pd.DataFrame:
    return pd.read_csv(study.run / FOLDER / "plan1c_summary.csv")


def test_every_gate_passes(done: tuple[SmallStudy, Outcome]) -> None:
    """Files, coverage, scores and grouped folds are as the gates recompute them; metrics are those promised."""
    study, outcome = done
    findings = study.judge("C/plan1c")
    assert failures(findings) == []
    judged = {item.gate for item in findings}
    assert {"promised_files", "patient_coverage", "prediction_coverage", "score_agreement", "grouped_folds"} <= judged
    assert set(outcome.metrics) == set(metric_names("plan1c", spec_of()))


def test_the_grid_is_whole_and_one_model_is_best(done: tuple[SmallStudy, Outcome]) -> None:
    """A row for each embedding, mode, downsampling and penalty; the best is the first by the stated order."""
    study, outcome = done
    table = _summary(study)
    assert len(table) == 3 * 2 * 4
    assert set(table["penalty"]) == {"l1", "l2", "elasticnet_0p25", "elasticnet_0p75"}
    order = ["auc_median", "average_precision_median", "recall_positive_median", "alpha"]
    best = table.sort_values(order, ascending=False, kind="stable").iloc[0]
    assert best["best"]
    assert table["best"].sum() == 1
    assert outcome.metrics["plan1c.best.auc"] == best["auc_median"]
    for mode in MODES:
        assert outcome.metrics[f"plan1c.{mode}.auc"] == table.loc[table["mode"] == mode, "auc_median"].max()
    assert (table["auc_median_low"] <= table["auc_median"]).all()
    assert (table["auc_median"] <= table["auc_median_high"]).all()
    assert (table["worst_gap"] <= 1e-8).all()
    whole = table[table["downsampling"] == "none"]["n_train"].to_numpy()
    assert (table[table["downsampling"] != "none"]["n_train"].to_numpy() < whole).all()


def test_scores_are_those_of_scikit_learn(done: tuple[SmallStudy, Outcome]) -> None:
    """AUC and average precision of pooled models follow from the predictions, by patient and over all cells."""
    study, _ = done
    folder = study.run / FOLDER / "all_filtered_0p02/pca"
    predictions, metrics = pd.read_parquet(folder / "oof_predictions.parquet"), pd.read_csv(folder / "metrics.csv")
    one = predictions[(predictions["mode"] == "pooled") & (predictions["downsampling"] == "none")]
    one = one[one["penalty"] == "l2"]
    chosen = metrics[metrics["chosen"]].set_index([*MODEL, "patient"]).sort_index()
    for patient in chosen.loc[("pooled", "none", "l2")].index:
        mine = one[one["patient"] == patient]
        by_repeat = [part for _, part in mine.groupby("repeat")]
        auc = np.mean([roc_auc_score(part["label"], part["decision"]) for part in by_repeat])
        ap = np.mean([average_precision_score(part["label"], part["decision"]) for part in by_repeat])
        row = chosen.loc[("pooled", "none", "l2", patient)]
        assert row["auc_mean"] == pytest.approx(auc, abs=1e-12)
        assert row["average_precision_mean"] == pytest.approx(ap, abs=1e-12)
    table = _summary(study).set_index(["method", *MODEL]).sort_index()
    together = np.mean([roc_auc_score(part["label"], part["decision"]) for _, part in one.groupby("repeat")])
    assert table.loc[("pca", "pooled", "none", "l2"), "auc_all_cells"] == pytest.approx(together, abs=1e-12)


def test_within_patients_it_is_plan1b(done: tuple[SmallStudy, Outcome]) -> None:
    """Alone and on all training cells, a patient has the folds and the scores of Plan 1B."""
    study, _ = done
    ours = pd.read_csv(study.run / FOLDER / "all_filtered_0p02/pca/metrics.csv").set_index(MODEL).sort_index()
    ours = ours.loc[("per_patient", "none", "l1")].set_index(["patient", "alpha"]).sort_index()
    theirs = pd.read_csv(study.run / "C/analysis/classification_grid/all_filtered_0p02/pca/metrics.csv")
    theirs = theirs[theirs["penalty"] == "l1"].set_index(["patient", "alpha"]).sort_index()
    assert len(ours) == len(theirs)
    np.testing.assert_array_equal(ours["auc_mean"], theirs["auc_mean"])
    np.testing.assert_array_equal(ours["brier_mean"], theirs["brier_mean"])


def test_no_patient_is_on_both_sides_of_a_grouped_fold(done: tuple[SmallStudy, Outcome]) -> None:
    """In every repeat a patient's cells lie in one fold; pooled folds hold cells of every patient."""
    study, _ = done
    table = pd.read_parquet(study.run / FOLDER / "all_filtered_0p02/pca/oof_predictions.parquet")
    n_folds = table.groupby(["mode", "patient", "repeat", *MODEL[1:]], observed=True)["fold"].nunique()
    assert (n_folds["grouped"] == 1).all()
    assert (n_folds["pooled"] == 3).all()


def test_a_group_that_is_split_is_found(done: tuple[SmallStudy, Outcome]) -> None:
    """One cell that was moved to another fold fails the gate, by the patient's name."""
    study, _ = done
    folder = study.attempt("C/plan1c")
    request = StepRequest.model_validate_json((folder / "request.json").read_bytes())
    listed = Outcome.model_validate_json((folder / "outcome.json").read_bytes())
    context = GateContext(study.run, cast("Any", None), request, listed)
    path = study.run / FOLDER / TAG / "pca/oof_predictions.parquet"
    aside = path.rename(path.with_suffix(".aside"))  # not changed in place: the file is a link to that of the cache
    table = pd.read_parquet(aside)
    row = int(np.flatnonzero((table["mode"] == "grouped").to_numpy())[0])
    table.loc[row, "fold"] = (table.loc[row, "fold"] + 1) % 3
    table.to_parquet(path, index=False)
    try:
        found = [item for item in grouped_folds(context) if item.severity == "fail"]
    finally:
        aside.rename(path)
    assert len(found) == 1
    assert str(table.loc[row, "patient"]) in found[0].subject


def test_what_else_tells_the_label_is_written(done: tuple[SmallStudy, Outcome]) -> None:
    """Contingency, association and trivial predictions stand beside the scores."""
    study, _ = done
    figures = json.loads((study.run / FOLDER / "confounding.json").read_text())
    assert set(figures["columns"]) == {"patient", "cell_type", "batch"}
    assert 0 < figures["columns"]["cell_type"]["cramers_v"] <= 1
    table = pd.read_csv(study.run / FOLDER / "confounding.csv")
    assert set(table.groupby("role")["n_positive"].sum()) == {figures["n_positive"]}
    trivial = pd.read_csv(study.run / FOLDER / "baselines.csv")
    assert (trivial["majority_accuracy"] >= 0.5).all()
    assert trivial["auc_library_size"].dropna().between(0, 1).all()


def test_results_do_not_depend_on_workers_and_are_reused(
    done: tuple[SmallStudy, Outcome], new_study: Callable[[str], SmallStudy]
) -> None:
    """One worker writes the same tables; a step executed again takes them from the cache."""
    study, _ = done
    other = new_study("one_worker")
    spec = spec_of()
    execute(other, "C/plan1a", spec)
    execute(other, "C/plan1c", spec)
    for path in sorted((study.run / FOLDER).rglob("*.csv")):
        assert path.read_bytes() == (other.run / path.relative_to(study.run)).read_bytes(), path.name
    again = execute(other, "C/plan1c", spec)
    assert {unit.how for unit in again.units} == {"reused"}


def test_alone_it_makes_the_embeddings(study: SmallStudy) -> None:
    """Without Plan 1A and 1B the embeddings are its own units."""
    outcome = execute(study, "C/plan1c", spec_of(modes=["pooled"], penalties=["l1"], downsampling=["none"]))
    names = {unit.name for unit in outcome.units}
    assert names == {f"{TAG}/genes", f"{TAG}/pca/k_3", f"{TAG}/pca/benchmark", f"null_twin/{TAG}/pca/benchmark"}
    assert failures(study.judge("C/plan1c")) == []


def test_what_a_fold_is_sent_does_not_grow_with_the_cells(study: SmallStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, draws and features are shared, and no call has an array with an item for each cell beside them."""
    lengths: list[int] = []
    call = LocalExecutor.call

    def looked_at(self: LocalExecutor, function: Any, *arguments: Any, **how: Any) -> Any:  # noqa: ANN401 - whatever
        if function.__name__ == "_predicted":
            lengths.append(len(pickle.dumps(tuple(map(elsewhere, arguments)))))
        return call(self, function, *arguments, **how)

    monkeypatch.setattr(LocalExecutor, "call", looked_at)
    outcome = execute(study, "C/plan1c", spec_of(modes=["pooled"], penalties=["l1"], downsampling=[RANDOM]))
    assert outcome.n_cells is not None
    assert len(lengths) == 6 + 3  # two repeats, and one of the null twin
    assert max(lengths) < 8 * outcome.n_cells


def test_a_source_that_is_not_there_is_one_clear_error(study: SmallStudy) -> None:
    """The error names the levels that the column has."""
    spec = spec_of(downsampling=[RANDOM | {"source": "batch", "source_level": "donor"}])
    with pytest.raises(UnitFailed) as failed:
        execute(study, "C/plan1c", spec)
    assert "no cell has 'donor'" in str(failed.value.__cause__)


def test_patients_without_a_score_are_named_with_a_reason(done: tuple[SmallStudy, Outcome]) -> None:
    """A patient with one class is trained on in pooled models and left out alone."""
    _, outcome = done
    reasons = {item.where.rpartition("/")[2]: item.reason for item in outcome.skipped}
    assert "no AUC of its own" in reasons["pooled"]
    assert "only one class" in reasons["per_patient"]


def test_of_one_patient_with_both_classes_its_own_cells_are_measured(study: SmallStudy) -> None:
    """Beside a patient with one class, pooled scores are still those of the patient; there is no interval."""
    spec = spec_of(["P01", "P08"], modes=["pooled"], penalties=["l1"], downsampling=["none"])
    execute(study, "C/plan1c", spec)
    assert failures(study.judge("C/plan1c")) == []
    row = _summary(study).iloc[0]
    assert row["n_patients"] == 1
    assert row["auc_median"] != row["auc_all_cells"]
    assert np.isnan(row["auc_median_low"])
