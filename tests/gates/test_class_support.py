"""Both classes on both sides of each fold."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from stagewright.gates.__main__ import run_gates
from stagewright.gates.class_support import class_support
from stagewright.gates.protocol import GateContext

StepOf = Callable[[str], GateContext]
Reseal = Callable[[GateContext], GateContext]

GRID = "B/analysis/classification_grid"


def _folds(step: GateContext, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Change the folds of every configuration and of the decoy alike, as a stage that split so would have."""
    for path in (step.run / GRID).rglob("*.parquet"):
        change(pd.read_parquet(path)).to_parquet(path, index=False)


def _one_class_in_the_first_fold(table: pd.DataFrame) -> pd.DataFrame:
    moved = (table["patient"] == "P3") & (table["fold"] == 0) & table["label"]
    return table.assign(fold=table["fold"].where(~moved, 1))


def _two_folds_by_class(table: pd.DataFrame) -> pd.DataFrame:
    """Give P3 one fold of positive cells and two of negative ones."""
    mine = table["patient"] == "P3"
    by_class = table["fold"].where(~table["label"], 0).where(table["label"], table["fold"] % 2 + 1)
    return table.assign(fold=table["fold"].where(~mine, by_class))


def test_a_test_fold_with_one_class_fails_and_names_the_patient(step_of: StepOf, reseal: Reseal) -> None:
    """Stratified folds have both classes by construction; beside this gate only the decoy, fitted again, differs."""
    step = step_of("plan1b")
    _folds(step, _one_class_in_the_first_fold)
    bad = [finding for finding in run_gates(reseal(step).asked) if finding.severity != "pass"]
    assert {finding.gate for finding in bad} <= {"class_support", "technical_decoy"}
    found = [finding for finding in bad if finding.gate == "class_support"]
    assert [finding.severity for finding in found] == ["fail", "fail"]
    assert all("patient P3" in finding.subject and "2 test folds" in finding.measured for finding in found)


@pytest.mark.parametrize(("group", "severity"), [("none", "fail"), ("clone", "pass")])
def test_grouped_test_folds_may_lack_a_class_and_say_so(group: str, severity: str, step_of: StepOf) -> None:
    """Groups of one class make such folds honestly."""
    step = step_of("plan1b")
    _folds(step, _one_class_in_the_first_fold)
    study = step.request.study.model_copy(update={"group": group})
    found = [*class_support(replace(step, request=step.request.model_copy(update={"study": study})))]
    assert {finding.severity for finding in found} == {severity}
    if severity == "pass":
        assert all("2 grouped test folds have one class" in finding.measured for finding in found)


def test_a_training_fold_with_one_class_fails_in_grouped_folds_too(step_of: StepOf) -> None:
    """Without the only fold of positive cells there is nothing to learn from."""
    step = step_of("plan1b")
    _folds(step, _two_folds_by_class)
    study = step.request.study.model_copy(update={"group": "clone"})
    found = [*class_support(replace(step, request=step.request.model_copy(update={"study": study})))]
    assert [finding.severity for finding in found] == ["fail", "fail"]
    assert all("2 training folds with one class" in finding.measured for finding in found)
