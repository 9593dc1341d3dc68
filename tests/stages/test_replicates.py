"""Plan 0's replicates by bootstrap and its held-out fits, through the worker's function and the gates."""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false, reportOperatorIssue=false, reportOptionalSubscript=false

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stagewright.gates.protocol import Finding
from stagewright.stages.peak_memory import DataSize, peak_memory_bytes
from stagewright.state.artifacts import Outcome
from stagewright.state.spec.reduction import HeldOut
from stagewright.state.step_request import StepRequest

Study = Any
How = Callable[[Outcome], dict[str, str]]
STABILITY = "C/analysis/plan0/stability"


def _with(request: StepRequest, **study: object) -> StepRequest:
    changed = request.study.model_copy(update=study)
    return request.model_copy(update={"study": changed})


def _bad(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(one.gate, one.subject) for one in findings if one.severity in ("fail", "error")]


@pytest.mark.parametrize("kind", ["bootstrap_cells", "bootstrap_patients"])
def test_a_bootstrap_gives_pca_a_stability(study: Study, kind: str) -> None:
    """Three real replicates in the contract's folders, scores of all of the study's own cells, and the gates agree."""
    request = study.request("C/plan0", adjust={"seeds": [1, 2, 3], "methods": ["pca"]})
    outcome = study.work(_with(request, replicates=kind))
    table = pd.read_csv(study.run / "C/analysis/plan0/k_selection_summary.csv").set_index(["method", "k"])
    row = table.loc[("pca", 3)]
    assert (row["n_seeds"], row["replicates"]) == (3, kind)
    assert row["stability_chance"] < row["stability_p10"] <= row["stability_median"] < 1
    folders = [study.run / STABILITY / f"pca/k_3/replicates/seed_{number}" for number in (1, 2, 3)]
    scores = [np.load(folder / "scores.npy") for folder in folders]
    assert {one.shape for one in scores} == {(len(pd.read_csv(study.run / "C/analysis/plan0/cells.csv")), 3)}
    assert not np.array_equal(scores[0], scores[1])
    samples = [json.loads((folder / "extras.json").read_text())["sample"] for folder in folders]
    assert samples == [{"kind": kind, "number": number} for number in (1, 2, 3)]
    matches = pd.read_csv(study.run / STABILITY / "pca/k_3/component_matches.csv")
    assert list(zip(matches["seed"], matches["component"], strict=True)) == [
        (s, c) for s in (1, 2, 3) for c in (1, 2, 3)
    ]
    assert (matches["match_min"] <= matches["match_median"]).all()
    assert outcome.metrics["plan0.pca.stability_median"] == pytest.approx(
        table["stability_median"].loc[("pca", outcome.k_by_method["pca"])]
    )
    assert _bad(study.judge("C/plan0")) == []


def test_a_sample_does_not_depend_on_workers_or_on_what_else_is_fitted(
    new_study: Callable[[str], Study], digests: Callable[[Outcome], dict[str, str]]
) -> None:
    """The same bytes with one worker and one method as with three workers, two methods and another list of K."""
    one, many = new_study("one"), new_study("many")
    few = _with(one.request("C/plan0", adjust={"methods": ["fa"], "k": [3]}), replicates="bootstrap_cells")
    more = _with(many.request("C/plan0", adjust={"k": [3, 5]}, workers=3), replicates="bootstrap_cells")
    first, second = digests(one.work(few)), digests(many.work(more))
    parts = [path for path in first if "/fa/k_3/" in path]
    assert len(parts) > 6
    assert {path: second[path] for path in parts} == {path: first[path] for path in parts}


def test_seeds_and_samples_are_other_units(study: Study, how: How) -> None:
    """Plan 1 embeds all cells: by a replicate by seed that is at hand, and by a fit of its own after a bootstrap."""
    study.work(_with(study.request("C/plan0"), replicates="bootstrap_cells"))
    study.work(study.request("C/plan0"))
    seeds = how(study.work(_with(study.request("C/plan0"), replicates="bootstrap_cells")))
    assert set(seeds.values()) == {"reused"}
    embedded = how(study.execute("C/plan1a"))
    assert all(done == "reused" for name, done in embedded.items() if "/k_" in name)


def test_held_out_figures_can_be_left_out(study: Study, how: How) -> None:
    """Then nothing is held out, the columns are empty, and no gate asks for it."""
    outcome = study.work(_with(study.request("C/plan0"), held_out=None))
    assert not any("held_out" in name for name in how(outcome))
    table = pd.read_csv(study.run / "C/analysis/plan0/k_selection_summary.csv")
    assert table[["held_out_r2", "held_out_r2_se", "held_out_log_likelihood"]].isna().all(axis=None)
    assert not any(name.endswith("held_out_r2") for name in outcome.metrics)
    assert _bad(study.judge("C/plan0")) == []


def test_a_k_that_the_training_cells_do_not_carry_is_not_chosen(study: Study) -> None:
    """It exists on all cells, and a gate tells why it has no held-out figure."""
    request = study.request("A/plan0", adjust={"methods": ["pca"], "k": [3, 200]})
    outcome = study.work(_with(request, held_out=HeldOut(fraction=0.5)))
    table = pd.read_csv(study.run / "A/analysis/plan0/k_selection_summary.csv").set_index("k")
    assert np.isnan(table["held_out_r2"].loc[200])
    assert outcome.k_by_method == {"pca": 3}
    (told,) = (one for one in study.judge("A/plan0") if one.gate == "held_out" and one.severity == "warn")
    assert told.subject == "pca/k_200"
    assert "the training cells do not carry this K" in told.measured


def test_bootstrap_samples_and_training_cells_need_memory(study: Study) -> None:
    """The forecast knows the copies of rows and the correlation matrices that go with them."""
    size = DataSize(100_000, 3_000, 30_000_000)
    plain = _with(study.request("C/plan0"), held_out=None)
    expected = [
        peak_memory_bytes("plan0", one.study, {}, size, workers=2)
        for one in (plain, study.request("C/plan0"), _with(plain, replicates="bootstrap_cells"))
    ]
    assert all(isinstance(one, int) for one in expected)
    assert expected[0] < expected[1]
    assert expected[0] < expected[2]
