"""A unit that fails for good: done units are kept, and where the spec allows it the step goes on without it."""

import errno
import json
import threading
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from stagewright.gates.protocol import Finding
from stagewright.stages import plan1a, plan1b
from stagewright.stages.failure import describe_failure
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_grid import ScoredCell
from stagewright.stages.protocol import StageContext, UnitFailed
from stagewright.stages.reduction import sweep as sweep_module
from stagewright.stages.reduction.reduction import Reduction
from stagewright.stages.workload import Workload
from stagewright.state.artifacts import Outcome, UnitRecord

Study = Any  # the fixture's class, which lives in conftest.py
How = Callable[[Outcome], dict[str, str]]
TOO_LARGE = 350
TAG = "all_filtered_0p02"
KS = {"k": {"pca": [3, TOO_LARGE], "fa": [3, 4]}}
IMPOSSIBLE = f"pca/k_{TOO_LARGE}/seed_1"
GRID = "A/analysis/classification_grid"


def _severities(findings: list[Finding]) -> dict[str, set[str]]:
    """Return the subjects of the findings that are no pass, by severity and gate."""
    found: dict[str, set[str]] = {}
    for finding in findings:
        if finding.severity != "pass":
            found.setdefault(f"{finding.severity} {finding.gate}", set()).add(finding.subject)
    return found


def _failing_fa(monkeypatch: pytest.MonkeyPatch, fails: Callable[[int, int], bool]) -> None:
    """Let factor analysis fail for some K and seeds."""
    real = sweep_module.fit_fa

    def fit(x: Any, k: int, *, seed: int, **options: Any) -> Reduction:  # noqa: ANN401 - passed on unchanged
        if fails(k, seed):
            raise np.linalg.LinAlgError(f"K = {k} does not converge")
        return real(x, k, seed=seed, **options)

    monkeypatch.setattr(sweep_module, "fit_fa", fit)


@pytest.mark.parametrize("workers", [1, 2])
def test_without_an_allowance_the_first_failure_blocks_and_what_is_done_is_kept(
    study: Study, how: How, workers: int
) -> None:
    """The attempt's units.json tells which units were done; the next attempt takes them from the cache."""
    with pytest.raises(UnitFailed, match=IMPOSSIBLE):
        study.execute("A/plan0", adjust=KS, workers=workers)
    units = json.loads((study.attempt("A/plan0") / "units.json").read_text())["units"]
    failed = {unit["name"]: unit["error"] for unit in units if unit["how"] == "failed"}
    assert list(failed) == [IMPOSSIBLE]
    assert "the largest allowed K is" in failed[IMPOSSIBLE]
    done = {unit["name"] for unit in units if unit["how"] == "ran"}
    assert done >= {"fa/k_4/seed_1"}, "which comes first, as others wait for its correlations"
    again = study.execute("A/plan0", adjust={"k": {"pca": [3], "fa": [3, 4]}})
    assert {name for name, what in how(again).items() if what == "reused"} == done


def test_a_k_above_the_rank_is_left_out_and_told(study: Study, how: How) -> None:
    """It has no row and no files; K is chosen among the others, and a gate warns with the error."""
    outcome = study.execute("A/plan0", adjust=KS, failed_units=0.1)
    assert how(outcome)[IMPOSSIBLE] == "failed"
    (failed,) = (unit for unit in outcome.units if unit.how == "failed")
    assert (failed.kind, failed.method, failed.k) == ("spec", "pca", TOO_LARGE)
    table = pd.read_csv(study.run / "A/analysis/plan0/k_selection_summary.csv")
    assert [*zip(table["method"], table["k"], strict=True)] == [("pca", 3), ("fa", 3), ("fa", 4)]
    assert outcome.k_by_method["pca"] == 3
    findings = study.judge("A/plan0")
    assert _severities(findings) == {"warn failed_units": {IMPOSSIBLE}} | _stability(findings)
    (told,) = (finding for finding in findings if finding.gate == "failed_units")
    assert "the largest allowed K is" in told.measured
    assert told.threshold == "at most 1 of 10 units failed"


def _stability(findings: list[Finding]) -> dict[str, set[str]]:
    """Return the warnings on stability, which a cohort this small may have anyway."""
    return {key: subjects for key, subjects in _severities(findings).items() if key == "warn stability_floor"}


