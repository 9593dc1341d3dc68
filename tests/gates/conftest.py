"""Small sealed steps, each valid in every respect, for tests to spoil in one.

One file, though long: fixtures can be shared between test files from here only.

What a stage would compute is drawn here instead, so that the right answers are known by construction: the gates are
checked against these and not against a stage.
"""

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path, PurePosixPath
from statistics import fmean, median

import anndata
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stagewright.gates.protocol import GateContext, GateRequest
from stagewright.state.artifacts import ArtifactWriter, Outcome, Skipped, seal
from stagewright.state.canonical import digest_file
from stagewright.state.layout import (
    TWIN,
    analysis,
    classification_cell,
    held_out_file,
    k_folder,
    null_twin_summary,
    permuted_cell,
    preprocess_folder,
    replicate_folder,
    search_cell,
    search_folder,
)
from stagewright.state.publishing import publish
from stagewright.state.records import ArtifactSeal, Limits, SealedData
from stagewright.state.spec.data import ColumnFilter, DataScope, Label, Timepoint
from stagewright.state.spec.effective import EffectiveStudy
from stagewright.state.spec.preprocess import Hvg
from stagewright.state.spec.reduction import HeldOut
from stagewright.state.step_request import CommandStage, StepRequest

N_GENES = 40
KS = {"pca": (3, 5), "nmf": (3, 5)}
CHOSEN = {"pca": 5, "nmf": 3}
EFFECT = {"pca": 2.0, "nmf": 0.8}
"""By how many standard deviations the predictions tell the classes apart: pca is the clear winner."""
SEEDS = (1, 2, 3)
ALPHAS = (0.1, 1.0, 10.0)
CHOSEN_ALPHA = 1.0
OVER_PATIENTS: dict[str, Callable[[list[float]], float]] = {
    "auc_median": median,
    "auc_mean": fmean,
    "auc_min": min,
    "auc_max": max,
}
FOLDS, REPEATS = 3, 2
PERMUTATIONS = 39
TAG = "hvg_40"
CELLS_OF = {"P1": (12, 18), "P2": (15, 15), "P3": (9, 21), "P4": (20, 10), "P5": (0, 20), "P6": (1, 25)}
"""Positive and negative cells of each patient; P5 has one class only, P6 too few of one."""
SKIPPED = {"P5": "one class only", "P6": "fewer than 3 positive cells"}
HELD_OUT = HeldOut(fraction=0.2, seed=1)
LIMITS = Limits(runtime_s=3600.0, memory_bytes=2**30, retries=2)

Reseal = Callable[[GateContext], GateContext]


@pytest.fixture(scope="session")
def _templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("steps")
    cells = _cells()
    _write_h5ad(folder / "cohort.h5ad", cells, obsm={}, varm={})
    for stage in ("plan0", "plan1a", "plan1b", "my_command"):
        run = folder / stage
        request = _request(folder / "cohort.h5ad", stage)
        attempt = run / "attempts" / f"0001_A_{stage}"
        attempt.mkdir(parents=True)
        (attempt / "request.json").write_text(request.model_dump_json(), encoding="utf-8")
        writer = ArtifactWriter(attempt / "staging")
        outcome = WRITERS[stage](writer, request, cells)
        publish(run, attempt, outcome.model_copy(update={"artifacts": writer.artifacts()}), kept=())
    return folder


@pytest.fixture
def step_of(_templates: Path, tmp_path: Path) -> Callable[[str], GateContext]:
    """Return a function that gives a fresh copy of a valid, sealed step ``B/<stage>``."""

    def copy(stage: str) -> GateContext:
        run = tmp_path / stage
        shutil.copytree(_templates / stage, run)
        return _context(run, stage, LIMITS)

    return copy


