"""Each fault makes its own gate fire, and no other."""

import json
import os
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
from stagewright.state.records import Limits
from stagewright.state.spec.grid import Method

StepOf = Callable[[str], GateContext]
Reseal = Callable[[GateContext], GateContext]
Spoil = Callable[[GateContext], GateContext]

GRID = "A/analysis/classification_grid/hvg_40"
CACHE = "A/analysis/preprocess_cache/hvg_40/adata_with_dr.h5ad"
STABILITY = "A/analysis/plan0/stability"


def _bad(step: GateContext) -> list[Finding]:
    return [finding for finding in run_gates(step.asked) if finding.severity != "pass"]


# --- faults after the seal: nothing is sealed again ---------------------------------------------------------------


def _flip_bit(step: GateContext) -> None:
    path = step.run / STABILITY / "nmf/k_3/replicates/seed_2/scores.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _delete(step: GateContext) -> None:
    (step.run / STABILITY / "nmf/k_3/replicates/seed_2/scores.npy").unlink()


def _truncate(step: GateContext) -> None:
    path = step.run / "A/analysis/plan0/k_selection_summary.csv"
    path.write_bytes(path.read_bytes()[:-20])


def _add_file(step: GateContext) -> None:
    (step.run / "A/analysis/plan0/better_results.csv").write_text("auc\n1.0\n", encoding="utf-8")


def _link_file(step: GateContext) -> None:
    path = step.run / STABILITY / "nmf/k_3/replicates/seed_2/scores.npy"
    path.rename(step.run / "elsewhere.npy")
    path.symlink_to(step.run / "elsewhere.npy")


def _link_folder(step: GateContext) -> None:
    path = step.run / "A/analysis/plan0"
    path.rename(step.run / "elsewhere")
    path.symlink_to(step.run / "elsewhere")


def _link_unseen_folder(step: GateContext) -> None:
    (step.run / "elsewhere").mkdir()
    (step.run / "A/analysis/more").symlink_to(step.run / "elsewhere")


def _edit_outcome(step: GateContext) -> None:
    path = step.run / step.asked.artifacts.outcome
    path.write_text(path.read_text(encoding="utf-8").replace('"nmf":3', '"nmf":5').replace(": 3", ": 5"), encoding="utf-8")


def _edit_request(step: GateContext) -> None:
    path = step.run / step.asked.request
    path.write_text(path.read_text(encoding="utf-8").replace("0.1,1.0,10.0", "0.1,1.0"), encoding="utf-8")


def _lose_outcome(step: GateContext) -> None:
    (step.run / step.asked.artifacts.outcome).unlink()


@pytest.mark.parametrize(
    "tamper",
    [
        _flip_bit,
        _delete,
        _truncate,
        _add_file,
        _link_file,
        _link_folder,
        _link_unseen_folder,
        _edit_outcome,
        _edit_request,
        _lose_outcome,
    ],
)
def test_whatever_changes_after_the_seal_fails_integrity(tamper: Callable[[GateContext], None], step_of: StepOf) -> None:
    """A bit, a file more or less, a link, an edited listing: integrity fails, and no gate judges what is left."""
    step = step_of("plan0")
    tamper(step)
    found = _bad(step)
    assert found
    assert {(finding.gate, finding.severity) for finding in found} == {("artifact_integrity", "fail")}


def test_a_file_that_another_step_sealed_is_not_undeclared(step_of: StepOf) -> None:
    """`sealed_elsewhere` names the other steps' files of the checkpoint."""
    step = step_of("plan0")
    (step.run / "A/analysis/other.json").write_text("{}", encoding="utf-8")
    assert _bad(step)
    asked = step.asked.model_copy(update={"sealed_elsewhere": ("A/analysis/other.json",)})
    assert {finding.severity for finding in run_gates(asked)} == {"pass"}


def test_an_earlier_step_whose_files_changed_fails_the_step_that_reads_them(step_of: StepOf, reseal: Reseal) -> None:
    """What a step was computed from has to be what was sealed, too."""
    earlier = step_of("my_command")
    step = step_of("plan0")
    os.renames(earlier.run / "attempts/0001_A_my_command", step.run / "attempts/0002_A_my_command")
    answer = "A/analysis/my_command/answer.json"
    os.renames(earlier.run / answer, step.run / answer)
    upstream = earlier.asked.artifacts.model_copy(update={"outcome": "attempts/0002_A_my_command/outcome.json"})
    request = step.request.model_copy(update={"upstream": {"A/my_command": upstream}})
    step = reseal(replace(step, request=request))
    asked = step.asked.model_copy(update={"sealed_elsewhere": (answer,)})
    assert {finding.severity for finding in run_gates(asked)} == {"pass"}
    (step.run / answer).write_text('{\n  "answer": 43\n}\n', encoding="utf-8")
    found = [finding for finding in run_gates(asked) if finding.severity != "pass"]
    assert [(finding.gate, finding.subject) for finding in found] == [("artifact_integrity", answer)]


