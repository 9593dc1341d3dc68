"""Each fault makes its own gate fire, and no other."""

import json
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from stagewright.gates.__main__ import run_gates
from stagewright.gates.protocol import Finding, GateContext

StepOf = Callable[[str], GateContext]
Reseal = Callable[[GateContext], GateContext]
Spoil = Callable[[GateContext], GateContext]

GRID = "B/analysis/classification_grid/hvg_40"
CACHE = "B/analysis/preprocess_cache/hvg_40/adata_with_dr.h5ad"
STABILITY = "B/analysis/plan0/stability"
PAIRS = "pairwise_stability_summary.json"


def _bad(step: GateContext) -> list[Finding]:
    return [finding for finding in run_gates(step.asked) if finding.severity != "pass"]


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


def _table(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[GateContext], None]:
    return lambda step: _csv(step, f"{GRID}/pca/{name}", change)


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
    return table.assign(label=table["label"] ^ (table.index == 5))


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


def _other_kind(summary: dict[str, object]) -> None:
    summary["replicates"] = "bootstrap_cells"


def _held_out(where: str, change: Callable[[dict[str, Any]], object]) -> Callable[[GateContext], None]:
    def spoil(step: GateContext) -> None:
        path = step.run / STABILITY / where / "held_out.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        change(record)
        path.write_text(json.dumps(record), encoding="utf-8")

    return spoil


def _other_totals(record: dict[str, Any]) -> None:
    for group in record["groups"]:
        group["total"] *= 1.1
        group["squared_error"] *= 1.1  # so that R2 and its standard error stay as they are


def _raise_r2(record: dict[str, Any]) -> None:
    record["r2"] += 0.01


def _no_group(record: dict[str, Any]) -> None:
    record["groups"] = []


def _lose_group(record: dict[str, Any]) -> None:
    del record["groups"][0]


