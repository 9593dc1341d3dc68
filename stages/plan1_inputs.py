"""What a cell of Plan 1's grid depends on: its embedding, whose cells they are, and how they are classified."""

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.unit_cache import UnitInputs
from stagewright.state.step_request import StepRequest

__all__ = ["cell_inputs", "digest_cells"]

NOTHING: Mapping[str, JsonValue] = MappingProxyType({})


def cell_inputs(
    kind: Literal["paths", "cv"],
    request: StepRequest,
    cohort: EmbeddedCohort,
    method: str,
    also: Mapping[str, JsonValue] = NOTHING,
) -> UnitInputs:
    """Return the inputs of one cell: of its paths, or of their cross-validation; `also` is what else it depends on."""
    study = request.study
    inputs = _of_both(request, cohort, method)
    if kind == "cv":
        if study.group != "none":
            inputs["groups"] = _digest_texts(cohort.obs[study.group])
        inputs |= {"folds": study.folds, "repeats": study.repeats, "group": study.group, "scope": study.scope}
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
    }


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
