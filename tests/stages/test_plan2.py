"""Plan 2 on a small built-in cohort: scores at chance, the mirrored grid, its units, workers, and its gate."""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportArgumentType=false

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from stagewright.gates.protocol import Finding
from stagewright.stages.catalogue import count_units, metric_names
from stagewright.state.artifacts import Outcome
from stagewright.state.attempts import read_request
from stagewright.state.canonical import digest_file
from stagewright.state.spec import Adjustments, GoalSpec, effective_study, parse_spec
from stagewright.state.step_units import step_units

Study = Any  # the fixture's class, which lives in conftest.py
FREE, SUPERVISED = "all_filtered_0p02", "all_filtered_0p3_er1p2"
SPEC: dict[str, Any] = {
    "objective": "test",
    "data": {
        "path": "cohort.h5ad",
        "patient": "patient",
        "label": {"column": "CN.label", "positive": "cancer", "negative": "normal"},
        "timepoint": {"column": "timepoint_type", "keep": ["Dx", "MRD"]},
    },
    "stages": ["plan0", "plan1a", "plan1b", "plan1c", "plan2"],
    "preprocess": [
        {"method": "all_filtered", "min_cells_fraction": 0.02},
        {"method": "all_filtered", "min_cells_fraction": 0.3, "enrichment_ratio": 1.2},
    ],
    "reduction": {"methods": ["pca", "nmf"], "k": [3], "seeds": [1]},
    "classifier": {"alphas": [0.1, 1.0, 10.0], "modes": ["pooled"], "cv": {"folds": 3, "repeats": 2}},
    "negative_controls": {"permutations": 3, "seed": 11},
}
STEPS = ("B/plan0", "B/plan1a", "B/plan1b", "B/plan1c", "B/plan2")


def _spec(permutations: int = 3) -> GoalSpec:
    return parse_spec(SPEC | {"negative_controls": {"permutations": permutations, "seed": 11}})


def _execute(study: Study, step: str, *, workers: int = 1, permutations: int = 3) -> Outcome:
    spec = _spec(permutations)
    changes = {"study": effective_study(spec, Adjustments(), "B"), "scope": spec.data, "workers": workers}
    outcome: Outcome = study.execute(step, **changes)
    return outcome


@pytest.fixture(scope="module")
def done(kept_study: Study) -> tuple[Study, dict[str, Outcome]]:
    """Run the whole study with one worker."""
    return kept_study, {step: _execute(kept_study, step) for step in STEPS}


@pytest.fixture(scope="module")
def judged(done: tuple[Study, dict[str, Outcome]]) -> list[Finding]:
    """Run the gates on Plan 2."""
    findings: list[Finding] = done[0].judge("B/plan2")
    return findings


@pytest.fixture(scope="module")
def summary(done: tuple[Study, dict[str, Outcome]]) -> pd.DataFrame:
    """Read the summary of Plan 2."""
    return pd.read_csv(done[0].run / "B/analysis/plan2/negative_controls_summary.csv")


def test_permuted_labels_score_at_chance_and_observed_ones_do_not(summary: pd.DataFrame) -> None:
    """Out of fold the AUC within strata centres on 0.5 (0.05), in-sample it does not; the programmes are seen."""
    assert len(summary) == 3 * 2 * 2
    out_of_fold = summary[summary["stage"] == "plan1b"]
    assert (out_of_fold["permuted_within_strata"] - 0.5).abs().max() < 0.05
    assert (out_of_fold["observed_within_strata"] > 0.7).any()
    assert not summary["above_chance"].any()
    pooled = summary[summary["stage"] == "plan1c"]
    assert set(pooled["penalty"]) == {"pooled.none.l1"}
    assert (pooled["permuted_within_strata"] - 0.5).abs().max() < 0.06
    in_sample = summary[summary["stage"] == "plan1a"]
    assert (in_sample["permuted_mean"] > 0.52).all()
    assert in_sample["chance_high"].isna().all()
    assert out_of_fold["p"].min() == pytest.approx(1 / 4)


def test_the_observed_scores_are_those_of_the_earlier_stages(
    done: tuple[Study, dict[str, Outcome]], summary: pd.DataFrame
) -> None:
    """Each row repeats what the mirrored stage reported; the metrics follow from the permutations' best rows."""
    study, outcomes = done
    grid = study.run / "B/analysis"
    reported = pd.read_csv(grid / "classification_grid/plan1b_summary.csv")
    mine = summary[summary["stage"] == "plan1b"].reset_index(drop=True)
    assert mine["observed"].tolist() == reported["auc_median"].tolist()
    best = []
    for number in range(1, 4):
        table = pd.read_csv(grid / f"plan2/permutation_{number}/classification_grid/plan1b_summary.csv")
        best.append(table.loc[~table["supervised"], "auc_median"].max())
        assert table.loc[table["best"], "auc_median"].item() == best[-1]
    metrics = outcomes["B/plan2"].metrics
    observed = outcomes["B/plan1b"].metrics["plan1b.best.auc"]
    assert metrics["plan2.best.auc"] == max(best)
    assert metrics["plan2.excess"] == pytest.approx(observed - max(best))
    assert metrics["plan2.p"] == (1 + sum(score >= observed for score in best)) / 4
    assert set(metrics) == set(metric_names("plan2", _spec()))