@pytest.fixture
def reseal() -> Reseal:
    """Return a function that seals a step's files again as they are now, as a stage that wrote them so would have.

    Declared shapes are dropped for files that changed; files that were deleted are no longer declared.
    """

    def again(step: GateContext) -> GateContext:
        artifacts = []
        for artifact in step.outcome.artifacts:
            path = step.run / artifact.path
            if not path.is_file():
                continue
            if (digest := digest_file(path)) != artifact.sha256:
                fresh = {"sha256": digest, "bytes": path.stat().st_size, "shape": None, "columns": None, "obs": None}
                artifact = artifact.model_copy(update=fresh | {"obsm": {}, "varm": {}})  # noqa: PLW2901 - the same one
            artifacts.append(artifact)
        outcome = step.outcome.model_copy(update={"artifacts": tuple(artifacts)})
        listing = step.run / step.asked.artifacts.outcome
        listing.write_text(outcome.model_dump_json(exclude_none=True), encoding="utf-8")
        request = step.run / step.asked.request
        request.write_text(step.request.model_dump_json(), encoding="utf-8")
        asked = step.asked.model_copy(
            update={"artifacts": seal(step.run, listing, outcome), "request_sha256": digest_file(request)}
        )
        return GateContext(run=step.run, asked=asked, request=step.request, outcome=outcome)

    return again


@pytest.fixture
def rescore() -> Reseal:
    """Return a function that scores Plan 1b's predictions again as they are now, as a stage that made them would have.

    It rewrites `auc_mean` at the chosen alpha, the summary over patients and the metrics of the outcome.
    """

    def again(step: GateContext) -> GateContext:
        grid = step.run / analysis("B") / "classification_grid"
        summary = pd.read_csv(grid / "plan1b_summary.csv")
        for method in CHOSEN:
            auc = _auc(pd.read_parquet(grid / TAG / method / "oof_predictions.parquet"))
            metrics = pd.read_csv(grid / TAG / method / "metrics.csv")
            chosen = metrics["alpha"] == CHOSEN_ALPHA
            metrics.loc[chosen, "auc_mean"] = metrics.loc[chosen, "patient"].map(auc)
            metrics.to_csv(grid / TAG / method / "metrics.csv", index=False)
            for name, over_patients in OVER_PATIENTS.items():
                summary.loc[(summary["method"] == method).to_numpy(), name] = over_patients(list(auc.values()))
        summary["best"] = summary.index == summary["auc_median"].idxmax()
        summary.to_csv(grid / "plan1b_summary.csv", index=False)
        metrics = {**step.outcome.metrics, **_metrics(summary)}
        return replace(step, outcome=step.outcome.model_copy(update={"metrics": metrics}))

    return again


def _context(run: Path, stage: str, limits: Limits) -> GateContext:
    attempt = run / "attempts" / f"0001_A_{stage}"
    request = StepRequest.model_validate_json((attempt / "request.json").read_bytes())
    outcome = Outcome.model_validate_json((attempt / "outcome.json").read_bytes())
    asked = GateRequest(
        run=str(run),
        step=f"B/{stage}",
        attempt=1,
        request=(attempt / "request.json").relative_to(run).as_posix(),
        request_sha256=digest_file(attempt / "request.json"),
        artifacts=ArtifactSeal.model_validate(seal(run, attempt / "outcome.json", outcome)),
        runtime_used_s=60.0,
        peak_rss_bytes=2**28,
        limits=limits,
    )
    return GateContext(run=run, asked=asked, request=request, outcome=outcome)


