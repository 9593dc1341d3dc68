"""The gate of the search-wide permutation: what passes, what fails, and how trials elsewhere count."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.search_permutation import search_permutation
from stagewright.state.layout import search_cell, search_folder
from stagewright.state.spec.preprocess import DegWeakScreen

StepOf = Callable[[str], GateContext]
PERMUTATIONS = 39


def _judge(step: GateContext) -> list[Finding]:
    return [*search_permutation(step)]


def _worst(step: GateContext) -> str:
    severities = {finding.severity for finding in _judge(step)}
    return next(severity for severity in ("fail", "warn", "pass") if severity in severities)


def _tried(step: GateContext, number: int) -> GateContext:
    return replace(step, asked=step.asked.model_copy(update={"tried": number}))


def test_a_best_score_above_all_permuted_ones_passes(step_of: StepOf) -> None:
    """The p value is one in as many labellings as there are."""
    (finding,) = _judge(step_of("plan1b"))
    assert finding.severity == "pass"
    assert f"p {1 / (1 + PERMUTATIONS):.3g}" in finding.measured


def test_trials_elsewhere_count(step_of: StepOf) -> None:
    """Two configurations were searched. With sixteen tried in all, 1 - (39/40)^8 = 0.183 is too much for 0.05."""
    step = step_of("plan1b")
    (passes,) = _judge(_tried(step, 4))
    assert passes.severity == "pass"
    assert "0.0494 for the 4" in passes.measured
    (fails,) = _judge(_tried(step, 16))
    assert fails.severity == "fail"
    assert "0.183 for the 16" in fails.measured
    assert "larger negative_controls.search_permutations" in fails.reason, "nothing permuted comes near"


def test_fewer_trials_than_searched_do_not_lower_p(step_of: StepOf) -> None:
    """A count below what was searched here changes nothing."""
    step = step_of("plan1b")
    assert [finding.measured for finding in _judge(_tried(step, 0))] == [finding.measured for finding in _judge(step)]


def test_a_bound_of_the_spec_decides(step_of: StepOf) -> None:
    """A spec may ask for less than these permutations can show."""
    step = step_of("plan1b")
    stricter = step.request.model_copy(update={"gates": {"search_permutation": {"at_most": 0.01}}})
    assert _worst(replace(step, request=stricter)) == "fail"


def test_what_may_be_the_best_and_was_not_searched_is_a_warning(step_of: StepOf) -> None:
    """Under scope `pipeline` genes that the label selects may win, and no cached embedding stands for them."""
    step = step_of("plan1b")
    screen = DegWeakScreen(method="deg_weak_screen")
    study = step.request.study.model_copy(
        update={"scope": "pipeline", "preprocess": (*step.request.study.preprocess, screen)}
    )
    passes, warns = _judge(replace(step, request=step.request.model_copy(update={"study": study})))
    assert (passes.severity, warns.severity) == ("pass", "warn")
    assert warns.subject == screen.tag


def test_a_step_without_a_search_passes_and_says_so(step_of: StepOf) -> None:
    """At A and B none is asked for by default."""
    step = step_of("plan1b")
    study = step.request.study.model_copy(update={"search_permutations": 0})
    (finding,) = _judge(replace(step, request=step.request.model_copy(update={"study": study})))
    assert finding.severity == "pass"
    assert "not asked for" in finding.measured


@pytest.mark.parametrize("at", [0, 1])
def test_scores_that_are_moved_do_not_agree(step_of: StepOf, at: int) -> None:
    """One patient's score of one labelling, a hundredth higher: the table of maxima, or the centre, says otherwise."""
    step = step_of("plan1b")
    path = step.run / search_cell("B", "hvg_40", "pca") / "auc_by_labelling.parquet"
    table = pd.read_parquet(path)
    chosen = (table["labelling"] == at).to_numpy()
    table.loc[chosen, "auc_within_strata"] = np.float32(0.99)
    table.to_parquet(path, index=False)
    assert _worst(step) == "fail"


def test_a_missing_metric_is_a_failure(step_of: StepOf) -> None:
    """Stop criteria read the metrics, so they have to follow from the scores."""
    step = step_of("plan1b")
    metrics = {name: value for name, value in step.outcome.metrics.items() if name != "plan1b.best.search_p"}
    spoilt = replace(step, outcome=step.outcome.model_copy(update={"metrics": metrics}))
    assert any(finding.subject == "plan1b.best.search_p" for finding in _judge(spoilt) if finding.severity == "fail")


def test_labels_that_cannot_be_permuted_are_a_warning(step_of: StepOf) -> None:
    """Strata that split the classes leave nothing to permute: nothing is claimed, and that is said."""
    step = step_of("plan1b")
    study = step.request.study.model_copy(update={"permutation_strata": ("donor", "CN.label")})
    for method in ("pca", "nmf"):
        path = step.run / search_cell("B", "hvg_40", method) / "auc_by_labelling.parquet"
        pd.read_parquet(path).iloc[:0].to_parquet(path, index=False)
    for name in ("labellings.csv", "configurations.csv"):
        path = step.run / search_folder("B") / name
        pd.read_csv(path).iloc[:0].to_csv(path, index=False)
    (finding,) = _judge(replace(step, request=step.request.model_copy(update={"study": study})))
    assert finding.severity == "warn"