# --- faults of the stage: sealed as the stage wrote them -----------------------------------------------------------


def _scores(step: GateContext, change: Callable[[NDArray[np.float32]], None]) -> None:
    for seed in (1, 2, 3):
        path = step.run / STABILITY / f"nmf/k_3/replicates/seed_{seed}/scores.npy"
        array = np.load(path)
        change(array)
        np.save(path, array)


def _obsm(step: GateContext, change: Callable[[NDArray[np.float32]], None]) -> None:
    with h5py.File(step.run / CACHE, "r+") as file:
        array = file["obsm/X_pca"][()]
        change(array)
        file["obsm/X_pca"][...] = array


def _nan(array: NDArray[np.float32]) -> None:
    array[4, 1] = np.nan


def _constant(array: NDArray[np.float32]) -> None:
    array[:, 1] = 0.37


def _duplicate(array: NDArray[np.float32]) -> None:
    array[:, 1] = -2 * array[:, 0] + 1


def _low_rank(array: NDArray[np.float32]) -> None:
    rng = np.random.default_rng(0)
    # |r| stays near 0.98: each axis is the first one with a little noise, none is its copy.
    array[:] = array[:, :1] + 0.15 * array[:, 0].std() * rng.normal(size=array.shape)


def _dead(array: NDArray[np.float32]) -> None:
    array[:, 1] *= 1e-7


