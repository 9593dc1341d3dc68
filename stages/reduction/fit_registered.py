"""Run a registered method, and check what it returns."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from pydantic import JsonValue

from stagewright.stages.reduction.reduction import Float32Array, Reduction
from stagewright.stages.reduction.registered import load_registered
from stagewright.stages.reduction.view import View

__all__ = ["fit_registered", "transform_registered"]

EXTRAS = ("explained", "converged", "n_iter", "objective")


def fit_registered(name: str, view: View, k: int, seed: int, settings: Mapping[str, JsonValue]) -> Reduction:
    """Fit k components by a registered method.

    Raises
    ------
    ImportError
        The method cannot be loaded.
    TypeError
        What it returns is not what `RegisteredMethod` says.
    """
    fitted = load_registered(name).fit(view, k, seed, settings)
    n_cells, n_genes = view.shape
    if not isinstance(fitted, Reduction):
        raise TypeError(f"The reduction {name} returned {type(fitted).__name__}, not a Reduction.")
    for what, shape in (("scores", (n_cells, k)), ("loadings", (n_genes, k))):
        array = getattr(fitted, what)
        if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
            raise TypeError(
                f"The reduction {name} returned {what} of shape {array.shape} and dtype {array.dtype}; they have to be "
                f"finite float32 of shape {shape}."
            )
    lacking = [one for one in EXTRAS if one not in fitted.extras]
    if lacking:
        raise TypeError(f"The reduction {name} returned extras without {', '.join(lacking)}.")
    arrays = {"gene_mean": view.mean, "gene_sd": view.sd, **fitted.arrays}
    return replace(fitted, method=name, k=k, extras={**fitted.extras, "seed": seed}, arrays=arrays)


def transform_registered(reduction: Reduction, x: object) -> Float32Array | None:
    """Return the scores of other cells, if the method has a way to find them.

    Raises
    ------
    ImportError
        The method cannot be loaded.
    """
    own = getattr(load_registered(reduction.method), "transform", None)
    return None if own is None else np.asarray(own(reduction, x), dtype=np.float32)
