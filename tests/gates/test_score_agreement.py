"""Scores that do not follow from the predictions are found, by one gate."""

import shutil
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from stagewright.gates.__main__ import run_gates
from stagewright.gates.oof_auc import roc_auc_by_repeat
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.score_agreement import score_agreement
from stagewright.state.spec.preprocess import AllFiltered

StepOf = Callable[[str], GateContext]
Reseal = Callable[[GateContext], GateContext]
Change = Callable[[pd.DataFrame], None]

FOLDER = "B/analysis/classification_grid"
SUMMARY = f"{FOLDER}/plan1b_summary.csv"
RESCUED = AllFiltered(method="all_filtered", enrichment_ratio=20.0)


def _bad(findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.severity != "pass"]


def _edit(step: GateContext, path: str, change: Change) -> None:
    table = pd.read_csv(step.run / path)
    change(table)
    table.to_csv(step.run / path, index=False)


def _with_metrics(step: GateContext, metrics: dict[str, float]) -> GateContext:
    return replace(step, outcome=step.outcome.model_copy(update={"metrics": metrics}))


def _raise(column: str, by: float, **where: str | float) -> Change:
    def change(table: pd.DataFrame) -> None:
        rows = np.logical_and.reduce([table[name] == value for name, value in where.items()])
        assert rows.any()
        table.loc[rows, column] += by

    return change


def _best_is_the_other(table: pd.DataFrame) -> None:
    table["best"] = ~table["best"]


def _all_best(table: pd.DataFrame) -> None:
    table["best"] = True


def _other_method(table: pd.DataFrame) -> None:
    table["method"] = "pca"


def _best_is_the_third(table: pd.DataFrame) -> None:
    table["best"] = table.index == 2


def _said_to_use_no_label(table: pd.DataFrame) -> None:
    table["supervised"] = False


def _said_to_be_supervised(table: pd.DataFrame) -> None:
    table["supervised"] = True


def test_the_auc_is_that_of_scikit_learn_with_ties() -> None:
    """Within 1e-12, tied decision values within and between the classes included; rows in any order."""
    rng = np.random.default_rng(4)
    parts = [
        pd.DataFrame({"penalty": "l1", "patient": patient, "repeat": repeat, "label": np.arange(30) < positive})
        for patient, positive in (("A", 1), ("B", 12))
        for repeat in range(3)
    ]
    table = pd.concat(parts, ignore_index=True)
    table["decision"] = rng.integers(0, 6, len(table)) / 3.0
    found = roc_auc_by_repeat(table.sample(frac=1.0, random_state=1).astype({"patient": "category"}))
    assert len(found) == 6
    for key, mine in table.groupby(["penalty", "patient", "repeat"]):
        assert found.to_dict()[key] == pytest.approx(roc_auc_score(mine["label"], mine["decision"]), abs=1e-12)


def test_an_auc_that_is_not_defined_is_nan() -> None:
    """Without one of the classes, or with a decision value that is not a number; an infinite one has its rank."""
    table = pd.DataFrame(
        {
            "penalty": "l1",
            "patient": list("AAABBBCCC"),
            "repeat": 0,
            "label": [True, True, True, True, False, False, True, False, False],
            "decision": [1.0, 2.0, 3.0, 1.0, np.nan, 0.0, np.inf, 0.0, 5.0],
        }
    )
    assert roc_auc_by_repeat(table).droplevel(["penalty", "repeat"]).fillna(-1.0).to_dict() == {
        "A": -1,
        "B": -1,
        "C": 1,
    }


@pytest.mark.parametrize(
    ("path", "change", "subject"),
    [
        ("hvg_40/nmf/metrics.csv", _raise("auc_mean", 2e-6, patient="P3", alpha=1.0), "patient P3 auc_mean"),
        ("plan1b_summary.csv", _raise("auc_median", 0.01, method="nmf"), "hvg_40/nmf/l1 auc_median"),
        ("plan1b_summary.csv", _raise("auc_max", -0.01, method="pca"), "hvg_40/pca/l1 auc_max"),
        ("plan1b_summary.csv", _raise("alpha", 9.0, method="pca"), "hvg_40/pca/l1 alpha"),
        ("plan1b_summary.csv", _other_method, "hvg_40/nmf/l1"),
        ("plan1b_summary.csv", _best_is_the_other, "row marked best"),
        ("plan1b_summary.csv", _all_best, "row marked best"),
        ("plan1b_summary.csv", _said_to_be_supervised, "hvg_40 supervised"),
    ],
)
def test_an_edited_table_fails_this_gate_and_no_other(
    path: str, change: Change, subject: str, step_of: StepOf, reseal: Reseal
) -> None:
    """Sealed as if the stage had written it so, whatever disagrees with the predictions is named."""
    step = step_of("plan1b")
    _edit(step, f"{FOLDER}/{path}", change)
    found = _bad(run_gates(reseal(step).asked))
    assert {(finding.gate, finding.severity) for finding in found} == {("score_agreement", "fail")}
    assert any(finding.subject.endswith(subject) for finding in found)


