"""Where gates warn, where they fail, and what a spec may change."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from stagewright.gates.__main__ import run_gates
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.stability_floor import is_binding
from stagewright.state.records import Limits

StepOf = Callable[[str], GateContext]
Reseal = Callable[[GateContext], GateContext]
Spoil = Callable[[GateContext], GateContext]

GRID = "B/analysis/classification_grid/hvg_40"
CACHE = "B/analysis/preprocess_cache/hvg_40/adata_with_dr.h5ad"
STABILITY = "B/analysis/plan0/stability"
PAIRS = "pairwise_stability_summary.json"


def _bad(step: GateContext) -> list[Finding]:
    return [finding for finding in run_gates(step.asked) if finding.severity != "pass"]


def _csv(step: GateContext, path: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    table = pd.read_csv(step.run / path, keep_default_na=False, dtype=str)
    change(table).to_csv(step.run / path, index=False)


def _oof(step: GateContext, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = step.run / GRID / "nmf/oof_predictions.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)


def _obsm(step: GateContext, change: Callable[[NDArray[np.float32]], None]) -> None:
    with h5py.File(step.run / CACHE, "r+") as file:
        array = file["obsm/X_pca"][()]
        change(array)
        file["obsm/X_pca"][...] = array


def _low_rank(array: NDArray[np.float32]) -> None:
    rng = np.random.default_rng(0)
    # |r| stays near 0.98: each axis is the first one with a little noise, none is its copy.
    array[:] = array[:, :1] + 0.15 * array[:, 0].std() * rng.normal(size=array.shape)


def _without(patient: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table[table["patient"] != patient]


def _not_h5ad(step: GateContext) -> None:
    content = (step.run / CACHE).read_bytes()
    (step.run / CACHE).write_bytes(content[: len(content) // 2])


def _lose_patient_in_obs(step: GateContext) -> None:
    """Write P2's cells as normal ones, everywhere, so that only the data file still knows better."""
    with h5py.File(step.run / CACHE, "r+") as file:
        codes, donors = file["obs/CN.label/codes"], file["obs/donor"]
        names = [name.decode() for name in file["obs/CN.label/categories"][()]]
        mine = donors["codes"][()] == [name.decode() for name in donors["categories"][()]].index("P2")
        codes[...] = np.where(mine, names.index("normal"), codes[()])


def test_a_patient_whose_cells_changed_class_is_found_by_the_data_file(step_of: StepOf, reseal: Reseal) -> None:
    """Even when obs of the cached embeddings is changed, the sealed data file tells who has both classes."""
    step = step_of("plan1a")
    _lose_patient_in_obs(step)
    found = _bad(reseal(step))
    assert {finding.gate for finding in found} == {"patient_coverage"}
    assert any("both classes in the data" in finding.measured for finding in found)


def test_a_half_h5ad_fails_promised_files(step_of: StepOf, reseal: Reseal) -> None:
    """An h5ad that was cut short is said to be unreadable; gates that need it may not judge, and do not pass."""
    step = step_of("plan1b")
    _not_h5ad(step)
    found = _bad(reseal(step))
    assert found[0].gate == "promised_files"
    assert "not a readable h5ad" in found[0].measured
    assert {finding.severity for finding in found[1:]} <= {"error"}


def test_a_dropped_patient_of_plan1b_is_missed_by_two_gates(step_of: StepOf, reseal: Reseal) -> None:
    """Its row is owed, and its predictions are left without a result."""
    step = step_of("plan1b")
    _csv(step, f"{GRID}/nmf/metrics.csv", _without("P2"))
    assert {finding.gate for finding in _bad(reseal(step))} == {"patient_coverage", "prediction_coverage"}


def _skipped(step: GateContext, reason: str | None) -> GateContext:
    kept = [item for item in step.outcome.skipped if item.patient != "P6"]
    changed = [
        item.model_copy(update={"reason": reason})
        for item in step.outcome.skipped
        if item.patient == "P6" and reason is not None
    ]
    return replace(step, outcome=step.outcome.model_copy(update={"skipped": (*kept, *changed)}))


