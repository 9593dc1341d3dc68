"""What the matrix of a step depends on: the data, which cells of it are drawn, and which genes are kept."""

from pydantic import JsonValue

from stagewright.stages.cohort.load import Cohort
from stagewright.state.spec.preprocess import GeneList, Preprocess
from stagewright.state.step_request import StepRequest

__all__ = ["matrix_inputs"]


def matrix_inputs(request: StepRequest, cohort: Cohort, entry: Preprocess) -> dict[str, JsonValue]:
    """Return the inputs of whatever is made from the cells of a step and the genes of one preprocess.

    Where the data file lies changes nothing, and neither do the obs columns that are only carried along.
    """
    scope: dict[str, JsonValue] = request.scope.model_dump(mode="json", exclude={"path", "columns"})
    inputs: dict[str, JsonValue] = {
        "data": request.data.sha256,
        "scope": scope,
        "cells_per_patient": cohort.cells_per_patient or "all",
        "preprocess": entry.model_dump(mode="json"),
        "normalisation": request.study.normalisation.model_dump(mode="json"),
    }
    if isinstance(entry, GeneList):
        inputs["gene_list"] = (request.data.gene_lists or {}).get(entry.path)
    return inputs
