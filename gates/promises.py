"""Which files a step owes, from what it was asked to do and not from what it says it did. Light to import.

Units that failed for good are left out, as far as the request allows failures: that much is believed, and told.
"""

from collections.abc import Container, Iterator

from stagewright.gates.owed_units import NOTHING, grid, methods_left, seeds_left
from stagewright.gates.places import (
    cell_table,
    coefficients_table,
    decoy_oof,
    decoy_table,
    embedding_file,
    oof_table,
    patient_table,
    plan1b_summary,
    plan1c_summary,
)
from stagewright.gates.promise import Promise, table
from stagewright.gates.promised_columns import (
    BASELINES,
    COMPONENT_MATCHES,
    DECOY,
    K_CURVES,
    METRICS,
    METRICS_NO_CV,
    OOF,
    PLAN1A_SUMMARY,
    PLAN1B_SUMMARY,
    PLAN1C_SUMMARY,
    POOLED,
    RELIABILITY,
    SUMMARY,
)
from stagewright.gates.promised_controls import plan2_promises, search_promises, twin_promises
from stagewright.state.layout import (
    analysis,
    grid_cell,
    held_out_file,
    k_curves_file,
    k_folder,
    plan1c_folder,
    preprocess_folder,
    replicate_folder,
)
from stagewright.state.plan1c_models import models_of
from stagewright.state.spec.reduction import Method
from stagewright.state.step_request import StepRequest
from stagewright.state.step_units import (
    has_search,
    has_twin,
    held_out_unit,
    writes_embeddings,
)

__all__ = ["promises"]

CELLS = "cells"


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
            yield from plan2_promises(request, left_out)
        case _:
            return


def _plan0(request: StepRequest, left_out: Container[str]) -> Iterator[Promise]:
    folder = analysis(request.checkpoint) / "plan0"
    asked: list[tuple[Method, int]] = [(method, k) for method, values in request.study.ks.items() for k in values]
    owed = {(method, k): seeds for method, k in asked if (seeds := seeds_left(request, method, k, left_out))}
    rows = len(owed)
    timepoint = () if request.scope.timepoint is None else ("timepoint",)
    yield table(folder / "k_selection_summary.csv", SUMMARY, rows)
    yield Promise(str(folder / "gene_log.json"), "json")
    yield Promise(
        str(cell_table(request.checkpoint)), "csv", (CELLS, None), columns=("cell", "patient", "label", *timepoint)
    )
    fits = sum(len(seeds) for (method, _), seeds in owed.items() if method == "cnmf")
    if fits:
        yield table(k_curves_file(request.checkpoint, "cnmf"), K_CURVES, fits)
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
            yield table(place / "component_matches.csv", COMPONENT_MATCHES, len(seeds) * k)
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
        yield table(patient_table(request, tag, method), METRICS_NO_CV)
        yield _coefficients(request, tag, method)
    rows = len(cells) * len(request.study.penalties)
    yield table(analysis(request.checkpoint) / "classification_grid" / "plan1a_summary.csv", PLAN1A_SUMMARY, rows)


def _plan1b(request: StepRequest, left_out: Container[str]) -> Iterator[Promise]:
    cells = grid(request, left_out)
    for tag, method in cells:
        yield table(patient_table(request, tag, method), METRICS)
        yield _coefficients(request, tag, method)
        yield Promise(str(oof_table(request, tag, method)), "parquet", columns=tuple(OOF.split(",")))
    rows = len(cells) * len(request.study.penalties)
    yield table(plan1b_summary(request.checkpoint), PLAN1B_SUMMARY, rows)
    yield table(plan1b_summary(request.checkpoint).with_name("baselines.csv"), BASELINES)
    yield table(decoy_table(request.checkpoint), DECOY)
    yield Promise(str(decoy_oof(request.checkpoint)), "parquet", columns=tuple(OOF.split(",")))
    if has_twin(request.stage, request.study):
        yield from twin_promises(request, left_out)
    if has_search(request.stage, request.study):
        yield from search_promises(request, left_out)


def _plan1c(request: StepRequest, left_out: Container[str]) -> Iterator[Promise]:
    cells, folder = grid(request, left_out), plan1c_folder(request.checkpoint)
    for tag, method in cells:
        yield table(patient_table(request, tag, method), f"mode,downsampling,{METRICS}")
        yield _coefficients(request, tag, method, "mode", "downsampling", "chosen")
        yield Promise(
            str(oof_table(request, tag, method)), "parquet", columns=("mode", "downsampling", *OOF.split(","))
        )
        yield table(grid_cell(request.checkpoint, request.stage, tag, method) / "pooled_metrics.csv", POOLED)
        yield table(grid_cell(request.checkpoint, request.stage, tag, method) / "reliability.csv", RELIABILITY)
    yield table(plan1c_summary(request.checkpoint), PLAN1C_SUMMARY, len(cells) * len(models_of(request.study)))
    yield table(folder / "baselines.csv", BASELINES)
    yield table(folder / "confounding.csv", "role,column,level,n_positive,n_negative")
    yield Promise(str(folder / "confounding.json"), "json", keys=("columns", "auc_of_depth"))
    yield Promise(str(folder / "choice.json"), "json", keys=("objective", "order", "best"))
    if has_twin(request.stage, request.study):
        yield from twin_promises(request, left_out)


def _coefficients(request: StepRequest, tag: str, method: Method, *also: str) -> Promise:
    components = (f"component_{number + 1}" for number in range(_chosen_k(request, method)))
    columns = (*also, "patient", "penalty", "alpha", "intercept", *components)
    return Promise(str(coefficients_table(request, tag, method)), "csv", columns=columns)


def _chosen_k(request: StepRequest, method: Method) -> int:
    if method not in request.k_by_method:
        raise ValueError(f"the request names no K for {method}; decide(adjust) with k_by_method, or run plan0 again")
    return request.k_by_method[method]
