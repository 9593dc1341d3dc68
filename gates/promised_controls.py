"""Which files the negative controls owe: the null twin, the search-wide permutation, and Plan 2. Light to import."""

from collections.abc import Container, Iterator

from stagewright.gates.owed_units import permuted_grid, search_grid, twin_grid
from stagewright.gates.places import (
    controls_summary,
    permuted_summary,
    search_aucs,
    search_configurations,
    search_labellings,
    strata_table,
    twin_curves,
    twin_oof,
    twin_summary,
)
from stagewright.gates.promise import Promise, table
from stagewright.gates.promised_columns import (
    CONTROLS,
    METRICS,
    METRICS_NO_CV,
    OOF,
    PERMUTED_SUMMARY,
    PLAN1A_SUMMARY,
    SEARCH_AUCS,
    SEARCH_CONFIGURATIONS,
    SEARCH_LABELLINGS,
    STRATA,
    TWIN_CURVES,
    TWIN_SUMMARY,
)
from stagewright.state.layout import permutation_folder, permuted_cell, twin_genes_folder
from stagewright.state.plan1c_models import models_of
from stagewright.state.step_request import StepRequest
from stagewright.state.step_units import cell_unit, fold_units, twin_refits

__all__ = ["plan2_promises", "search_promises", "twin_promises"]


def twin_promises(request: StepRequest, left_out: Container[str]) -> Iterator[Promise]:
    """Yield what the null twin of Plan 1B or 1C owes."""
    checkpoint, stage = request.checkpoint, request.stage
    cells = twin_grid(request, left_out)
    named = ("mode", "downsampling") if stage == "plan1c" else ()
    for tag, method in cells:
        if stage == "plan1b":
            yield table(twin_curves(checkpoint, tag, method), TWIN_CURVES)
        place = twin_oof(checkpoint, stage, tag, method)
        yield Promise(str(place), "parquet", columns=(*named, *OOF.split(",")))
    for entry in request.study.preprocess:
        if twin_refits(request.study, entry, stage):
            yield Promise(str(twin_genes_folder(checkpoint, stage, entry.tag) / "gene_log.json"), "json")
    rows = len(cells) * (len(models_of(request.study)) if stage == "plan1c" else len(request.study.penalties))
    yield table(twin_summary(request), ",".join((*named, TWIN_SUMMARY)), rows)


def search_promises(request: StepRequest, left_out: Container[str]) -> Iterator[Promise]:
    """Yield what the search-wide permutation of Plan 1b owes."""
    for tag, method in search_grid(request, left_out):
        place = search_aucs(request.checkpoint, tag, method)
        yield Promise(str(place), "parquet", columns=tuple(SEARCH_AUCS.split(",")))
    yield table(search_labellings(request.checkpoint), SEARCH_LABELLINGS)
    yield table(search_configurations(request.checkpoint), SEARCH_CONFIGURATIONS)


def plan2_promises(request: StepRequest, left_out: Container[str]) -> Iterator[Promise]:
    """Yield what Plan 2 owes."""
    checkpoint = request.checkpoint
    models = dict.fromkeys(request.study.mirrored, len(request.study.penalties)) | {
        "plan1c": len(models_of(request.study))
    }
    cells = permuted_grid(request, left_out)
    for number, stage, tag, method in cells:
        place = permuted_cell(checkpoint, number, stage, tag, method)
        if stage == "plan1a":
            yield table(place / "metrics_no_cv.csv", METRICS_NO_CV)
        else:
            yield table(place / "metrics.csv", METRICS)
            yield Promise(str(place / "oof_predictions.parquet"), "parquet", columns=tuple(OOF.split(",")))
    for number in range(1, request.study.permutations + 1):
        for stage in request.study.mirrored:
            rows = models[stage] * sum((number, stage) == cell[:2] for cell in cells)
            columns = PLAN1A_SUMMARY if stage == "plan1a" else PERMUTED_SUMMARY
            if rows:
                yield table(permuted_summary(checkpoint, number, stage), columns, rows)
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
    yield table(controls_summary(checkpoint), CONTROLS, sum(models[stage] for stage, _, _ in compared))
    yield table(strata_table(checkpoint), STRATA)