def _request(data: Path, stage: str) -> StepRequest:
    hvg = Hvg(method="hvg", n_top_genes=N_GENES)
    study = EffectiveStudy(
        checkpoint="B",
        preprocess=(hvg,),
        reference=hvg,
        methods=("pca", "nmf"),
        ks={"pca": KS["pca"], "nmf": KS["nmf"]},
        seeds=SEEDS,
        rotation={},
        penalties=("l1",),
        alphas=ALPHAS,
        folds=FOLDS,
        repeats=REPEATS,
        group="none",
        scope="classifier",
        cells_per_patient=None,
        workers=None,
        held_out=HELD_OUT,
        permutation_strata=("donor", "time"),
        search_permutations=PERMUTATIONS,
    )
    return StepRequest.model_validate(
        {
            "run_id": "20260101_000000_small_00000000",
            "step": f"B/{stage}",
            "attempt": 1,
            "data": SealedData(path=str(data), bytes=data.stat().st_size, sha256=digest_file(data)),
            "scope": DataScope(
                path=str(data),
                patient="donor",
                label=Label(column="CN.label", positive="cancer", negative="normal"),
                timepoint=Timepoint(column="time", keep=("MRD",)),
                filters=(ColumnFilter(column="Tech", drop=("RNA",)),),
            ),
            "study": study,
            "k_by_method": {} if stage == "plan0" else CHOSEN,
            "upstream": {},
            "limits": LIMITS,
            "caps": LIMITS,
            "workers": 1,
            "command": CommandStage(argv=("true",)) if stage == "my_command" else None,
        }
    )


def _cells() -> pd.DataFrame:
    """Return obs of the data file: the cells of the study, and some that its time point and filters leave out."""
    rows = [
        (f"{patient}_{number}", patient, "cancer" if number < positive else "normal", "MRD", "CITE")
        for patient, (positive, negative) in CELLS_OF.items()
        for number in range(positive + negative)
    ]
    rows += [(f"P7_{number}", "P7", ("cancer", "normal")[number % 2], "Dx", "CITE") for number in range(10)]
    rows += [(f"P8_{number}", "P8", ("cancer", "normal")[number % 2], "MRD", "RNA") for number in range(10)]
    frame = pd.DataFrame(rows, columns=["cell", "donor", "CN.label", "time", "Tech"]).set_index("cell")
    return frame.astype("category")


def _in_scope(cells: pd.DataFrame) -> pd.DataFrame:
    return cells[cells["donor"].isin(list(CELLS_OF))].copy()


def _write_h5ad(
    path: Path, obs: pd.DataFrame, obsm: dict[str, NDArray[np.float32]], varm: dict[str, NDArray[np.float32]]
) -> None:
    rng = np.random.default_rng(7)
    counts = sparse.csr_matrix(rng.poisson(0.3, (len(obs), N_GENES)).astype(np.float32))
    var = pd.DataFrame(index=[f"g{number}" for number in range(N_GENES)])
    anndata.AnnData(counts, obs=obs, var=var, obsm=obsm, varm=varm).write_h5ad(path)


def _write_csv(
    writer: ArtifactWriter, path: PurePosixPath, header: Iterable[str], rows: Sequence[tuple[object, ...]]
) -> None:
    columns = tuple(header)
    with writer.place(path).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)
    writer.record(path, "csv", shape=(len(rows), len(columns)), columns=columns)


def _write_npy(writer: ArtifactWriter, path: PurePosixPath, array: NDArray[np.float64]) -> None:
    np.save(writer.place(path), array.astype(np.float32))
    writer.record(path, "npy", shape=array.shape)


def _plan0(writer: ArtifactWriter, request: StepRequest, cells: pd.DataFrame) -> Outcome:
    rng = np.random.default_rng(3)
    obs = _in_scope(cells)
    folder = analysis("B") / "plan0"
    writer.write_json(folder / "gene_log.json", {"kept": N_GENES})
    rows = [(cell, *obs.loc[cell, ["donor", "CN.label", "time"]]) for cell in obs.index]
    _write_csv(writer, folder / "cells.csv", ("cell", "patient", "label", "timepoint"), rows)
    predicted = [(method, k, _held_out(writer, method, k)) for method, ks in KS.items() for k in ks]
    summary = [_sweep(writer, rng, len(obs), method, k, figures) for method, k, figures in predicted]
    header = (
        "method,k,n_seeds,replicates,stability_mean,stability_median,stability_p10,stability_chance,"
        "stability_fraction_below_0.3,consensus_silhouette,explained,held_out_r2,held_out_r2_se,"
        "held_out_log_likelihood,objective,objective_spread,sparsity,orthogonality,effective_rank,converged,chosen,"
        "shortlisted,reason"
    )
    _write_csv(writer, folder / "k_selection_summary.csv", header.split(","), summary)
    return Outcome.model_validate(
        {
            "step": request.step,
            "attempt": 1,
            "artifacts": (),
            "k_by_method": CHOSEN,
            "k_shortlist": {method: (k,) for method, k in CHOSEN.items()},
            "n_cells": len(obs),
        }
    )