@pytest.mark.parametrize("reason", [None, "", "  "])
def test_a_skipped_patient_needs_a_reason(reason: str | None, step_of: StepOf, reseal: Reseal) -> None:
    """A patient with both classes and no result fails without a reason, blank ones included."""
    found = _bad(reseal(_skipped(step_of("plan1a"), reason)))
    assert {(finding.gate, finding.severity) for finding in found} == {("patient_coverage", "fail")}
    assert all("patient P6" in finding.subject for finding in found)


def test_a_patient_with_one_class_that_nobody_mentions_is_a_warning(step_of: StepOf, reseal: Reseal) -> None:
    """It has no result to lose; still it should be listed."""
    step = step_of("plan1a")
    kept = tuple(item for item in step.outcome.skipped if item.patient != "P5")
    found = _bad(reseal(replace(step, outcome=step.outcome.model_copy(update={"skipped": kept}))))
    assert {(finding.gate, finding.severity) for finding in found} == {("patient_coverage", "warn")}


def test_one_constant_patient_is_a_warning(step_of: StepOf, reseal: Reseal, rescore: Reseal) -> None:
    """All patients constant fail a configuration; a single one is reported and may be so."""
    step = step_of("plan1b")
    _oof(step, lambda table: table.assign(
        decision=table["decision"].where(table["patient"] != "P2", 0.0),
        probability=table["probability"].where(table["patient"] != "P2", 0.5),
    ))  # fmt: skip
    found = _bad(reseal(rescore(step)))
    assert [(finding.gate, finding.severity) for finding in found] == [("predictions", "warn")]
    assert "P2" in found[0].subject


def test_a_patient_whose_probabilities_hardly_differ_is_a_warning(
    step_of: StepOf, reseal: Reseal, rescore: Reseal
) -> None:
    """The ranks and so the AUC are the same; nobody could call a cell by 0.5001."""
    step = step_of("plan1b")

    def shrink(table: pd.DataFrame) -> pd.DataFrame:
        decision = table["decision"].where(table["patient"] != "P2", table["decision"] / 1e4)
        return table.assign(decision=decision, probability=1 / (1 + np.exp(-decision)))

    _oof(step, shrink)
    found = _bad(reseal(rescore(step)))
    assert [(finding.gate, finding.severity) for finding in found] == [("predictions", "warn")]
    assert "P2" in found[0].subject
    assert found[0].measured.startswith("nearly constant")


@pytest.mark.parametrize(
    ("runtime_s", "peak", "severity"), [(3601.0, 2**20, "fail"), (3500.0, 2**20, "warn"), (10.0, 2**30 + 1, "fail")]
)
def test_the_budget_gate_compares_with_the_limits(runtime_s: float, peak: int, severity: str, step_of: StepOf) -> None:
    """Above a limit is a failure, above nine tenths of it a warning."""
    step = step_of("my_command")
    limits = Limits(runtime_s=3600.0, memory_bytes=2**30, retries=0)
    asked = step.asked.model_copy(update={"runtime_used_s": runtime_s, "peak_rss_bytes": peak, "limits": limits})
    found = _bad(replace(step, asked=asked))
    assert [(finding.gate, finding.severity) for finding in found] == [("budget", severity)]


def _unstable(step: GateContext) -> None:
    """Replace one seed's loadings by noise, and write the summary that this honestly gives."""
    rng = np.random.default_rng(5)
    folder = step.run / STABILITY / "nmf/k_3"
    for seed in (2, 3):
        path = folder / f"replicates/seed_{seed}/loadings.npy"
        np.save(path, rng.exponential(size=np.load(path).shape).astype(np.float32))