def test_every_stratum_keeps_its_class_counts(done: tuple[Study, dict[str, Outcome]]) -> None:
    """Patient by time point, in the predictions of every permutation; the labels did move, and folds are kept."""
    study, _ = done
    cells = pd.read_csv(study.run / "B/analysis/plan0/cells.csv").set_index("cell")
    keys = ["patient", "timepoint"]
    for number in range(1, 4):
        place = study.run / f"B/analysis/plan2/permutation_{number}/classification_grid/{FREE}/pca"
        table = pd.read_parquet(place / "oof_predictions.parquet")
        label = table[table["repeat"] == 0].set_index("cell")["label"]
        known = cells.loc[label.index].assign(now=label)
        known["before"] = known["label"] == "cancer"
        counts = known.groupby(keys)[["now", "before"]].sum()
        assert counts["now"].tolist() == counts["before"].tolist()
        assert (known["now"] != known["before"]).mean() > 0.2


def test_genes_that_the_label_chose_are_chosen_again(done: tuple[Study, dict[str, Outcome]]) -> None:
    """Each permutation has its own genes and embeddings there; where no label chose genes nothing is fitted again."""
    study, outcomes = done
    names = [unit.name for unit in outcomes["B/plan2"].units]
    assert {name for name in names if name.endswith(("/genes", "/k_3"))} == {
        f"permutation_{number}/{SUPERVISED}/{what}"
        for number in range(1, 4)
        for what in ("genes", "pca/k_3", "nmf/k_3")
    }
    logs = [
        json.loads(
            (study.run / f"B/analysis/plan2/permutation_{n}/preprocess_cache/{SUPERVISED}/gene_log.json").read_text()
        )
        for n in range(1, 4)
    ]
    assert len({tuple(log["genes"]) for log in logs}) > 1
    request = read_request(study.attempt("B/plan2"))
    assert set(step_units(request)) == {name for name in names if not name.endswith("/genes")}
    assert len(step_units(request)) == count_units("plan2", request.study, ("plan0", "plan1b", "plan2"))


def test_its_gates_pass(judged: list[Finding]) -> None:
    """Every file that the request asks for is there, labels were permuted within strata, and scores are at chance."""
    assert {finding.severity for finding in judged if finding.gate != "supervised_selection"} == {"pass"}
    mine = [finding for finding in judged if finding.gate == "permuted_scores"]
    assert {finding.subject for finding in mine} == {
        "B/plan2",
        *(f"plan1b/{tag}/{method}/l1" for tag in (FREE, SUPERVISED) for method in ("pca", "nmf")),
        *(f"plan1c/{tag}/{method}/pooled.none.l1" for tag in (FREE, SUPERVISED) for method in ("pca", "nmf")),
    }


def test_workers_change_no_byte_and_a_repeated_step_takes_its_units_from_the_cache(
    done: tuple[Study, dict[str, Outcome]],
    new_study: Callable[[str], Study],
    how: Callable[[Outcome], dict[str, str]],
    digests: Callable[[Outcome], dict[str, str]],
) -> None:
    """Three workers write the same bytes. With fewer permutations asked for, all that are left are known."""
    _, outcomes = done
    other = new_study("three")
    for step in STEPS[:-1]:
        _execute(other, step, workers=3)
    first = _execute(other, "B/plan2", workers=3, permutations=2)
    second = _execute(other, "B/plan2", workers=3)
    assert digests(second) == digests(outcomes["B/plan2"])
    reused = {name for name, what in how(second).items() if what == "reused"}
    assert reused == set(how(first))
    assert all(name.startswith(("permutation_1/", "permutation_2/")) for name in reused)


def test_unpermuted_labels_are_found(done: tuple[Study, dict[str, Outcome]]) -> None:
    """Predictions under the observed labels in the place of a permutation's: the gate says that nothing moved."""
    study, outcomes = done
    cell = f"classification_grid/{FREE}/pca/oof_predictions.parquet"
    place = f"B/analysis/plan2/permutation_1/{cell}"
    (study.run / place).write_bytes((study.run / "B/analysis" / cell).read_bytes())
    forged = {"sha256": digest_file(study.run / place), "bytes": (study.run / place).stat().st_size}
    artifacts = tuple(
        item.model_copy(update=forged if item.path == place else {}) for item in outcomes["B/plan2"].artifacts
    )
    found = study.judge("B/plan2", outcomes["B/plan2"].model_copy(update={"artifacts": artifacts}))
    assert any(item.severity == "fail" and item.measured == "every label where it was" for item in found)
