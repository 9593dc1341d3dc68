"""Predict held-out cells with one more fit of a method and K, as a unit of work."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import JsonValue

from stagewright.stages.executors.executor import SharedValue
from stagewright.stages.fits import MatrixFits, fitted
from stagewright.stages.largest_k import largest_k_named
from stagewright.stages.preprocess.scale import cells_of, unseen_cells
from stagewright.stages.protocol import StageContext, Unit
from stagewright.stages.reduction.catalogue import FitUnit
from stagewright.stages.reduction.sweep import FitSettings, SharedMatrix
from stagewright.stages.stability.held_out import HeldOutFigures, held_out_figures
from stagewright.stages.stability.held_out_errors import HeldOutErrors
from stagewright.stages.stability.hold_out import HeldOutCells, hold_out
from stagewright.stages.unit_cache import UnitInputs
from stagewright.state.artifacts import ArtifactWriter
from stagewright.state.layout import held_out_file
from stagewright.state.spec.reduction import LINEAR, HeldOut
from stagewright.state.step_units import held_out_unit

__all__ = ["HeldOutFits", "Prediction"]

FILE = "held_out.json"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What Plan 0 keeps of one held-out fit; None where the figure does not exist."""

    errors: HeldOutErrors | None
    log_likelihood: float | None


class HeldOutFits:
    """The held-out fits of one matrix: one split of its cells for every method and K.

    Parameters
    ----------
    context
        Of the stage.
    fits
        The fits of the whole matrix.
    patients
        Patient of each cell, shape (n_cells,).
    how
        Which cells to hold out.
    n_fits
        How many fits will be asked for; after the last one the training cells' memory is free.
    """

    def __init__(self, context: StageContext, fits: MatrixFits, patients: pd.Series, how: HeldOut, n_fits: int) -> None:
        self._context = context
        self._fits = fits
        self._how = how
        self._split = hold_out(patients, fits.shared.x.shape[1], fraction=how.fraction, seed=how.seed)
        self._training: SharedValue[SharedMatrix] | None = None
        self._left = n_fits
        self._lock = threading.Lock()

    def predict(self, what: FitUnit) -> Prediction:
        """Return how well one method and K predicts; `held_out.json` becomes an artifact.

        Raises
        ------
        UnitFailed
            When the fit fails. That the training cells do not carry its K is no failure: then there is no figure.
        """
        context = self._context
        unit = Unit(held_out_unit(what.method, what.k), method=what.method, k=what.k)
        held_out: dict[str, JsonValue] = self._how.model_dump(mode="json")
        try:
            with context.unit(unit, UnitInputs("held_out", self._fits.inputs(what) | {"held_out": held_out})) as work:
                if not work.reused:
                    document = self._document(what)

                    def save(writer: ArtifactWriter) -> None:
                        writer.write_json(PurePosixPath(FILE), document)

                    work.value = document
                    work.write(save)
                place = held_out_file(context.request.checkpoint, what.method, what.k)
                work.put_into(context.artifacts, place.parent)
                return _read(json.loads(json.dumps(work.value)))
        finally:
            with self._lock:
                self._left -= 1
                if self._left <= 0 and self._training is not None:
                    self._training.forget()
                    self._training = None

    def _matrix(self) -> SharedValue[SharedMatrix]:
        with self._lock:
            if self._training is None:
                cells = cells_of(self._fits.shared.x, ~self._split.held_out)
                self._training = self._fits.share(SharedMatrix(cells))
            return self._training

    def _document(self, what: FitUnit) -> dict[str, JsonValue]:
        n_held_out = int(self._split.held_out.sum())
        document: dict[str, JsonValue] = {
            "method": what.method,
            "k": what.k,
            **self._how.model_dump(mode="json"),
            "n_training": int(self._split.held_out.size) - n_held_out,
            "n_held_out": n_held_out,
            "n_genes": int(self._split.first_half.size),
        }
        if what.method not in LINEAR:
            return document | _nothing(f"{what.method} has no linear model of the genes, so that it predicts none")
        if n_held_out == 0:
            return document | _nothing("no patient has enough cells to hold one out")
        scale = self._fits.shared.standardised.inverse_sd
        try:
            figures, converged = self._fits.call(_predicted, self._matrix(), what, self._split, scale)
        except ValueError as error:
            if largest_k_named(str(error)) is None:
                raise
            return document | _nothing(f"the training cells do not carry this K: {error}")
        return document | _figures(figures, self._split.grouped_by) | {"converged": converged}


def _predicted(
    whole: SharedMatrix,
    settings: FitSettings,
    training: SharedMatrix,
    what: FitUnit,
    split: HeldOutCells,
    scale: NDArray[np.float64],
) -> tuple[HeldOutFigures, bool]:
    """Fit one unit to the training cells and predict the others; return the figures and whether the fit converged."""
    reduction = fitted(training, what, settings)
    cells = unseen_cells(whole.x, split.held_out, training.standardised)
    figures = held_out_figures(reduction, training.standardised, cells, scale, split)
    return figures, bool(reduction.extras["converged"])


def _nothing(reason: str) -> dict[str, JsonValue]:
    return {"applicable": False, "reason": reason, "r2": None, "r2_standard_error": None, "log_likelihood": None}


def _figures(figures: HeldOutFigures, grouped_by: str) -> dict[str, JsonValue]:
    errors = figures.errors
    return {
        "applicable": True,
        "reason": "",
        "r2": errors.r2,
        "r2_standard_error": errors.standard_error,
        "log_likelihood": figures.log_likelihood,
        "grouped_by": grouped_by,
        "groups": [
            {"group": name, "n_cells": n_cells, "squared_error": error, "total": total}
            for name, n_cells, error, total in zip(
                figures.names, figures.n_cells, errors.errors, errors.totals, strict=True
            )
        ],
    }


def _read(document: Mapping[str, object]) -> Prediction:
    groups = document.get("groups")
    if not isinstance(groups, list):
        return Prediction(None, None)
    errors, totals = ([float(group[name]) for group in groups] for name in ("squared_error", "total"))
    likelihood = document["log_likelihood"]
    return Prediction(
        HeldOutErrors(tuple(errors), tuple(totals)),
        None if likelihood is None else float(np.float64(str(likelihood))),
    )