def test_the_other_seeds_of_a_k_count(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one seed of three lost there are two replicates and one pair; the gates ask for no more."""
    _failing_fa(monkeypatch, lambda k, seed: (k, seed) == (4, 2))
    seeds = {"adjust": {"seeds": [1, 2, 3]}, "failed_units": 0.1}
    request = study.request("C/plan0", **seeds)
    outcome = study.work(request)
    table = pd.read_csv(study.run / "C/analysis/plan0/k_selection_summary.csv").set_index(["method", "k"])
    assert (table.loc[("fa", 3), "n_seeds"], table.loc[("fa", 4), "n_seeds"]) == (3, 2)
    assert "fa/k_4/seed_2" in {unit.name for unit in outcome.units if unit.how == "failed"}
    findings = study.judge("C/plan0")
    assert _severities(findings) == {"warn failed_units": {"fa/k_4/seed_2"}} | _stability(findings)


def test_a_k_with_one_replicate_left_is_not_chosen_while_others_have_a_stability(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One fit says nothing about another, so it cannot be compared with those that were."""
    _failing_fa(monkeypatch, lambda k, seed: (k, seed) == (4, 2))
    outcome = study.execute("A/plan0", failed_units=0.1)
    table = pd.read_csv(study.run / "A/analysis/plan0/k_selection_summary.csv").set_index(["method", "k"])
    assert np.isnan(table["stability_median"].loc[("fa", 4)])
    assert outcome.k_by_method["fa"] == 3
    findings = study.judge("A/plan0")
    assert _severities(findings) == {"warn failed_units": {"fa/k_4/seed_2"}} | _stability(findings)


def test_a_method_without_any_k_fails_the_step(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the allowance: the stages that follow need a K of each method."""
    _failing_fa(monkeypatch, lambda _k, _seed: True)
    with pytest.raises(UnitFailed, match="fa/"):
        study.execute("A/plan0", failed_units=0.9)


def test_a_failure_that_may_pass_is_never_tolerated(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor tries the step again instead."""

    def fails(*_: object, **__: object) -> Reduction:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sweep_module, "fit_fa", fails)
    with pytest.raises(UnitFailed) as caught:
        study.execute("A/plan0", failed_units=0.9)
    assert describe_failure(caught.value).kind == "storage"


def test_units_at_work_beside_a_failure_finish_and_are_kept(
    study: Study, how: How, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no further unit is begun."""
    both_at_work, failed = threading.Barrier(2, timeout=30), threading.Event()
    real = sweep_module.fit_fa
    begun = []

    def fit(x: Any, k: int, *, seed: int, **options: Any) -> Reduction:  # noqa: ANN401 - passed on unchanged
        begun.append((k, seed))
        if k == 3:
            return real(x, k, seed=seed, **options)
        both_at_work.wait()
        if seed == 1:
            failed.set()
            raise np.linalg.LinAlgError("singular")
        failed.wait(30)
        return real(x, k, seed=seed, **options)

    with monkeypatch.context() as patched:
        patched.setattr(sweep_module, "fit_fa", fit)
        with pytest.raises(UnitFailed, match="fa/k_4/seed_1"):
            study.execute("A/plan0", workers=2)
    assert len(begun) < 4
    again = study.execute("A/plan0")
    assert how(again)["fa/k_4/seed_2"] == "reused"
    assert how(again)["fa/k_4/seed_1"] == "ran"


def test_a_lost_embedding_takes_its_cell_along_through_plan1(study: Study, how: How) -> None:
    """Plan 1A leaves out the cell, Plan 1B reads that from the sealed outcome; gates warn of both."""
    chosen = {"k_by_method": {"pca": TOO_LARGE, "fa": 3}, "failed_units": 0.2}
    lost = f"{TAG}/pca/k_{TOO_LARGE}"
    first = study.execute("A/plan1a", **chosen)
    assert how(first) == {f"{TAG}/genes": "ran", lost: "failed", f"{TAG}/fa/k_3": "ran", f"{TAG}/fa/paths": "ran"}
    with h5py.File(study.run / f"A/analysis/preprocess_cache/{TAG}/adata_with_dr.h5ad") as file:
        assert [*file["obsm"]] == ["X_fa"]
    assert _severities(study.judge("A/plan1a")) == {"warn failed_units": {lost}}
    second = study.execute("A/plan1b", **(chosen | {"failed_units": 0.0}))
    assert how(second) == {f"{TAG}/fa/cv": "ran", f"null_twin/{TAG}/fa/cv": "ran"}
    assert pd.read_csv(study.run / GRID / "plan1b_summary.csv")["method"].to_list() == ["fa"]
    findings = study.judge("A/plan1b")
    assert _severities(findings)["warn failed_units"] == {lost}
    assert not [finding for finding in findings if finding.severity in ("fail", "error")]


def test_plan1b_alone_leaves_out_what_it_cannot_embed(study: Study, how: How) -> None:
    """Where Plan 1A is not among the stages, the embeddings are Plan 1B's own units."""
    outcome = study.execute("A/plan1b", k_by_method={"pca": TOO_LARGE, "fa": 3}, failed_units=0.2)
    lost = f"{TAG}/pca/k_{TOO_LARGE}"
    done = (f"{TAG}/genes", f"{TAG}/fa/k_3", f"{TAG}/fa/cv", f"null_twin/{TAG}/fa/cv")
    assert how(outcome) == {lost: "failed", **dict.fromkeys(done, "ran")}
    findings = study.judge("A/plan1b")
    assert _severities(findings)["warn failed_units"] == {lost}
    assert not [finding for finding in findings if finding.severity in ("fail", "error")]


@pytest.mark.parametrize(("stage", "last"), [("plan1a", "paths"), ("plan1b", "cv")])
def test_a_cell_that_fails_is_left_out(study: Study, monkeypatch: pytest.MonkeyPatch, stage: str, last: str) -> None:
    """The other cells of the grid stay, and the summary has a row for each of them; all cells cannot be lost."""
    module, name = (plan1a, "score_paths") if stage == "plan1a" else (plan1b, "score_configuration")
    real = getattr(module, name)
    lost = ["pca"]

    def score(context: StageContext, cohort: EmbeddedCohort, method: str) -> ScoredCell:
        if method in lost:
            raise ArithmeticError("the path diverges")
        scored: ScoredCell = real(context, cohort, method)
        return scored

    monkeypatch.setattr(module, name, score)
    study.execute(f"A/{stage}", k_by_method={"pca": 3, "fa": 3}, failed_units=0.1)
    assert pd.read_csv(study.run / GRID / f"{stage}_summary.csv")["method"].to_list() == ["fa"]
    findings = study.judge(f"A/{stage}")
    assert _severities(findings)["warn failed_units"] == {f"{TAG}/pca/{last}"}
    assert not [finding for finding in findings if finding.severity in ("fail", "error")]
    lost.append("fa")
    with pytest.raises(UnitFailed, match="/fa/"):
        study.execute(f"A/{stage}", k_by_method={"pca": 3, "fa": 3}, failed_units=0.9, adjust={"alphas": [1.0, 3.0]})


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        (0.0, (IMPOSSIBLE,)),
        (0.1, (IMPOSSIBLE, "fa/k_3/seed_1")),
        (0.9, (IMPOSSIBLE, "nmf/k_3/seed_1")),
        (0.9, (IMPOSSIBLE, IMPOSSIBLE)),
    ],
)
def test_an_outcome_that_claims_more_failures_than_it_may_does_not_pass(
    study: Study, allowed: float, names: tuple[str, ...]
) -> None:
    """More than the request allows, units that the step does not have, or one unit twice."""
    request = study.request("A/plan0", adjust=KS, failed_units=0.9)
    outcome = study.work(request)
    claimed = tuple(UnitRecord(name=name, how="failed", error="so it says") for name in names)
    (study.attempt("A/plan0") / "request.json").write_text(
        request.model_copy(update={"failed_units": allowed}).model_dump_json()
    )
    findings = study.judge("A/plan0", outcome.model_copy(update={"units": claimed}))
    assert _severities(findings)["fail failed_units"]


def test_a_failure_says_how_much_was_at_work(study: Study) -> None:
    """Cells, genes and stored values of the matrix: evidence for what another try would take."""
    workload = Workload()
    assert describe_failure(MemoryError(), workload).n_cells is None
    workload.is_now((320, 150), 4_000)
    found = describe_failure(MemoryError(), workload)
    assert (found.kind, found.n_cells, found.n_genes, found.n_nonzero) == ("out_of_memory", 320, 150, 4_000)
    with pytest.raises(UnitFailed):
        study.execute("A/plan0", adjust=KS)