def _held_out(writer: ArtifactWriter, method: str, k: int) -> tuple[float, float]:
    """Write what one method and K predicts of a fifth of each patient's cells; return R2 and its standard error."""
    n_cells = {patient: round(sum(counts) / 5) for patient, counts in CELLS_OF.items()}
    totals = {patient: 40.0 * count for patient, count in n_cells.items()}
    errors = {patient: total * (0.9 - 0.01 * k + 0.001 * n) for n, (patient, total) in enumerate(totals.items())}
    r2 = 1 - sum(errors.values()) / sum(totals.values())
    # The jackknife over patients is within a few percent; the ratio's own formula is what is promised.
    spread = np.array([errors[patient] - (1 - r2) * totals[patient] for patient in totals])
    se = float(np.sqrt(spread.size / (spread.size - 1) * (spread**2).sum()) / sum(totals.values()))
    document = {
        "method": method,
        "k": k,
        "fraction": 0.2,
        "seed": 1,
        "n_held_out": sum(n_cells.values()),
        "applicable": True,
        "reason": "",
        "r2": r2,
        "r2_standard_error": se,
        "log_likelihood": None,
        "grouped_by": "patient",
        "groups": [
            {"group": patient, "n_cells": n_cells[patient], "squared_error": errors[patient], "total": totals[patient]}
            for patient in totals
        ],
    }
    path = held_out_file("B", method, k)
    writer.place(path).write_text(json.dumps(document), encoding="utf-8")
    writer.record(path, "json")
    return r2, se


def _sweep(
    writer: ArtifactWriter, rng: np.random.Generator, n_cells: int, method: str, k: int, held_out: tuple[float, float]
) -> tuple[object, ...]:
    """Write one method and K: the same components under each seed, shuffled, turned over and a little off."""
    seeds = SEEDS[:1] if method == "pca" else SEEDS
    truth, scores = rng.exponential(size=(N_GENES, k)), rng.gamma(2.0, size=(n_cells, k))
    fits: dict[int, NDArray[np.float64]] = {}
    for seed in seeds:
        fits[seed] = (truth + rng.normal(scale=0.2, size=truth.shape)).astype(np.float32).astype(np.float64)
        order = rng.permutation(k)
        sign = rng.choice([-1.0, 1.0], k) if method == "pca" else np.ones(k)
        place = replicate_folder("B", method, k, seed)
        _write_npy(writer, place / "loadings.npy", (fits[seed] * sign)[:, order])
        _write_npy(writer, place / "scores.npy", (scores * sign)[:, order] + rng.normal(scale=0.1, size=scores.shape))
        writer.write_json(place / "extras.json", {"seed": seed, "converged": True})
    # The true match is known here, so the correlation is taken component by component without any matching.
    alike = {
        pair: [float(np.corrcoef(fits[pair[0]][:, j], fits[pair[1]][:, j])[0, 1]) for j in range(k)]
        for pair in combinations(seeds, 2)
    }
    pooled = [value for values in alike.values() for value in values]
    mean, median = (float(np.mean(pooled)), float(np.median(pooled))) if pooled else (None, None)
    kind = "seed" if pooled else "seed-invariant"
    document = {
        "method": method,
        "k": k,
        "replicates": kind,
        "n_seeds": len(seeds),
        "mean": mean,
        "median": median,
        "fraction_below_0.3": 0.0 if pooled else None,
        "pairs": [
            {
                "seeds": list(pair),
                "mean": float(np.mean(values)),
                "median": float(np.median(values)),
                "components": values,
            }
            for pair, values in alike.items()
        ],
    }
    place = k_folder("B", method, k)
    path = place / "pairwise_stability_summary.json"
    writer.place(path).write_text(json.dumps(document), encoding="utf-8")
    writer.record(path, "json")
    if pooled:
        writer.write_json(place / "consensus_cache" / "consensus.json", {"silhouette": 0.9})
        _write_npy(writer, place / "consensus_cache" / "consensus_loadings.npy", truth)
        matches = [(seed, number + 1, 0.9, 0.8, number, 0.7) for seed in seeds for number in range(k)]
        columns = ("seed", "component", "match_median", "match_min", "consensus_cluster", "silhouette")
        _write_csv(writer, place / "component_matches.csv", columns, matches)
    shown = ("" if mean is None else f"{mean:.6f}", "" if median is None else f"{median:.6f}")
    chosen = CHOSEN[method] == k
    rest = ("0.5", "0.1", "0.0", "0.9") if pooled else ("", "", "", "")
    tail = ("", 1.0, "0.1" if pooled else "", 0.2, 0.9, 0.9, len(seeds), chosen, chosen, "so chosen")
    return (method, k, len(seeds), kind, *shown, *rest, 0.5, *held_out, *tail)


