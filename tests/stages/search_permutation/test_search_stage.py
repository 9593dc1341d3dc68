"""Plan 1B with its search-wide permutation on the built-in cohort: what it writes, and what its gate says."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from stagewright.stages.catalogue import count_units, metric_names
from stagewright.state.artifacts import Outcome
from stagewright.state.attempts import read_request
from stagewright.state.spec import Adjustments, effective_study, parse_spec
from stagewright.state.step_units import step_units

Study = Any  # the fixture's class, which lives in conftest.py
PERMUTATIONS = 19
SPEC: dict[str, Any] = {
    "objective": "test",
    "data": {
        "path": "cohort.h5ad",
        "patient": "patient",
        "label": {"column": "CN.label", "positive": "cancer", "negative": "normal"},
        "timepoint": {"column": "timepoint_type", "keep": ["Dx", "MRD"]},
    },
    "preprocess": [
        {"method": "all_filtered", "min_cells_fraction": 0.02},
        {"method": "deg_weak_screen", "p": 0.05, "lfc": 0.0, "min_genes": 60},
    ],
    "reduction": {"methods": ["pca", "nmf"], "k": [3], "seeds": [1]},
    "classifier": {"penalties": ["l1", "l2"], "alphas": [0.1, 1.0, 10.0], "cv": {"folds": 3, "repeats": 2}},
    "negative_controls": {"search_permutations": PERMUTATIONS, "search_at": ["B"]},
}
FREE = "all_filtered_0p02"
FOLDER = "B/analysis/search_permutation"


def _execute(study: Study, step: str, **changes: object) -> Outcome:
    spec = parse_spec(SPEC)
    outcome: Outcome = study.execute(step, study=effective_study(spec, Adjustments(), "B"), scope=spec.data, **changes)
    return outcome


def test_the_search_is_judged_and_its_units_are_kept(
    study: Study, how: Callable[[Outcome], dict[str, str]], digests: Callable[[Outcome], dict[str, str]]
) -> None:
    """The planted programmes are found at the smallest p; genes chosen by the label are not searched.

    Two workers write the same bytes as one, and a repeated step takes every unit from the cache.
    """
    _execute(study, "B/plan0")
    outcome = _execute(study, "B/plan1b")
    request = read_request(study.attempt("B/plan1b"))
    units = {unit.name for unit in outcome.units if not unit.name.endswith("/genes")}
    assert units == set(step_units(request))
    assert count_units("plan1b", request.study, ("plan0", "plan1b")) == len(step_units(request))
    assert {name for name in units if name.endswith("/search")} == {
        f"{FREE}/{method}/search" for method in ("pca", "nmf")
    }
    (finding,) = [one for one in study.judge("B/plan1b") if one.gate == "search_permutation"]
    assert finding.severity == "pass"

    assert outcome.metrics["plan1b.best.search_p"] == 1 / (1 + PERMUTATIONS)
    assert {"plan1b.best.search_p", "plan1b.search.auc"} <= set(metric_names("plan1b", parse_spec(SPEC)))
    table = pd.read_csv(study.run / FOLDER / "configurations.csv")
    assert [*table["method"]] == ["pca", "pca", "nmf", "nmf"]
    assert (table["permuted_median"] < table["permuted_upper"]).all()
    best = pd.read_csv(study.run / FOLDER / "labellings.csv")
    assert best.loc[0, "auc_within_strata"] == table["auc_within_strata"].max()
    # The step is not the path, but ranks cells much as it does.
    summary = pd.read_csv(study.run / "B/analysis/classification_grid/plan1b_summary.csv")
    assert (
        abs(outcome.metrics["plan1b.search.auc"] - summary.loc[summary["preprocess"] == FREE, "auc_median"].max()) < 0.1
    )

    again = _execute(study, "B/plan1b", workers=2)
    assert set(how(again).values()) == {"reused"}
    assert digests(again) == digests(outcome)


def test_each_permutation_scores_about_one_half(study: Study) -> None:
    """Labels drawn by lot within each patient and time point have no tie to the embeddings."""
    _execute(study, "B/plan0")
    _execute(study, "B/plan1b")
    path = study.run / FOLDER / FREE / "pca" / "auc_by_labelling.parquet"
    table = pd.read_parquet(path)
    permuted = table[table["labelling"] > 0].groupby("labelling")["auc_within_strata"].mean()
    assert np.isclose(permuted.mean(), 0.5, atol=0.04)
    assert permuted.nunique() == PERMUTATIONS
