"""The null twin of Plan 1C on a small built-in cohort: its files, its gate, and genes that the label chose."""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportOperatorIssue=false

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from stagewright.gates.__main__ import run_gates
from stagewright.gates.null_twin import null_twin
from stagewright.gates.protocol import EarlierAttempt, Finding, GateContext
from stagewright.stages.catalogue import count_units
from stagewright.state.artifacts import Outcome
from stagewright.state.attempts import read_request
from stagewright.state.spec import Adjustments, effective_study, parse_spec
from stagewright.state.step_units import step_units

SmallStudy = Any  # the fixture's class, which lives in conftest.py
TAG = "all_filtered_0p02"
FOLDER = "C/analysis/null_twin"
MODEL = ["mode", "downsampling", "penalty"]
RANDOM = {"method": "random", "ratio_threshold": 1.0, "few_ratio_threshold": 1.0, "min_cells_per_type": 2}
SPEC: dict[str, Any] = {
    "objective": "test",
    "data": {
        "path": "cohort.h5ad",
        "patient": "patient",
        "label": {"column": "CN.label", "positive": "cancer", "negative": "normal"},
        "columns": {"cell_type": "predicted.annotation"},
    },
    "stages": ["plan0", "plan1b", "plan1c"],
    "preprocess": [{"method": "all_filtered", "min_cells_fraction": 0.02}],
    "reduction": {"methods": ["pca"], "k": [3, 4], "seeds": [1]},
    "classifier": {
        "penalties": ["l1", "l2"],
        "alphas": [0.1, 1.0, 10.0, 100.0],
        "cv": {"folds": 3, "repeats": 2},
        "modes": ["pooled", "grouped", "per_patient"],
        "downsampling": ["none", RANDOM],
    },
}
N_MODELS = 3 * 2 * 2
MIDDLE = 10.0


def _execute(study: SmallStudy, step: str, **spec: object) -> Outcome:
    parsed = parse_spec(SPEC | spec)
    effective = effective_study(parsed, Adjustments(), "C")
    outcome: Outcome = study.execute(step, study=effective, scope=parsed.data, k_by_method={"pca": 3})
    return outcome


@pytest.fixture(scope="module")
def done(
    tmp_path_factory: pytest.TempPathFactory, study_at: Callable[[Path], SmallStudy]
) -> tuple[SmallStudy, Outcome]:
    """Execute Plan 1C once."""
    study = study_at(tmp_path_factory.mktemp("plan1c_twin"))
    return study, _execute(study, "C/plan1c")


@pytest.fixture
def step(done: tuple[SmallStudy, Outcome], tmp_path: Path) -> GateContext:
    """Return the executed step in a copy of its run, to be spoilt."""
    study, outcome = done
    shutil.copytree(study.run, tmp_path / "run")
    return GateContext(tmp_path / "run", cast("Any", None), read_request(study.attempt("C/plan1c")), outcome)


def _predictions(step: GateContext) -> pd.DataFrame:
    return pd.read_parquet(step.run / FOLDER / "plan1c" / TAG / "pca/oof_predictions.parquet")


def _one(table: pd.DataFrame, mode: str) -> "pd.Series[bool]":
    return (table["mode"] == mode) & (table["downsampling"] == "none") & (table["penalty"] == "l2")


def _write(step: GateContext, table: pd.DataFrame) -> None:
    """Write predictions, and the summary as a stage that made these would have."""
    table.to_parquet(step.run / FOLDER / "plan1c" / TAG / "pca/oof_predictions.parquet", index=False)
    path = step.run / FOLDER / "plan1c_summary.csv"
    summary = pd.read_csv(path).drop(columns="auc_within_strata_median")
    medians = _medians(table).rename("auc_within_strata_median").reset_index()
    summary.merge(medians, on=MODEL, how="left").to_csv(path, index=False)


def _medians(table: pd.DataFrame) -> Any:  # noqa: ANN401 - a series by model
    """Return the median over patients of scikit-learn's AUC of each model; the patients are the strata here."""
    scored = {
        (*key[:3], key[3]): roc_auc_score(rows["label"], rows["decision"])
        for key, rows in table.astype(dict.fromkeys(MODEL, str)).groupby([*MODEL, "patient"], observed=True)
        if rows["label"].nunique() == 2
    }
    return pd.Series(scored).rename_axis([*MODEL, "patient"]).groupby(MODEL).median()


