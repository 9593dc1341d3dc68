"""Under CV scope `pipeline`, the genes of each fold were selected on its training cells alone."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from stagewright.gates.cohort_obs import labelled_cells
from stagewright.gates.finding import bounded
from stagewright.gates.left_out import left_out
from stagewright.gates.oof import read_oof
from stagewright.gates.owed_units import grid
from stagewright.gates.places import oof_table
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.canonical import digest_names
from stagewright.state.layout import fold_genes_folder

__all__ = ["fold_genes"]

_finding = partial(Finding, gate="fold_genes")
WHY = (
    "Genes that were selected with the cells left out have seen what is predicted: scores are then too high, far too "
    "high where the label selects."
)
AGAIN = "To pass: adjust, so that the step is executed again; if it comes back, the stage itself is wrong."
THRESHOLD = "the training cells of the fold, and no other"


def fold_genes(context: GateContext) -> Iterator[Finding]:
    """Compare the cells that each fold's gene log names with the training cells by the out-of-fold predictions.

    The training cells of fold f of a repeat are all cells with a label but those that any patient's fold f holds. A log
    says how many cells its genes were selected on, and the digest of their names. Failures are a log that is not there,
    and other cells than these.

    Notes
    -----
    What a log says is the stage's word: a selection that looked at other cells than it names is not seen here, but by
    the null twin, whose folds are selected by permuted labels.
    """
    request = context.request
    record = partial(_finding, threshold=THRESHOLD)
    if request.study.scope != "pipeline":
        yield record(
            subject=request.step,
            severity="pass",
            measured="genes are selected once: the scope of cross-validation is the classifier",
            reason=f"{WHY} Genes that the label selects are told by `supervised_selection`.",
        )
        return
    for tag, method in dict(grid(request, left_out(context))).items():  # any method: all have the same folds
        cells, table = labelled_cells(context, tag), read_oof(context.run / oof_table(request, tag, method))
        if cells is None or table is None:
            continue  # `promised_files` reports it
        wrong = [*_wrong(context, tag, cells["cell"], table)]
        yield from bounded(wrong)
        if not wrong:
            measured = f"{request.study.repeats} x {request.study.folds} logs, each of its training cells"
            yield record(subject=tag, severity="pass", measured=measured, reason=WHY)


def _wrong(context: GateContext, tag: str, cells: pd.Series, table: pd.DataFrame) -> Iterator[Finding]:
    """Yield a failure for each fold whose log names other cells."""
    study = context.request.study
    for repeat in range(study.repeats):
        mine = table[table["repeat"] == repeat]
        for fold in range(study.folds):
            tested = mine.loc[mine["fold"] == fold, "cell"].astype(str).unique()
            trained = cells[~np.isin(cells, tested)]
            path = context.run / fold_genes_folder(context.request.checkpoint, tag, repeat, fold) / "gene_log.json"
            said = _said(path)
            if said != (len(trained), digest_names(trained)):
                yield _finding(
                    subject=f"{tag}: repeat {repeat}, fold {fold}",
                    severity="fail",
                    measured="no readable log" if said is None else f"{said[0]} cells",
                    threshold=f"{len(trained)} cells: {THRESHOLD}",
                    reason=f"{WHY} {AGAIN}",
                )


def _said(path: Path) -> tuple[int, str] | None:
    """Return how many cells a log names, and the digest of their names; None where it says neither."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return int(cells["n_cells"]), str(cells["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