def _write_embeddings(writer: ArtifactWriter, cells: pd.DataFrame) -> None:
    rng = np.random.default_rng(11)
    obs = _in_scope(cells)
    obsm = {f"X_{method}": rng.gamma(2.0, size=(len(obs), k)).astype(np.float32) for method, k in CHOSEN.items()}
    varm = {f"{method}_loadings": rng.exponential(size=(N_GENES, k)).astype(np.float32) for method, k in CHOSEN.items()}
    obs = obs.assign(**_depth(len(obs)))
    path = preprocess_folder("B", TAG) / "adata_with_dr.h5ad"
    _write_h5ad(writer.place(path), obs, obsm, varm)
    widths = ({name: array.shape[1] for name, array in arrays.items()} for arrays in (obsm, varm))
    writer.record(path, "h5ad", shape=(len(obs), N_GENES), obs=obs.columns, obsm=next(widths), varm=next(widths))
    writer.write_json(preprocess_folder("B", TAG) / "gene_log.json", {"kept": N_GENES})


def _depth(n_cells: int) -> dict[str, NDArray[np.float64]]:
    """Return a library size and detected genes for each cell, which have nothing to do with its label."""
    rng = np.random.default_rng(19)
    size = rng.integers(500, 5000, n_cells).astype(np.float64)
    return {
        "stagewright_library_size": size,
        "stagewright_detected_genes": np.round(size * rng.uniform(0.3, 0.5, n_cells)),
    }


def _scored() -> dict[str, tuple[int, int]]:
    return {patient: counts for patient, counts in CELLS_OF.items() if patient not in SKIPPED}


def _write_coefficients(writer: ArtifactWriter, path: PurePosixPath, k: int) -> None:
    rng = np.random.default_rng(13)
    header = ("patient", "penalty", "alpha", "intercept", *(f"component_{number + 1}" for number in range(k)))
    rows = [
        (patient, "l1", alpha, 0.1, *(rng.normal(size=k) / alpha if alpha < ALPHAS[-1] else np.zeros(k)))
        for patient in _scored()
        for alpha in ALPHAS
    ]
    _write_csv(writer, path, header, rows)


def _classified(request: StepRequest, n_cells: int) -> Outcome:
    return Outcome(
        step=request.step,
        attempt=1,
        artifacts=(),
        skipped=tuple(
            Skipped(patient=patient, reason=reason, where=f"{TAG}/{method}")
            for method in CHOSEN
            for patient, reason in SKIPPED.items()
        ),
        n_cells=n_cells,
    )