def _csv(step: GateContext, path: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    table = pd.read_csv(step.run / path, keep_default_na=False, dtype=str)
    change(table).to_csv(step.run / path, index=False)


def _oof(step: GateContext, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = step.run / GRID / "nmf/oof_predictions.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(decision=0.0, probability=0.5)


def _flat_by_fold(table: pd.DataFrame) -> pd.DataFrame:
    decision = table["fold"] * 0.1
    return table.assign(decision=decision, probability=1 / (1 + np.exp(-decision)))


def _too_probable(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[5, "probability"] = 1.2
    return table


def _not_a_number(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[5, "probability"] = np.nan
    return table


def _better_than_decided(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(probability=table["label"].astype(float) * 0.9 + 0.05)


def _lose_cell(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(index=5)


def _twice(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.iloc[[5]]])


def _lose_repeat(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["repeat"] == 0]


def _swap_label(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[5, "label"] = ~table.loc[5, "label"]
    return table


def _one_fold(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(fold=0)


def _no_model(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{name: "0.0" for name in table.columns if name.startswith("component_")})


def _without(patient: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table[table["patient"] != patient]


def _lose_alpha(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(index=table.index[(table["patient"] == "P2") & (table["alpha"] == "1.0")])


def _miscount(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(n_positive=table["n_positive"].where(table["patient"] != "P2", "16"))


def _wrong_k(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(k="4")


def _stability(step: GateContext, change: Callable[[dict[str, object]], None]) -> None:
    path = step.run / STABILITY / "nmf/k_5/pairwise_stability_summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    change(summary)
    path.write_text(json.dumps(summary), encoding="utf-8")


def _edit_pair(summary: dict[str, object]) -> None:
    pairs = summary["pairs"]
    assert isinstance(pairs, list)
    pairs[0]["median"] -= 0.05


def _lose_pair(summary: dict[str, object]) -> None:
    pairs = summary["pairs"]
    assert isinstance(pairs, list)
    del pairs[1]


def _fewer_seeds(summary: dict[str, object]) -> None:
    summary["n_seeds"] = 2


def _summary(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[GateContext], None]:
    return lambda step: _csv(step, "A/analysis/plan0/k_selection_summary.csv", change)


def _lower_median(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(stability_median=table["stability_median"].where(table["method"] != "nmf", "0.99999"))


def _swap_rows(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(k=table["k"].where(table["method"] != "nmf", "3"))


def _choose_none(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(chosen="False")


def _choose_other(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(chosen=[str((method, k) in {("pca", "3"), ("nmf", "3")}) for method, k in table[["method", "k"]].values])


def _unlink(*paths: str) -> Callable[[GateContext], None]:
    return lambda step: [(step.run / path).unlink() for path in paths] and None


def _one_gene_less(step: GateContext) -> None:
    path = step.run / STABILITY / "nmf/k_3/replicates/seed_2/loadings.npy"
    np.save(path, np.load(path)[:-1])


def _double_precision(step: GateContext) -> None:
    path = step.run / STABILITY / "nmf/k_3/replicates/seed_2/scores.npy"
    np.save(path, np.load(path).astype(np.float64))


def _no_embedding(step: GateContext) -> None:
    with h5py.File(step.run / CACHE, "r+") as file:
        del file["obsm/X_nmf"]


def _not_json(step: GateContext) -> None:
    (step.run / "A/analysis/plan0/gene_log.json").write_text("{", encoding="utf-8")


def _not_h5ad(step: GateContext) -> None:
    content = (step.run / CACHE).read_bytes()
    (step.run / CACHE).write_bytes(content[: len(content) // 2])


def _drop_column(step: GateContext) -> None:
    _csv(step, f"{GRID}/pca/metrics.csv", lambda table: table.drop(columns="auc_sd"))


def _lose_patient_in_obs(step: GateContext) -> None:
    """Write P2's cells as normal ones, everywhere, so that only the data file still knows better."""
    with h5py.File(step.run / CACHE, "r+") as file:
        codes, donors = file["obs/CN.label/codes"], file["obs/donor"]
        names = [name.decode() for name in file["obs/CN.label/categories"][()]]
        mine = donors["codes"][()] == [name.decode() for name in donors["categories"][()]].index("P2")
        codes[...] = np.where(mine, names.index("normal"), codes[()])


CASES: dict[str, tuple[str, str, Callable[[GateContext], object]]] = {
    "replicate never written": ("plan0", "promised_files", _unlink(
        f"{STABILITY}/pca/k_3/replicates/seed_1/scores.npy", f"{STABILITY}/nmf/k_3/replicates/seed_3/extras.json")),
    "summary never written": ("plan0", "promised_files", _unlink(f"{STABILITY}/nmf/k_5/pairwise_stability_summary.json")),
    "loadings lack a gene": ("plan0", "promised_files", _one_gene_less),
    "scores in double precision": ("plan0", "promised_files", _double_precision),
    "json cut short": ("plan0", "promised_files", _not_json),
    "embedding missing": ("plan1b", "promised_files", _no_embedding),
    "column missing": ("plan1b", "promised_files", _drop_column),
    "command left nothing": ("my_command", "promised_files", _unlink("A/analysis/my_command/answer.json")),
    "NaN in a replicate": ("plan0", "embedding", lambda step: _scores(step, _nan)),
    "constant axis in replicates": ("plan0", "embedding", lambda step: _scores(step, _constant)),
    "dead NMF component": ("plan0", "embedding", lambda step: _scores(step, _dead)),
    "NaN in obsm": ("plan1a", "embedding", lambda step: _obsm(step, _nan)),
    "constant axis in obsm": ("plan1b", "embedding", lambda step: _obsm(step, _constant)),
    "duplicate axes in replicates": ("plan0", "duplicate_axes", lambda step: _scores(step, _duplicate)),
    "duplicate axes in obsm": ("plan1a", "duplicate_axes", lambda step: _obsm(step, _duplicate)),
    "low rank in replicates": ("plan0", "effective_rank", lambda step: _scores(step, _low_rank)),
    "low rank in obsm": ("plan1b", "effective_rank", lambda step: _obsm(step, _low_rank)),
    "no model has a coefficient": ("plan1a", "predictions", lambda step: _csv(step, f"{GRID}/pca/coefs_no_cv.csv", _no_model)),
    "constant predictions": ("plan1b", "predictions", lambda step: _oof(step, _flat)),
    "constant but for folds": ("plan1b", "predictions", lambda step: _oof(step, _flat_by_fold)),
    "probability 1.2": ("plan1b", "predictions", lambda step: _oof(step, _too_probable)),
    "probability NaN": ("plan1b", "predictions", lambda step: _oof(step, _not_a_number)),
    "probabilities made up": ("plan1b", "predictions", lambda step: _oof(step, _better_than_decided)),
    "cell missing from a repeat": ("plan1b", "prediction_coverage", lambda step: _oof(step, _lose_cell)),
    "cell twice in a repeat": ("plan1b", "prediction_coverage", lambda step: _oof(step, _twice)),
    "repeat missing": ("plan1b", "prediction_coverage", lambda step: _oof(step, _lose_repeat)),
    "label swapped": ("plan1b", "prediction_coverage", lambda step: _oof(step, _swap_label)),
    "one fold": ("plan1b", "prediction_coverage", lambda step: _oof(step, _one_fold)),
    "patient dropped from Plan 1a": ("plan1a", "patient_coverage", lambda step: _csv(step, f"{GRID}/pca/metrics_no_cv.csv", _without("P2"))),
    "alpha dropped": ("plan1b", "patient_coverage", lambda step: _csv(step, f"{GRID}/pca/metrics.csv", _lose_alpha)),
    "classes miscounted": ("plan1b", "patient_coverage", lambda step: _csv(step, f"{GRID}/pca/metrics.csv", _miscount)),
    "results of another K": ("plan1b", "patient_coverage", lambda step: _csv(step, f"{GRID}/pca/metrics.csv", _wrong_k)),
    "edited stability of a pair": ("plan0", "replicate_summary", lambda step: _stability(step, _edit_pair)),
    "pair missing": ("plan0", "replicate_summary", lambda step: _stability(step, _lose_pair)),
    "fewer seeds than promised": ("plan0", "replicate_summary", lambda step: _stability(step, _fewer_seeds)),
    "edited stability in the table": ("plan0", "replicate_summary", _summary(_lower_median)),
    "row of another K": ("plan0", "replicate_summary", _summary(_swap_rows)),
    "no K chosen": ("plan0", "replicate_summary", _summary(_choose_none)),
    "another K handed on": ("plan0", "replicate_summary", _summary(_choose_other)),
}  # fmt: skip


@pytest.mark.parametrize("case", list(CASES))
def test_a_fault_makes_its_own_gate_fail_and_no_other(case: str, step_of: StepOf, reseal: Reseal) -> None:
    """The fault is sealed as if the stage had made it, so that only its own gate can see it."""
    stage, gate, spoil = CASES[case]
    step = step_of(stage)
    spoil(step)
    found = _bad(reseal(step))
    assert {(finding.gate, finding.severity) for finding in found} == {(gate, "fail")}
    assert all("To pass:" in finding.reason for finding in found)


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


def test_one_constant_patient_is_a_warning(step_of: StepOf, reseal: Reseal) -> None:
    """All patients constant fail a configuration; a single one is reported and may be so."""
    step = step_of("plan1b")
    _oof(step, lambda table: table.assign(
        decision=table["decision"].where(table["patient"] != "P2", 0.0),
        probability=table["probability"].where(table["patient"] != "P2", 0.5),
    ))  # fmt: skip
    found = _bad(reseal(step))
    assert [(finding.gate, finding.severity) for finding in found] == [("predictions", "warn")]
    assert "P2" in found[0].subject


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


@pytest.mark.parametrize(("told", "severity"), [(False, "warn"), (True, "fail")])
def test_instability_warns_unless_the_spec_sets_the_floor(
    told: bool, severity: str, step_of: StepOf, reseal: Reseal  # noqa: FBT001 - a parametrised case
) -> None:
    """The default floor is a warning; a floor that the spec sets is a failure. It is measured on the replicates."""
    step = step_of("plan0")
    _unstable(step)
    gates = {"stability_floor": {"at_least": 0.5}} if told else {}
    step = reseal(replace(step, request=step.request.model_copy(update={"gates": gates})))
    found = [finding for finding in _bad(step) if finding.gate == "stability_floor"]
    assert [(finding.subject, finding.severity) for finding in found] == [("nmf/k_3", severity)]


def test_a_threshold_of_the_spec_replaces_the_default(step_of: StepOf, reseal: Reseal) -> None:
    """A looser bound lets a duplicated axis pass; it was sealed before anyone looked."""
    step = step_of("plan1a")
    _obsm(step, _low_rank)
    step = replace(step, request=step.request.model_copy(update={"gates": {"effective_rank": {"at_least": 0.0}}}))
    assert _bad(reseal(step)) == []


def test_a_method_without_a_chosen_k_cannot_be_judged(step_of: StepOf, reseal: Reseal) -> None:
    """Nobody can say what such a step owes: the gate answers with an error, not with a pass."""
    step = step_of("plan1a")
    k_by_method: dict[Method, int] = {"pca": 5}
    step = reseal(replace(step, request=step.request.model_copy(update={"k_by_method": k_by_method})))
    found = _bad(step)
    assert ("promised_files", "error") in {(finding.gate, finding.severity) for finding in found}


def test_a_missing_data_file_is_a_warning(step_of: StepOf, reseal: Reseal, tmp_path: Path) -> None:
    """A run that was copied elsewhere can still be judged, with one thing less to hold it against."""
    step = step_of("plan1a")
    data = step.request.data.model_copy(update={"path": str(tmp_path / "gone.h5ad")})
    step = reseal(replace(step, request=step.request.model_copy(update={"data": data})))
    assert [(finding.gate, finding.severity) for finding in _bad(step)] == [("patient_coverage", "warn")]
