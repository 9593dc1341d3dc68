"""A winner that hangs on one patient is none."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stagewright.gates.__main__ import run_gates
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.winner_stability import winner_stability, winners_left_out

StepOf = Callable[[str], GateContext]
Reseal = Callable[[GateContext], GateContext]

GRID = "B/analysis/classification_grid/hvg_40"
WINNER, RIVAL = ("a", "pca", "l1"), ("a", "nmf", "l1")
NOT_CLEAR = {"pca": (0.80, 0.82, 0.90, 0.60), "nmf": (0.81, 0.81, 0.81, 0.81)}
"""The rival has 0.81 whoever is left out; pca ties with it, and falls behind without either of its better patients."""


def _scores(step: GateContext, auc: dict[str, tuple[float, ...]]) -> GateContext:
    """Write other AUCs at every alpha, patient by patient."""
    for method, values in auc.items():
        path = step.run / GRID / method / "metrics.csv"
        table = pd.read_csv(path)
        of_patient = dict(zip(sorted(table["patient"].unique()), values, strict=True))
        table["auc_mean"] = table["patient"].map(of_patient)
        table.to_csv(path, index=False)
    return step


def _found(step: GateContext) -> list[Finding]:
    return list(winner_stability(step))


def test_leaving_patients_out_is_counted_by_hand() -> None:
    """Two alphas, three patients: without the first the rival wins, without the others the winner does."""
    scores = {
        WINNER: np.array([[0.9, 0.5], [0.6, 0.5], [0.6, 0.7]]),
        RIVAL: np.array([[0.1, 0.1], [0.65, 0.1], [0.65, 0.1]]),
    }
    assert winners_left_out(scores, WINNER) == [RIVAL, WINNER, WINNER]


def test_among_equals_the_winner_stays() -> None:
    """A tie is no loss, whichever stands first."""
    scores = {RIVAL: np.full((3, 2), 0.7), WINNER: np.full((3, 2), 0.7)}
    assert winners_left_out(scores, WINNER) == [WINNER] * 3


def test_a_winner_by_a_hair_is_no_clear_winner(step_of: StepOf) -> None:
    """The warning names the rival with its score; it fails where the spec sets the bound, and then says why."""
    step = _scores(step_of("plan1b"), NOT_CLEAR)
    (found,) = _found(step)
    assert found.severity == "warn"
    assert "no clear winner" in found.measured
    assert "hvg_40/pca/l1 (0.8100)" in found.measured
    assert "hvg_40/nmf/l1 (0.8100)" in found.measured
    assert "To pass:" in found.reason
    request = step.request.model_copy(update={"gates": {"winner_stability": {"at_least": 0.75}}})
    assert [one.severity for one in _found(replace(step, request=request))] == ["fail"]
    loose = step.request.model_copy(update={"gates": {"winner_stability": {"at_least": 0.1}}})
    assert [one.severity for one in _found(replace(step, request=loose))] == ["pass"]


def test_a_single_configuration_has_no_rival(step_of: StepOf) -> None:
    """Nothing was chosen, so nothing is unsteady."""
    step = step_of("plan1b")
    study = step.request.study.model_copy(update={"methods": ("pca",)})
    (found,) = _found(replace(step, request=step.request.model_copy(update={"study": study})))
    assert (found.severity, found.measured) == ("pass", "one configuration only: nothing was chosen")


@pytest.mark.parametrize(("said", "severities"), [(1.0, {"pass"}), (0.5, {"pass", "fail"})])
def test_the_reported_stability_is_counted_again(said: float, severities: set[str], step_of: StepOf) -> None:
    """A metric that does not follow from the table fails, however steady the winner is."""
    step = _scores(step_of("plan1b"), {"pca": (0.9, 0.9, 0.9, 0.9), "nmf": (0.6, 0.6, 0.6, 0.6)})
    metrics = {**step.outcome.metrics, "plan1b.best.winner_stability": said}
    found = _found(replace(step, outcome=step.outcome.model_copy(update={"metrics": metrics})))
    assert {one.severity for one in found} == severities


def test_a_lost_patient_of_one_configuration_is_left_to_others(step_of: StepOf, reseal: Reseal) -> None:
    """Patients are those that all configurations have: a missing row makes no other gate's fault its own."""
    step = step_of("plan1b")
    path = step.run / GRID / "nmf" / "metrics.csv"
    table = pd.read_csv(path)
    table[table["patient"] != "P2"].to_csv(path, index=False)
    found = run_gates(reseal(step).asked)
    assert "winner_stability" not in {finding.gate for finding in found if finding.severity == "fail"}