def _plan1a(writer: ArtifactWriter, request: StepRequest, cells: pd.DataFrame) -> Outcome:
    _write_embeddings(writer, cells)
    scores = [
        "auc",
        "average_precision",
        "balanced_accuracy",
        "recall_positive",
        "recall_negative",
        "precision_positive",
        "precision_negative",
        "brier",
        "log_loss",
        "deviance_explained",
        "n_nonzero",
        "gap",
    ]
    summary: list[tuple[object, ...]] = []
    for method, k in CHOSEN.items():
        cell = classification_cell("B", TAG, method)
        rows = [
            (patient, "l1", alpha, k, sum(counts), *counts, *(0.7 for _ in scores))
            for patient, counts in _scored().items()
            for alpha in ALPHAS
        ]
        header = ("patient", "penalty", "alpha", "k", "n_cells", "n_positive", "n_negative", *scores)
        _write_csv(writer, cell / "metrics_no_cv.csv", header, rows)
        _write_coefficients(writer, cell / "coefs_no_cv.csv", k)
        summary.append((TAG, method, k, "l1", len(_scored()), len(SKIPPED), 1.0, 0.7))
    header = ("preprocess", "method", "k", "penalty", "n_patients", "n_skipped", "alpha", "auc_median")
    _write_csv(writer, analysis("B") / "classification_grid" / "plan1a_summary.csv", header, summary)
    return _classified(request, len(_in_scope(cells)))


def _plan1b(writer: ArtifactWriter, request: StepRequest, cells: pd.DataFrame) -> Outcome:
    _write_embeddings(writer, cells)
    rng = np.random.default_rng(17)
    obs = _in_scope(cells)
    summary = pd.DataFrame(
        {"preprocess": TAG, "method": list(CHOSEN), "k": list(CHOSEN.values()), "penalty": "l1", "alpha": CHOSEN_ALPHA}
    )
    summary = summary.assign(n_patients=len(_scored()), n_skipped=len(SKIPPED))
    predicted = pd.DataFrame()
    for method, k in CHOSEN.items():
        cell = classification_cell("B", TAG, method)
        _write_coefficients(writer, cell / "coefs.csv", k)
        predicted = _predictions(obs, rng, EFFECT[method])
        predicted.to_parquet(writer.place(cell / "oof_predictions.parquet"), index=False)
        writer.record(cell / "oof_predictions.parquet", "parquet", shape=predicted.shape, columns=predicted.columns)
        auc = _auc(predicted)
        # At the other strengths the scores are others, as no two models of a path agree.
        rows = [
            (patient, "l1", alpha, k, sum(counts), *counts, FOLDS, REPEATS, score, 0.01, 0.7, 1e-12)
            for patient, counts in _scored().items()
            for alpha in ALPHAS
            for score in [auc[patient] - (0.0 if alpha == CHOSEN_ALPHA else 0.03)]
        ]
        counted = "patient,penalty,alpha,k,n_cells,n_positive,n_negative,folds,repeats"
        header = f"{counted},auc_mean,auc_sd,average_precision_mean,gap"
        _write_csv(writer, cell / "metrics.csv", header.split(","), rows)
        for name, over_patients in OVER_PATIENTS.items():
            summary.loc[(summary["method"] == method).to_numpy(), name] = over_patients(list(auc.values()))
    intervals = ("auc_median_low", "auc_median_high")
    for name in ("auc_median_own_alpha", "average_precision_median", "balanced_accuracy_median", *intervals):
        summary[name] = 0.7
    summary["best"] = summary["auc_median"] == summary["auc_median"].max()
    _write_decoy(writer, obs.assign(**_depth(len(obs))), predicted)
    _write_baselines(writer, analysis("B") / "classification_grid" / "baselines.csv")
    place = analysis("B") / "classification_grid" / "plan1b_summary.csv"
    _write_csv(writer, place, summary.columns, [*summary.itertuples(index=False, name=None)])
    _write_twin(writer, obs)
    metrics = _metrics(summary) | _write_search(writer)
    return _classified(request, len(obs)).model_copy(update={"metrics": metrics})