@pytest.mark.parametrize(("told", "severity"), [({}, "warn"), ({"at_least": 0.5}, "fail")])
def test_instability_warns_unless_the_spec_sets_the_floor(
    told: dict[str, float],
    severity: str,
    step_of: StepOf,
    reseal: Reseal,
) -> None:
    """The default floor is a warning; a floor that the spec sets is a failure. It is measured on the replicates."""
    step = step_of("plan0")
    _unstable(step)
    gates = {"stability_floor": told} if told else {}
    step = reseal(replace(step, request=step.request.model_copy(update={"gates": gates})))
    found = [finding for finding in _bad(step) if finding.gate == "stability_floor"]
    assert [(finding.subject, finding.severity) for finding in found] == [("nmf/k_3", severity)]


def test_replicates_are_of_the_declared_kind(step_of: StepOf, reseal: Reseal) -> None:
    """Where the request says bootstrap, fits by seed are found out: by their kind, and by what they were fitted to.

    PCA then owes as many replicates as there are seeds, and a stability.
    """
    step = step_of("plan0")
    study = step.request.study.model_copy(update={"replicates": "bootstrap_cells"})
    found = _bad(reseal(replace(step, request=step.request.model_copy(update={"study": study}))))
    told = {finding.subject: finding.measured for finding in found if finding.gate == "replicate_summary"}
    assert told["nmf/k_3 in pairwise_stability_summary.json"] == "seed replicates"
    assert told["nmf/k_3 replicate 2"] == "fitted to all cells"
    assert told["pca/k_5"] == "1 seeds, 0 pairs"
    assert any("pca/k_5/replicates/seed_3" in one.subject for one in found if one.gate == "promised_files")


def test_instability_never_fails_a_smoke_run(step_of: StepOf) -> None:
    """At checkpoint A a floor that the spec sets warns: a hundred cells of a patient make components unsteady."""
    request = step_of("plan0").request.model_copy(update={"gates": {"stability_floor": {"at_least": 0.5}}})
    assert is_binding(request)
    assert not is_binding(request.model_copy(update={"step": "A/plan0"}))


def test_a_threshold_of_the_spec_replaces_the_default(step_of: StepOf, reseal: Reseal) -> None:
    """A looser bound lets a duplicated axis pass; it was sealed before anyone looked."""
    step = step_of("plan1a")
    _obsm(step, _low_rank)
    step = replace(step, request=step.request.model_copy(update={"gates": {"effective_rank": {"at_least": 0.0}}}))
    assert _bad(reseal(step)) == []


def test_a_method_without_a_chosen_k_cannot_be_judged(step_of: StepOf, reseal: Reseal) -> None:
    """Nobody can say what such a step owes: the gate answers with an error, not with a pass."""
    step = step_of("plan1a")
    step = reseal(replace(step, request=step.request.model_copy(update={"k_by_method": {"pca": 5}})))
    found = _bad(step)
    assert ("promised_files", "error") in {(finding.gate, finding.severity) for finding in found}


def test_a_missing_data_file_is_a_warning(step_of: StepOf, reseal: Reseal, tmp_path: Path) -> None:
    """A run that was copied elsewhere can still be judged, with one thing less to hold it against."""
    step = step_of("plan1a")
    data = step.request.data.model_copy(update={"path": str(tmp_path / "gone.h5ad")})
    step = reseal(replace(step, request=step.request.model_copy(update={"data": data})))
    assert [(finding.gate, finding.severity) for finding in _bad(step)] == [("patient_coverage", "warn")]


def test_the_cells_of_each_class_are_told_by_patient_and_time_point(step_of: StepOf) -> None:
    """Those with too few of one class stand beside the others."""
    told = [finding for finding in run_gates(step_of("plan1a").asked) if "time point" in finding.subject]
    assert [(finding.gate, finding.severity) for finding in told] == [("patient_coverage", "pass")]
    assert "P1 MRD: 12 + 18; P2 MRD: 15 + 15" in told[0].measured
    assert "P5 MRD: 0 + 20; P6 MRD: 1 + 25" in told[0].measured
