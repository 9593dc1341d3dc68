"""Which files a step owes, from what it was asked to do and not from what it says it did. Light to import.

Units that failed for good are left out, as far as the request allows failures: that much is believed, and told.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from stagewright.gates.owed_units import NOTHING, grid, methods_left, permuted_grid, seeds_left, twin_grid
from stagewright.gates.places import (
    cell_table,
    coefficients_table,
    controls_summary,
    decoy_oof,
    decoy_table,
    embedding_file,
    oof_table,
    patient_table,
    permuted_summary,
    plan1b_summary,
    plan1c_summary,
    strata_table,
    twin_curves,
    twin_oof,
)
from stagewright.gates.promised_columns import (
    BASELINES,
    COMPONENT_MATCHES,
    CONTROLS,
    DECOY,
    K_CURVES,
    METRICS,
    METRICS_NO_CV,
    OOF,
    PERMUTED_SUMMARY,
    PLAN1A_SUMMARY,
    PLAN1B_SUMMARY,
    PLAN1C_SUMMARY,
    POOLED,
    RELIABILITY,
    STRATA,
    SUMMARY,
    TWIN_CURVES,
    TWIN_SUMMARY,
)
from stagewright.state.artifacts import ArtifactFormat
from stagewright.state.layout import (
    TWIN,
    analysis,
    grid_cell,
    held_out_file,
    k_curves_file,
    k_folder,
    null_twin_summary,
    permutation_folder,
    permuted_cell,
    plan1c_folder,
    preprocess_folder,
    replicate_folder,
)
from stagewright.state.plan1c_models import models_of
from stagewright.state.spec.reduction import Method
from stagewright.state.step_request import StepRequest
from stagewright.state.step_units import (
    cell_unit,
    fold_units,
    has_twin,
    held_out_unit,
    twin_refits,
    writes_embeddings,
)

__all__ = ["Promise", "promises"]

CELLS = "cells"


@dataclass(frozen=True, slots=True)
class Promise:
    """One file that a step owes.

    Attributes
    ----------
    axes
        The length of each axis: a number, the name of an axis that has one length throughout the step, or None where
        nothing is promised. A csv or parquet has the axes rows and columns, an h5ad cells and genes.
    dtype
        The dtype of an npy, e.g. ``float32``; empty where any floating dtype will do.
    columns, obs, keys
        The columns of a table, the obs columns of an h5ad, the keys of a JSON object: at least these.
    obsm, varm
        For an h5ad, the number of columns of each array: at least these arrays.
    """

    path: str
    format: ArtifactFormat
    axes: tuple[int | str | None, ...] = ()
    dtype: str = ""
    columns: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    obs: tuple[str, ...] = ()
    obsm: dict[str, int] = field(default_factory=dict)
    varm: dict[str, int] = field(default_factory=dict)


def promises(request: StepRequest, left_out: Container[str] = NOTHING) -> Iterator[Promise]:
    """Yield what a step owes.

    Parameters
    ----------
    left_out
        The units that it need not have done, from `gates.left_out`.

    Raises
    ------
    ValueError
        When a method has no chosen K: then nobody can say what the step owes.
    """
    match request.stage:
        case "plan0":
            yield from _plan0(request, left_out)
        case "plan1a":
            yield from _embeddings(request, left_out)
            yield from _plan1a(request, left_out)
        case "plan1b":
            if writes_embeddings(request):
                yield from _embeddings(request, left_out)
            yield from _plan1b(request, left_out)
        case "plan1c":
            if writes_embeddings(request):
                yield from _embeddings(request, left_out)
            yield from _plan1c(request, left_out)
        case "plan2":
            yield from _plan2(request, left_out)
        case _:
            return


def _plan0(request: StepRequest, left_out: Container[str]) -> Iterator[Promise]:
    folder = analysis(request.checkpoint) / "plan0"
    asked: list[tuple[Method, int]] = [(method, k) for method, values in request.study.ks.items() for k in values]
    owed = {(method, k): seeds for method, k in asked if (seeds := seeds_left(request, method, k, left_out))}
    rows = len(owed)
    timepoint = () if request.scope.timepoint is None else ("timepoint",)
    yield _table(folder / "k_selection_summary.csv", SUMMARY, rows)
    yield Promise(str(folder / "gene_log.json"), "json")
    yield Promise(
        str(cell_table(request.checkpoint)), "csv", (CELLS, None), columns=("cell", "patient", "label", *timepoint)
    )
    fits = sum(len(seeds) for (method, _), seeds in owed.items() if method == "cnmf")
    if fits:
        yield _table(k_curves_file(request.checkpoint, "cnmf"), K_CURVES, fits)
    for (method, k), seeds in owed.items():
        for seed in seeds:
            place = replicate_folder(request.checkpoint, method, k, seed)
            yield Promise(str(place / "scores.npy"), "npy", (CELLS, k), "float32")
            yield Promise(str(place / "loadings.npy"), "npy", ("genes", k), "float32")
            yield Promise(str(place / "extras.json"), "json")
        place = k_folder(request.checkpoint, method, k)
        stability = ("method", "k", "replicates", "n_seeds", "mean", "median", "fraction_below_0.3", "pairs")
        yield Promise(str(place / "pairwise_stability_summary.json"), "json", keys=stability)
        if len(seeds) > 1:
            cache = place / "consensus_cache"
            yield Promise(str(cache / "consensus.json"), "json", keys=("silhouette",))
            yield Promise(str(cache / "consensus_loadings.npy"), "npy", ("genes", k))
            yield _table(place / "component_matches.csv", COMPONENT_MATCHES, len(seeds) * k)
        if request.study.held_out is not None and held_out_unit(method, k) not in left_out:
            predicted = ("method", "k", "applicable", "reason", "r2", "r2_standard_error", "log_likelihood")
            yield Promise(str(held_out_file(request.checkpoint, method, k)), "json", keys=predicted)


def _embeddings(request: StepRequest, left_out: Container[str]) -> Iterator[Promise]:
    for tag in (entry.tag for entry in request.study.preprocess):
        ks = {method: _chosen_k(request, method) for method in methods_left(request, tag, left_out)}
        yield Promise(
            str(embedding_file(request.checkpoint, tag)),
            "h5ad",
            (CELLS, f"genes of {tag}"),
            obs=request.scope.obs_columns,
            obsm={f"X_{method}": k for method, k in ks.items()},
            varm={f"{method}_loadings": k for method, k in ks.items()},
        )
        yield Promise(str(preprocess_folder(request.checkpoint, tag) / "gene_log.json"), "json")


def _plan1a(request: StepRequest, left_out: Container[str]) -> Iterator[Promise]:
    cells = grid(request, left_out)
    for tag, method in cells:
        yield _table(patient_table(request, tag, method), METRICS_NO_CV)
        yield _coefficients(request, tag, method)
    rows = len(cells) * len(request.study.penalties)
    yield _table(analysis(request.checkpoint) / "classification_grid" / "plan1a_summary.csv", PLAN1A_SUMMARY, rows)


def _plan1b(request: StepRequest, left_out: Container[str]) -> Iterator[Promise]:
    cells = grid(request, left_out)
    for tag, method in cells:
        yield _table(patient_table(request, tag, method), METRICS)
        yield _coefficients(request, tag, method)
        yield Promise(str(oof_table(request, tag, method)), "parquet", columns=tuple(OOF.split(",")))
    rows = len(cells) * len(request.study.penalties)
    yield _table(plan1b_summary(request.checkpoint), PLAN1B_SUMMARY, rows)
    yield _table(plan1b_summary(request.checkpoint).with_name("baselines.csv"), BASELINES)
    yield _table(decoy_table(request.checkpoint), DECOY)
    yield Promise(str(decoy_oof(request.checkpoint)), "parquet", columns=tuple(OOF.split(",")))
    if has_twin(request.stage, request.study):
        yield from _null_twin(request, left_out)


def _null_twin(request: StepRequest, left_out: Container[str]) -> Iterator[Promise]:
    cells = twin_grid(request, left_out)
    for tag, method in cells:
        yield _table(twin_curves(request.checkpoint, tag, method), TWIN_CURVES)
        place = twin_oof(request.checkpoint, tag, method)
        yield Promise(str(place), "parquet", columns=tuple(OOF.split(",")))
    for entry in request.study.preprocess:
        if twin_refits(request.study, entry):
            place = permutation_folder(request.checkpoint, TWIN) / "preprocess_cache" / entry.tag
            yield Promise(str(place / "gene_log.json"), "json")
    rows = len(cells) * len(request.study.penalties)
    yield _table(null_twin_summary(request.checkpoint), TWIN_SUMMARY, rows)


def _plan2(request: StepRequest, left_out: Container[str]) -> Iterator[Promise]:
    checkpoint = request.checkpoint
    models = dict.fromkeys(request.study.mirrored, len(request.study.penalties)) | {
        "plan1c": len(models_of(request.study))
    }
    cells = permuted_grid(request, left_out)
    for number, stage, tag, method in cells:
        place = permuted_cell(checkpoint, number, stage, tag, method)
        if stage == "plan1a":
            yield _table(place / "metrics_no_cv.csv", METRICS_NO_CV)
        else:
            yield _table(place / "metrics.csv", METRICS)
            yield Promise(str(place / "oof_predictions.parquet"), "parquet", columns=tuple(OOF.split(",")))
    for number in range(1, request.study.permutations + 1):
        for stage in request.study.mirrored:
            rows = models[stage] * sum((number, stage) == cell[:2] for cell in cells)
            columns = PLAN1A_SUMMARY if stage == "plan1a" else PERMUTED_SUMMARY
            if rows:
                yield _table(permuted_summary(checkpoint, number, stage), columns, rows)
        for entry in request.study.preprocess:
            if entry.supervised:
                place = permutation_folder(checkpoint, number) / "preprocess_cache" / entry.tag
                yield Promise(str(place / "gene_log.json"), "json")
    compared = {
        (stage, tag, method)
        for _, stage, tag, method in cells
        if cell_unit(stage, tag, method) not in left_out
        and not any(unit in left_out for unit in fold_units(request.study, stage, tag, method))
    }
    yield _table(controls_summary(checkpoint), CONTROLS, sum(models[stage] for stage, _, _ in compared))
    yield _table(strata_table(checkpoint), STRATA)


def _plan1c(request: StepRequest, left_out: Container[str]) -> Iterator[Promise]:
    cells, folder = grid(request, left_out), plan1c_folder(request.checkpoint)
    for tag, method in cells:
        yield _table(patient_table(request, tag, method), f"mode,downsampling,{METRICS}")
        yield _coefficients(request, tag, method, "mode", "downsampling", "chosen")
        yield Promise(
            str(oof_table(request, tag, method)), "parquet", columns=("mode", "downsampling", *OOF.split(","))
        )
        yield _table(grid_cell(request.checkpoint, request.stage, tag, method) / "pooled_metrics.csv", POOLED)
        yield _table(grid_cell(request.checkpoint, request.stage, tag, method) / "reliability.csv", RELIABILITY)
    yield _table(plan1c_summary(request.checkpoint), PLAN1C_SUMMARY, len(cells) * len(models_of(request.study)))
    yield _table(folder / "baselines.csv", BASELINES)
    yield _table(folder / "confounding.csv", "role,column,level,n_positive,n_negative")
    yield Promise(str(folder / "confounding.json"), "json", keys=("columns", "auc_of_depth"))
    yield Promise(str(folder / "choice.json"), "json", keys=("objective", "order", "best"))


def _coefficients(request: StepRequest, tag: str, method: Method, *also: str) -> Promise:
    components = (f"component_{number + 1}" for number in range(_chosen_k(request, method)))
    columns = (*also, "patient", "penalty", "alpha", "intercept", *components)
    return Promise(str(coefficients_table(request, tag, method)), "csv", columns=columns)


def _table(path: PurePosixPath, columns: str, rows: int | None = None) -> Promise:
    return Promise(str(path), "csv", (rows, None), columns=tuple(columns.split(",")))


def _chosen_k(request: StepRequest, method: Method) -> int:
    if method not in request.k_by_method:
        raise ValueError(f"the request names no K for {method}; decide(adjust) with k_by_method, or run plan0 again")
    return request.k_by_method[method]