def test_a_score_at_another_alpha_is_not_compared(step_of: StepOf, reseal: Reseal) -> None:
    """Predictions are kept at the chosen alpha only; the others cannot be recomputed from them."""
    step = step_of("plan1b")
    _edit(step, f"{FOLDER}/hvg_40/nmf/metrics.csv", _raise("auc_mean", 0.1, patient="P3", alpha=10.0))
    assert _bad(run_gates(reseal(step).asked)) == []


def test_predictions_of_several_alphas_fail(step_of: StepOf, reseal: Reseal) -> None:
    """All predictions of a configuration and penalty are at the one alpha that was chosen."""
    step = step_of("plan1b")
    path = step.run / FOLDER / "hvg_40/nmf/oof_predictions.parquet"
    table = pd.read_parquet(path)
    table.loc[table["patient"] == "P1", "alpha"] = 10.0
    table.to_parquet(path, index=False)
    found = _bad(run_gates(reseal(step).asked))
    assert {(finding.gate, finding.severity) for finding in found} == {("score_agreement", "fail")}


@pytest.mark.parametrize("name", ["plan1b.best.auc", "plan1b.hvg_40.nmf.l1.auc"])
def test_an_edited_metric_of_the_outcome_fails_this_gate_and_no_other(
    name: str, step_of: StepOf, reseal: Reseal
) -> None:
    """Stop criteria read the outcome, not the tables."""
    step = step_of("plan1b")
    metrics = step.outcome.metrics
    (found,) = _bad(run_gates(reseal(_with_metrics(step, metrics | {name: metrics[name] + 0.05})).asked))
    assert (found.gate, found.severity, found.subject) == ("score_agreement", "fail", name)
    assert found.measured == f"{metrics[name] + 0.05:.6f}"


def test_an_outcome_without_the_best_auc_fails(step_of: StepOf, reseal: Reseal) -> None:
    """A metric that is not there does not agree."""
    step = step_of("plan1b")
    others = {name: value for name, value in step.outcome.metrics.items() if name != "plan1b.best.auc"}
    (found,) = _bad(run_gates(reseal(_with_metrics(step, others)).asked))
    assert (found.gate, found.severity, found.measured) == ("score_agreement", "fail", "missing")


def _with_rescued_genes(step: GateContext) -> GateContext:
    """Add a preprocess that used the labels, with the same predictions turned so that each patient's AUC is 1."""
    grid = step.run / FOLDER
    shutil.copytree(grid / "hvg_40", grid / RESCUED.tag)
    for method in ("pca", "nmf"):
        path = grid / RESCUED.tag / method / "oof_predictions.parquet"
        table = pd.read_parquet(path)
        table.assign(decision=table["decision"] + 100.0 * table["label"]).to_parquet(path, index=False)
        metrics = pd.read_csv(grid / RESCUED.tag / method / "metrics.csv")
        metrics.assign(auc_mean=1.0).to_csv(grid / RESCUED.tag / method / "metrics.csv", index=False)
    summary = pd.read_csv(step.run / SUMMARY).assign(supervised=False)
    perfect = dict.fromkeys(("auc_median", "auc_mean", "auc_min", "auc_max"), 1.0)
    better = summary.assign(preprocess=RESCUED.tag, supervised=True, best=False, **perfect)
    pd.concat([summary, better]).to_csv(step.run / SUMMARY, index=False)
    study = step.request.study
    study = study.model_copy(update={"preprocess": (*study.preprocess, RESCUED)})
    return replace(step, request=step.request.model_copy(update={"study": study}))


def _gate(step: GateContext) -> list[str]:
    return [finding.subject for finding in _bad(tuple(score_agreement(step)))]


def test_the_best_is_among_the_rows_without_labels(step_of: StepOf) -> None:
    """A higher AUC on genes that were selected with the labels is not the best, neither as metric nor as row."""
    step = _with_rescued_genes(step_of("plan1b"))
    assert _gate(step) == []
    assert _gate(_with_metrics(step, step.outcome.metrics | {"plan1b.best.auc": 1.0})) == ["plan1b.best.auc"]
    _edit(step, SUMMARY, _best_is_the_third)
    assert _gate(step) == ["row marked best"]


def test_a_row_that_hides_its_labels_is_found(step_of: StepOf) -> None:
    """Which rows are supervised follows from the request, whatever the table says."""
    step = _with_rescued_genes(step_of("plan1b"))
    _edit(step, SUMMARY, _best_is_the_third)
    _edit(step, SUMMARY, _said_to_use_no_label)
    step = _with_metrics(step, step.outcome.metrics | {"plan1b.best.auc": 1.0})
    assert _gate(step) == [f"{RESCUED.tag} supervised"]


def test_the_best_is_among_all_rows_when_all_used_labels(step_of: StepOf) -> None:
    """A study of such genes only has a best row all the same."""
    step = _with_rescued_genes(step_of("plan1b"))
    table = pd.read_csv(step.run / SUMMARY)
    table = table[table["supervised"]].assign(best=[True, False])
    table.to_csv(step.run / SUMMARY, index=False)
    study = step.request.study.model_copy(update={"preprocess": (RESCUED,)})
    step = replace(step, request=step.request.model_copy(update={"study": study}))
    assert _gate(_with_metrics(step, {"plan1b.best.auc": 1.0})) == []