def _bad(step: GateContext) -> list[Finding]:
    return [finding for finding in null_twin(step) if finding.severity != "pass"]


def test_a_row_for_each_model_follows_from_one_repeat_at_the_middle_strength(
    done: tuple[SmallStudy, Outcome],
) -> None:
    """The scores are scikit-learn's; the labels have each patient's class counts, and not their places."""
    study, outcome = done
    table = pd.read_parquet(study.run / FOLDER / "plan1c" / TAG / "pca/oof_predictions.parquet")
    assert {*table["alpha"]} == {MIDDLE}
    assert {*table["repeat"]} == {0}
    summary = pd.read_csv(study.run / FOLDER / "plan1c_summary.csv").set_index(MODEL)
    assert len(summary) == N_MODELS
    expected = _medians(table).reindex(summary.index)
    np.testing.assert_allclose(summary["auc_within_strata_median"], expected, atol=1e-12)
    observed = pd.read_parquet(study.run / "C/analysis/plan1c" / TAG / "pca/oof_predictions.parquet")
    labels = [one.drop_duplicates("cell").set_index("cell") for one in (table, observed)]
    counts = [one.groupby("patient", observed=True)["label"].agg(["sum", "size"]) for one in labels]
    pd.testing.assert_frame_equal(counts[0], counts[1])
    moved = (labels[0]["label"] != labels[1]["label"].reindex(labels[0].index)).sum()
    assert moved > 50
    (note,) = (note for note in outcome.notes if note.startswith("null twin"))
    assert f"score at most {summary['auc_within_strata_median'].max():.4f} within strata ({TAG}/pca/" in note


def test_its_units_are_counted_and_every_gate_passes(done: tuple[SmallStudy, Outcome]) -> None:
    """One unit for each embedding; a finding of the gate for each model, and none that fails or warns."""
    study, outcome = done
    request = read_request(study.attempt("C/plan1c"))
    names = {unit.name for unit in outcome.units if not unit.name.endswith("/genes")}
    assert names == {f"{TAG}/pca/k_3", f"{TAG}/pca/benchmark", f"null_twin/{TAG}/pca/benchmark"}
    assert names == {*step_units(request)}
    assert count_units("plan1c", request.study, ("plan0", "plan1c")) == len(names)
    findings = study.judge("C/plan1c")
    assert [item for item in findings if item.severity in ("fail", "error")] == []
    mine = [item for item in findings if item.gate == "null_twin"]
    assert len(mine) == 1 + N_MODELS
    assert {item.severity for item in mine} == {"pass"}
    assert f"{TAG}/pca/pooled.none.l1" in {item.subject for item in mine}


@pytest.mark.parametrize("mode", ["pooled", "grouped", "per_patient"])
def test_permuted_labels_that_are_predicted_fail(step: GateContext, mode: str) -> None:
    """Decisions of one model that know the permuted label; the finding names the model and what would help."""
    table = _predictions(step)
    table["decision"] += 5.0 * table["decision"].std() * table["label"] * _one(table, mode)
    _write(step, table)
    (found,) = _bad(step)
    assert (found.subject, found.severity) == (f"{TAG}/pca/{mode}.none.l2", "fail")
    assert "a preprocess that uses no label" in found.reason


def test_labels_that_did_not_move_fail(step: GateContext) -> None:
    """The observed labels in the place of permuted ones."""
    observed = pd.read_parquet(step.run / "C/analysis/plan1c" / TAG / "pca/oof_predictions.parquet")
    label = observed.astype({"cell": str}).drop_duplicates("cell").set_index("cell")["label"]
    table = _predictions(step)
    _write(step, table.assign(label=table["cell"].astype(str).map(label)))
    assert ("fail", "every label where it was") in {(one.severity, one.measured) for one in _bad(step)}