def _better_r2(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(held_out_r2=table["held_out_r2"].astype(float).where(table["method"] != "pca", 0.9).astype(str))


def _summary(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[GateContext], None]:
    return lambda step: _csv(step, "B/analysis/plan0/k_selection_summary.csv", change)


def _lower_median(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(stability_median=table["stability_median"].where(table["method"] != "nmf", "0.99999"))


def _swap_rows(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(k=table["k"].where(table["method"] != "nmf", "3"))


def _choose_none(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(chosen="False")


def _choose_other(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(
        chosen=[str((method, k) in {("pca", "3"), ("nmf", "3")}) for method, k in table[["method", "k"]].to_numpy()]
    )


def _unlink(*paths: str) -> Callable[[GateContext], None]:
    def unlink(step: GateContext) -> None:
        for path in paths:
            (step.run / path).unlink()

    return unlink


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
    (step.run / "B/analysis/plan0/gene_log.json").write_text("{", encoding="utf-8")


def _drop_column(step: GateContext) -> None:
    _csv(step, f"{GRID}/pca/metrics.csv", lambda table: table.drop(columns="auc_sd"))


CASES: dict[str, tuple[str, str, Callable[[GateContext], object]]] = {
    "replicate never written": ("plan0", "promised_files", _unlink(
        f"{STABILITY}/pca/k_3/replicates/seed_1/scores.npy", f"{STABILITY}/nmf/k_3/replicates/seed_3/extras.json")),
    "summary never written": ("plan0", "promised_files", _unlink(f"{STABILITY}/nmf/k_5/{PAIRS}")),
    "loadings lack a gene": ("plan0", "promised_files", _one_gene_less),
    "scores in double precision": ("plan0", "promised_files", _double_precision),
    "json cut short": ("plan0", "promised_files", _not_json),
    "embedding missing": ("plan1b", "promised_files", _no_embedding),
    "column missing": ("plan1b", "promised_files", _drop_column),
    "command left nothing": ("my_command", "promised_files", _unlink("B/analysis/my_command/answer.json")),
    "NaN in a replicate": ("plan0", "embedding", lambda step: _scores(step, _nan)),
    "constant axis in replicates": ("plan0", "embedding", lambda step: _scores(step, _constant)),
    "dead NMF component": ("plan0", "embedding", lambda step: _scores(step, _dead)),
    "NaN in obsm": ("plan1a", "embedding", lambda step: _obsm(step, _nan)),
    "constant axis in obsm": ("plan1b", "embedding", lambda step: _obsm(step, _constant)),
    "duplicate axes in replicates": ("plan0", "duplicate_axes", lambda step: _scores(step, _duplicate)),
    "duplicate axes in obsm": ("plan1a", "duplicate_axes", lambda step: _obsm(step, _duplicate)),
    "low rank in replicates": ("plan0", "effective_rank", lambda step: _scores(step, _low_rank)),
    "low rank in obsm": ("plan1b", "effective_rank", lambda step: _obsm(step, _low_rank)),
    "no model has a coefficient": ("plan1a", "predictions", _table("coefs_no_cv.csv", _no_model)),
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
    "patient dropped from Plan 1a": ("plan1a", "patient_coverage", _table("metrics_no_cv.csv", _without("P2"))),
    "alpha dropped": ("plan1b", "patient_coverage", _table("metrics.csv", _lose_alpha)),
    "classes miscounted": ("plan1b", "patient_coverage", _table("metrics.csv", _miscount)),
    "results of another K": ("plan1b", "patient_coverage", _table("metrics.csv", _wrong_k)),
    "edited stability of a pair": ("plan0", "replicate_summary", lambda step: _stability(step, _edit_pair)),
    "pair missing": ("plan0", "replicate_summary", lambda step: _stability(step, _lose_pair)),
    "fewer seeds than promised": ("plan0", "replicate_summary", lambda step: _stability(step, _fewer_seeds)),
    "edited stability in the table": ("plan0", "replicate_summary", _summary(_lower_median)),
    "replicates of another kind": ("plan0", "replicate_summary", lambda step: _stability(step, _other_kind)),
    "held-out file never written": ("plan0", "promised_files", _unlink(f"{STABILITY}/pca/k_3/held_out.json")),
    "no component matches": ("plan0", "promised_files", _unlink(f"{STABILITY}/nmf/k_3/component_matches.csv")),
    "edited held-out R2": ("plan0", "held_out", _held_out("nmf/k_3", _raise_r2)),
    "other cells held out for one K": ("plan0", "held_out", _held_out("nmf/k_5", _other_totals)),
    "a patient without held-out cells": ("plan0", "held_out", _held_out("pca/k_3", _lose_group)),
    "another share held out": ("plan0", "held_out", _held_out("pca/k_5", lambda record: record.update(fraction=0.1))),
    "held-out errors without a group": ("plan0", "held_out", _held_out("pca/k_5", _no_group)),
    "edited held-out R2 in the table": ("plan0", "held_out", _summary(_better_r2)),
    "row of another K": ("plan0", "replicate_summary", _summary(_swap_rows)),
    "no K chosen": ("plan0", "replicate_summary", _summary(_choose_none)),
    "another K handed on": ("plan0", "replicate_summary", _summary(_choose_other)),
}  # fmt: skip


ABOUT_PREDICTIONS = ("predictions", "prediction_coverage")


@pytest.mark.parametrize("case", list(CASES))
def test_a_fault_makes_its_own_gate_fail_and_no_other(
    case: str, step_of: StepOf, reseal: Reseal, rescore: Reseal
) -> None:
    """The fault is sealed as if the stage had made it, so that only its own gate can see it.

    A stage that made other predictions would have scored those.
    """
    stage, gate, spoil = CASES[case]
    step = step_of(stage)
    spoil(step)
    if stage == "plan1b" and gate in ABOUT_PREDICTIONS:
        step = rescore(step)
    found = _bad(reseal(step))
    assert {(finding.gate, finding.severity) for finding in found} == {(gate, "fail")}
    assert all("To pass:" in finding.reason for finding in found)
