"""What a cell of Plan 1's grid depends on: its embedding, whose cells they are, and how they are classified."""

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.unit_cache import UnitInputs
from stagewright.state.step_request import StepRequest

__all__ = ["GridKind", "cell_inputs", "digest_cells"]

NOTHING: Mapping[str, JsonValue] = MappingProxyType({})
GridKind: TypeAlias = Literal["paths", "cv", "benchmark", "twin", "benchmark_twin", "search"]


def cell_inputs(
    kind: GridKind,
    request: StepRequest,
    cohort: EmbeddedCohort,
    method: str,
    also: Mapping[str, JsonValue] = NOTHING,
) -> UnitInputs:
    """Return the inputs of one cell of the grid: of its paths, or of what else is made of its embedding.

    Parameters
    ----------
    also
        What else it depends on.
    """
    study = request.study
    inputs = _of_both(request, cohort, method)
    if kind != "paths":
        inputs |= {"folds": study.folds, "repeats": study.repeats, "group": study.group, "scope": study.scope}
    if kind in ("cv", "twin", "search") and study.group != "none":
        inputs["groups"] = _digest_texts(cohort.obs[study.group])
    if kind in ("benchmark", "benchmark_twin"):
        inputs |= {
            "l1_ratios": [*study.l1_ratios],
            "modes": [*study.modes],
            "downsampling": [entry.model_dump(mode="json") for entry in study.downsampling],
            "columns": _digest_columns(request, cohort),
        }
    return UnitInputs(kind, inputs | {**also})


def _of_both(request: StepRequest, cohort: EmbeddedCohort, method: str) -> dict[str, JsonValue]:
    study, scores = request.study, cohort.scores[method]
    return {
        "embedding": _digest_array(scores),
        "patients_and_labels": digest_cells(cohort, request.scope.patient),
        "preprocess": cohort.tag,
        "supervised": cohort.supervised,
        "method": method,
        "k": int(scores.shape[1]),
        "penalties": [*study.penalties],
        "alphas": [*study.alphas],
        "l1_ratio": study.l1_ratios[0] if "elasticnet" in study.penalties else None,
    }


def _digest_columns(request: StepRequest, cohort: EmbeddedCohort) -> dict[str, JsonValue]:
    """Return the digest of each column that may group cells or tell which of them to draw, by its role."""
    columns = {**request.scope.columns}
    if request.study.group != "none":
        columns["group"] = request.study.group
    if any(entry.method != "none" for entry in request.study.downsampling) or "group" in columns:
        return {
            role: hashlib.sha256(_joined(str(text) for text in cohort.obs[column])).hexdigest()
            for role, column in sorted(columns.items())
        }
    return {}


def _digest_array(array: NDArray[np.float32]) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}\n".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def digest_cells(cohort: EmbeddedCohort, patient: str) -> str:
    """Return the digest of each cell's name, patient and class, in order."""
    digest = hashlib.sha256(np.ascontiguousarray(cohort.positive).data)
    for texts in (cohort.obs.index, cohort.obs[patient]):
        digest.update(_joined(str(text) for text in texts))
    return digest.hexdigest()


def _digest_texts(texts: Iterable[object]) -> str:
    return hashlib.sha256(_joined(str(text) for text in texts)).hexdigest()


def _joined(texts: Iterable[str]) -> bytes:
    """Return texts as bytes that no other sequence of texts gives."""
    return "".join(f"{len(text)}:{text}" for text in texts).encode()