def test_a_strength_that_is_not_the_middle_one_fails(step: GateContext) -> None:
    """A strength chosen for its score would flatter the twin, or hide a leak."""
    table = _predictions(step)
    table["alpha"] = table["alpha"].where(~_one(table, "grouped"), 1.0)
    _write(step, table)
    (found,) = _bad(step)
    assert (found.subject, found.severity) == (f"{TAG}/pca/grouped.none.l2", "fail")
    assert found.threshold == "alpha 10, the middle one, whatever it scores"


def test_an_edited_summary_fails(step: GateContext) -> None:
    """What the summary says of each model has to follow from the predictions."""
    path = step.run / FOLDER / "plan1c_summary.csv"
    summary = pd.read_csv(path)
    summary.loc[4, "auc_within_strata_median"] -= 1e-3
    summary.to_csv(path, index=False)
    (found,) = _bad(step)
    assert (found.subject, found.severity) == (f"{TAG}/pca/{'.'.join(summary.loc[4, MODEL])}", "fail")


def test_a_mode_without_a_twin_is_a_warning_and_a_score_without_predictions_a_failure(step: GateContext) -> None:
    """Permuted labels may leave nobody to score in a mode; then there is no score either."""
    table = _predictions(step)
    _write(step, table[table["mode"] != "grouped"])
    found = _bad(step)
    assert {one.severity for one in found} == {"warn"}
    assert {one.subject for one in found} == {
        f"{TAG}/pca/grouped.{drawn}.{penalty}" for drawn in {*table["downsampling"]} for penalty in ("l1", "l2")
    }
    path = step.run / FOLDER / "plan1c_summary.csv"
    pd.read_csv(path).fillna({"auc_within_strata_median": 0.5}).to_csv(path, index=False)
    assert sum(one.severity == "fail" for one in _bad(step)) == 4


def test_where_no_label_can_be_permuted_it_warns(step: GateContext) -> None:
    """Strata of one class each: the finding says that nothing was tested, and what would help."""
    study = step.request.study.model_copy(update={"permutation_strata": ("CN.label",)})
    observed = pd.read_parquet(step.run / "C/analysis/plan1c" / TAG / "pca/oof_predictions.parquet")
    label = observed.astype({"cell": str}).drop_duplicates("cell").set_index("cell")["label"]
    table = _predictions(step)
    _write(step, table.assign(label=table["cell"].astype(str).map(label)))
    found = _bad(replace(step, request=step.request.model_copy(update={"study": study})))
    assert {(one.severity, one.measured) for one in found} == {
        ("warn", "no stratum of a scored patient has cells of both classes")
    }
    assert len(found) == N_MODELS


def test_genes_that_the_label_chose_are_those_of_plan1b(
    study: SmallStudy, how: Callable[[Outcome], dict[str, str]]
) -> None:
    """The permuted label chooses them once: Plan 1C takes them from the cache, and seals a log of its own."""
    spec = {
        "preprocess": [{"method": "deg_weak_screen", "min_genes": 40}],
        "classifier": SPEC["classifier"] | {"downsampling": ["none"], "modes": ["pooled"]},
    }
    _execute(study, "C/plan1b", **spec)
    sealed = study.sealed["C/plan1b"]
    earlier = EarlierAttempt(
        attempt=study.attempts, ended="executed", record=sealed.outcome, record_sha256=sealed.outcome_sha256
    )
    outcome = _execute(study, "C/plan1c", **spec)
    (entry,) = read_request(study.attempt("C/plan1c")).study.preprocess
    tag = entry.tag
    assert how(outcome) == {
        f"{tag}/pca/benchmark": "ran",
        f"null_twin/{tag}/genes": "reused",
        f"null_twin/{tag}/pca/k_3": "reused",
        f"null_twin/{tag}/pca/benchmark": "ran",
    }
    logs = [study.run / FOLDER / folder / tag / "gene_log.json" for folder in ("preprocess_cache", "plan1c")]
    assert logs[0].read_bytes() == logs[1].read_bytes()
    found = run_gates(study.question("C/plan1c").model_copy(update={"earlier": (earlier,)}))
    assert [item for item in found if item.severity in ("fail", "error")] == []