def _write_twin(writer: ArtifactWriter, obs: pd.DataFrame) -> None:
    """Write the null twin: labels permuted within each donor, decisions without a tie to them, one repeat."""
    rng = np.random.default_rng(23)
    summary: list[tuple[object, ...]] = []
    for method, k in CHOSEN.items():
        cell = permuted_cell("B", TWIN, "plan1b", TAG, method)
        predicted = _predictions(obs, rng, 0.0)
        predicted = predicted[predicted["repeat"] == 0].copy()
        predicted["label"] = predicted.groupby("patient")["label"].transform(rng.permutation)
        predicted["decision"] = rng.normal(size=len(predicted))
        predicted.to_parquet(writer.place(cell / "oof_predictions.parquet"), index=False)
        writer.record(cell / "oof_predictions.parquet", "parquet", shape=predicted.shape, columns=predicted.columns)
        auc = _auc(predicted)
        # The others are lower throughout, so that all patients choose the one.
        rows = [
            (patient, "l1", alpha, auc[patient] - (0.0 if alpha == CHOSEN_ALPHA else 0.1))
            for patient in auc
            for alpha in ALPHAS
        ]
        _write_csv(writer, cell / "auc_by_alpha.csv", ("patient", "penalty", "alpha", "auc_within_strata"), rows)
        summary.append((TAG, False, method, k, "l1", len(auc), median(auc.values())))
    columns = "preprocess,supervised,method,k,penalty,n_patients,auc_within_strata_median"
    _write_csv(writer, null_twin_summary("B"), columns.split(","), summary)


def _write_search(writer: ArtifactWriter) -> dict[str, float]:
    """Write scores under permuted labels about 0.5, and under the observed ones above all of these; return metrics."""
    rng = np.random.default_rng(29)
    best: dict[str, NDArray[np.float64]] = {}
    for method in CHOSEN:
        auc = rng.normal(0.5, 0.05, (len(_scored()), 1 + PERMUTATIONS, len(ALPHAS))).clip(0.3, 0.7)
        auc[:, 0] = 0.8 + 0.1 * EFFECT[method] / max(EFFECT.values()) - 0.01 * np.arange(len(ALPHAS))
        auc = auc.astype(np.float32).astype(float)
        index = pd.MultiIndex.from_product([_scored(), range(1 + PERMUTATIONS), ALPHAS])
        table = pd.DataFrame({"auc_within_strata": auc.ravel().astype(np.float32)}, index=index)
        table = table.rename_axis(["patient", "labelling", "alpha"]).reset_index().assign(penalty="l1")
        place = search_cell("B", TAG, method) / "auc_by_labelling.parquet"
        table.to_parquet(writer.place(place), index=False)
        writer.record(place, "parquet", shape=table.shape, columns=table.columns)
        best[method] = np.median(auc, axis=0).max(axis=1)
    maxima = np.maximum(*best.values())
    winner = max(best, key=lambda method: best[method][0])
    header = "labelling,preprocess,method,penalty,alpha,auc_within_strata"
    rows = [(number, TAG, winner, "l1", ALPHAS[0], score) for number, score in enumerate(maxima)]
    _write_csv(writer, search_folder("B") / "labellings.csv", header.split(","), rows)
    header = "preprocess,method,k,penalty,alpha,auc_within_strata,permuted_median,permuted_upper,p_alone,p_search"
    lowest = 1 / (1 + PERMUTATIONS)
    configurations = [
        (TAG, method, k, "l1", ALPHAS[0], best[method][0], 0.55, 0.6, lowest, lowest) for method, k in CHOSEN.items()
    ]
    _write_csv(writer, search_folder("B") / "configurations.csv", header.split(","), configurations)
    return {"plan1b.search.auc": float(maxima[0]), "plan1b.best.search_p": lowest}


def _write_baselines(writer: ArtifactWriter, path: PurePosixPath) -> None:
    header = "patient,n_cells,n_positive,n_negative,prevalence,majority_accuracy,auc_library_size,auc_detected_genes"
    rows = [
        (patient, sum(counts), *counts, counts[0] / sum(counts), max(counts) / sum(counts), 0.5, 0.5)
        for patient, counts in CELLS_OF.items()
    ]
    _write_csv(writer, path, header.split(","), rows)


