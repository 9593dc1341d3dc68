"""The gate on Plan 1b's null twin: leaks, labels that did not move, a choice that is not the others'."""

# Tables and libraries without types: what is read from them is compared, not computed with.
# pyright: reportArgumentType=false

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from stagewright.gates.null_twin import null_twin
from stagewright.gates.places import twin_curves, twin_oof
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.layout import null_twin_summary
from stagewright.state.spec.preprocess import Hvg

StepOf = Callable[[str], GateContext]
TAG = "hvg_40"


def _bad(step: GateContext) -> list[Finding]:
    return [finding for finding in null_twin(step) if finding.severity != "pass"]


def _predictions(step: GateContext, method: str) -> pd.DataFrame:
    return pd.read_parquet(step.run / twin_oof("B", "plan1b", TAG, method))


def _twin_is(step: GateContext, method: str, table: pd.DataFrame) -> None:
    """Write a twin's predictions, and its tables as a stage that made these would have."""
    table.to_parquet(step.run / twin_oof("B", "plan1b", TAG, method), index=False)
    auc = {name: roc_auc_score(one["label"], one["decision"]) for name, one in table.groupby("patient")}
    curves = pd.read_csv(step.run / twin_curves("B", TAG, method))
    away = np.where(curves["alpha"] == table["alpha"].iloc[0], 0.0, 0.1)
    curves["auc_within_strata"] = curves["patient"].map(auc) - away
    curves.to_csv(step.run / twin_curves("B", TAG, method), index=False)
    summary = pd.read_csv(step.run / null_twin_summary("B"))
    summary.loc[summary["method"] == method, "auc_within_strata_median"] = np.median([*auc.values()])
    summary.to_csv(step.run / null_twin_summary("B"), index=False)


def test_a_twin_at_chance_passes(step_of: StepOf) -> None:
    """Labels moved within strata, scores as reported, both methods below the upper end of chance."""
    found = list(null_twin(step_of("plan1b")))
    assert {finding.severity for finding in found} == {"pass"}
    assert {finding.subject for finding in found} == {"B/plan1b", f"{TAG}/pca/l1", f"{TAG}/nmf/l1"}


def test_permuted_labels_that_are_predicted_are_a_leak(step_of: StepOf) -> None:
    """Decisions that know the permuted label fail, and name what would make them pass; the other method does not."""
    step = step_of("plan1b")
    table = _predictions(step, "nmf")
    table["decision"] += 4.0 * table["label"]
    _twin_is(step, "nmf", table)
    (found,) = _bad(step)
    assert (found.subject, found.severity) == (f"{TAG}/nmf/l1", "fail")
    assert "To pass: a new run with cv.scope pipeline" in found.reason


def test_a_known_leak_is_a_warning(step_of: StepOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Genes that were chosen by the label of all cells are warned of, unless each fold chose its own."""
    step = step_of("plan1b")
    table = _predictions(step, "nmf")
    table["decision"] += 4.0 * table["label"]
    _twin_is(step, "nmf", table)
    monkeypatch.setattr(Hvg, "supervised", property(lambda _: True))
    for scope, severity in (("classifier", "warn"), ("pipeline", "fail")):
        study = step.request.study.model_copy(update={"scope": scope})
        (found,) = _bad(replace(step, request=step.request.model_copy(update={"study": study})))
        assert (found.subject, found.severity) == (f"{TAG}/nmf/l1", severity)


def test_a_score_between_the_two_intervals_is_a_warning(step_of: StepOf) -> None:
    """What one honest study in some hundred may show does not stop it."""
    step = step_of("plan1b")
    table = _predictions(step, "nmf")
    found: list[Finding] = []
    for strength in np.linspace(0.0, 3.0, 61):
        shifted = table.assign(decision=table["decision"] + strength * table["label"])
        _twin_is(step, "nmf", shifted)
        found = _bad(step)
        if found:
            break
    assert [one.severity for one in found] == ["warn"]


def test_labels_that_did_not_move_fail(step_of: StepOf) -> None:
    """The observed labels in the place of permuted ones."""
    step = step_of("plan1b")
    table = _predictions(step, "nmf")
    path = step.run / "B/analysis/classification_grid" / TAG / "nmf/oof_predictions.parquet"
    observed = pd.read_parquet(path).drop_duplicates("cell").set_index("cell")["label"]
    _twin_is(step, "nmf", table.assign(label=table["cell"].map(observed)))
    assert ("fail", "every label where it was") in {(one.severity, one.measured) for one in _bad(step)}


def test_other_class_counts_in_a_stratum_fail(step_of: StepOf) -> None:
    """One label turned over: it was not permuted but changed."""
    step = step_of("plan1b")
    table = _predictions(step, "nmf")
    table.loc[table.index[0], "label"] = ~table.loc[table.index[0], "label"]
    _twin_is(step, "nmf", table)
    (found,) = _bad(step)
    assert found.measured == "1 of 4 strata with other class counts"


def test_an_alpha_that_the_others_do_not_choose_fails(step_of: StepOf) -> None:
    """A patient who is scored at an alpha of its own choice would flatter the twin, or hide a leak."""
    step = step_of("plan1b")
    curves = pd.read_csv(step.run / twin_curves("B", TAG, "nmf"))
    curves.loc[curves["alpha"] == 10.0, "auc_within_strata"] += 0.5
    curves.to_csv(step.run / twin_curves("B", TAG, "nmf"), index=False)
    found = _bad(step)
    assert {one.threshold for one in found} == {"alpha 10, which the other patients choose"}
    assert {one.severity for one in found} == {"fail"}


def test_an_edited_summary_fails(step_of: StepOf) -> None:
    """What the summary says has to follow from the predictions."""
    step = step_of("plan1b")
    summary = pd.read_csv(step.run / null_twin_summary("B"))
    summary["auc_within_strata_median"] += 1e-3
    summary.to_csv(step.run / null_twin_summary("B"), index=False)
    assert len(_bad(step)) == 2


def test_a_label_that_is_constant_in_each_stratum_is_a_warning(step_of: StepOf) -> None:
    """Nothing can be permuted then; the finding says so and what would help."""
    step = step_of("plan1b")
    for method in ("pca", "nmf"):
        path = step.run / "B/analysis/classification_grid" / TAG / method / "oof_predictions.parquet"
        observed = pd.read_parquet(path).drop_duplicates("cell").set_index("cell")["label"]
        table = _predictions(step, method)
        table.assign(label=table["cell"].map(observed)).to_parquet(
            step.run / twin_oof("B", "plan1b", TAG, method), index=False
        )
        curves = pd.read_csv(step.run / twin_curves("B", TAG, method)).assign(auc_within_strata=math.nan)
        curves.to_csv(step.run / twin_curves("B", TAG, method), index=False)
    study = step.request.study.model_copy(update={"permutation_strata": ("CN.label",)})
    found = _bad(replace(step, request=step.request.model_copy(update={"study": study})))
    assert {(one.severity, one.measured) for one in found} == {
        ("warn", "no stratum of a scored patient has cells of both classes")
    }
    assert all("coarser negative_controls.strata" in one.reason for one in found)
