"""gene_log.json: which genes a preprocess kept, how many it dropped, and by which thresholds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pydantic import JsonValue, TypeAdapter

from stagewright.stages.preprocess.selection import GeneSelection
from stagewright.state.canonical import digest_names

__all__ = ["gene_log"]

_JSON: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


def gene_log(
    tag: str, selection: GeneSelection, var_names: pd.Index, cells: pd.Index, notes: Sequence[str] = ()
) -> JsonValue:
    """Return the content of a gene log.

    Parameters
    ----------
    tag
        Name of the preprocess in paths and tables.
    var_names
        Names of all genes, shape (n_genes,).
    cells
        Names of the cells that the genes were selected on, shape (n_cells,).

    Returns
    -------
    Beside the counts and thresholds, `cells` has the number of the cells and the digest of their names, `genes` the
    names of the genes that are kept, and `by_rule` those that each rule named: it kept them, or, as `removed_as_noise`,
    dropped them.
    """
    return {
        "preprocess": tag,
        "method": selection.method,
        "supervised": selection.supervised,
        "cells": {"n_cells": len(cells), "sha256": digest_names(map(str, cells))},
        "n_genes_before": len(var_names),
        "n_genes_kept": selection.n_selected,
        "log": _JSON.validate_python(selection.log),
        "notes": [*notes],
        "by_rule": {
            rule: [str(name) for name in var_names[column.astype(bool)]]
            for rule, column in selection.table.items()
            if column.dtype == np.bool_
        },
        "genes": [str(name) for name in var_names[selection.mask]],
    }