def _write_decoy(writer: ArtifactWriter, obs: pd.DataFrame, predicted: pd.DataFrame) -> None:
    """Write what depth alone predicts in the folds of other predictions: scikit-learn's ridge, all in one go."""
    depth = obs[["stagewright_library_size", "stagewright_detected_genes"]].transform(np.log1p)
    parts = []
    for (_, _), one in predicted.groupby(["patient", "repeat"], sort=False):
        features, decision = depth.loc[one["cell"]].to_numpy(), np.empty(len(one))
        for fold in range(FOLDS):
            test = (one["fold"] == fold).to_numpy()
            model = make_pipeline(StandardScaler(), LogisticRegression(C=1 / CHOSEN_ALPHA, class_weight="balanced"))
            decision[test] = model.fit(features[~test], one["label"][~test]).decision_function(features[test])
        parts.append(one.assign(penalty="decoy", decision=decision, probability=1 / (1 + np.exp(-decision))))
    decoy = pd.concat(parts, ignore_index=True)
    folder = analysis("B") / "classification_grid"
    decoy.to_parquet(writer.place(folder / "decoy_oof.parquet"), index=False)
    writer.record(folder / "decoy_oof.parquet", "parquet", shape=decoy.shape, columns=decoy.columns)
    header = "patient,n_cells,n_positive,n_negative,n_features,alpha,auc_mean"
    rows = [
        (patient, sum(CELLS_OF[patient]), *CELLS_OF[patient], 2, CHOSEN_ALPHA, auc)
        for patient, auc in _auc(decoy).items()
    ]
    _write_csv(writer, folder / "decoy.csv", header.split(","), rows)


def _auc(predicted: pd.DataFrame) -> dict[str, float]:
    """Return scikit-learn's ROC AUC of each patient, mean over the repeats: not how the gates compute it."""
    return {
        str(patient): float(
            np.mean([roc_auc_score(one["label"], one["decision"]) for _, one in mine.groupby("repeat")])
        )
        for patient, mine in predicted.groupby("patient")
    }


def _metrics(summary: pd.DataFrame) -> dict[str, float]:
    named = zip(summary["method"], summary["auc_median"], strict=True)
    best = float(summary["auc_median"].max())
    return {"plan1b.best.auc": best} | {f"plan1b.{TAG}.{method}.l1.auc": float(median) for method, median in named}


def _predictions(obs: pd.DataFrame, rng: np.random.Generator, effect: float) -> pd.DataFrame:
    parts = []
    for patient in _scored():
        mine = obs[obs["donor"] == patient]
        label = (mine["CN.label"] == "cancer").to_numpy()
        for repeat in range(REPEATS):
            decision = rng.normal(size=len(mine)) + effect * label
            parts.append(
                pd.DataFrame(
                    {
                        "patient": patient,
                        "cell": mine.index.astype(str),
                        "penalty": "l1",
                        "repeat": repeat,
                        "fold": _stratified(label, repeat),
                        "label": label,
                        "decision": decision,
                        "probability": 1 / (1 + np.exp(-decision)),
                        "alpha": CHOSEN_ALPHA,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def _stratified(label: NDArray[np.bool_], repeat: int) -> NDArray[np.int64]:
    """Return stratified folds, the same for every configuration."""
    rng = np.random.default_rng([23, label.size, repeat])
    folds = np.empty(label.size, dtype=np.int64)
    for level in (False, True):
        folds[label == level] = rng.permutation(np.arange(int((label == level).sum())) % FOLDS)
    return folds


def _command(writer: ArtifactWriter, request: StepRequest, _: pd.DataFrame) -> Outcome:
    writer.write_json(analysis("B") / "my_command" / "answer.json", {"answer": 42})
    return Outcome(step=request.step, attempt=1, artifacts=())


WRITERS = {"plan0": _plan0, "plan1a": _plan1a, "plan1b": _plan1b, "my_command": _command}
