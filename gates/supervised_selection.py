"""Genes were selected without the labels that the classifiers are scored on."""

from collections.abc import Iterator
from functools import partial

from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.spec.preprocess import AllFiltered, DegWeakScreen, Hybrid, Preprocess

__all__ = ["supervised_selection"]

_finding = partial(Finding, gate="supervised_selection")
THRESHOLD = "no label in gene selection, or CV scope pipeline"
WHY = (
    "Genes that were selected with the labels of all cells have seen the test folds, so scores that are "
    "cross-validated on them are optimistic: selection bias, Ambroise & McLachlan 2002, PNAS 99:6562."
)
REMEDY = (
    "Do not compare these scores with those of genes that were selected without labels. To pass: adjust preprocess to "
    "entries that use no label (hvg, or all_filtered without enrichment_ratio)."
)


def supervised_selection(context: GateContext) -> Iterator[Finding]:
    """Tell, of each preprocess in scope, whether its scores are biased by genes that were selected with the labels.

    Measured on the request alone: the parameters of the preprocess, and whether cross-validation refits the classifier
    only (`scope: classifier`) or the selection of genes too (`scope: pipeline`, which Plan 1c does not know).

    Notes
    -----
    A warning, not a failure: a study may want to see such genes, as long as nobody takes the scores for those of new
    cells: `plan1b.best.auc` leaves them out while there are others. Plan 1a cross-validates nothing, and says it too,
    because Plan 1b scores the same genes.
    """
    refitted = context.request.study.scope == "pipeline" and context.request.stage != "plan1c"
    for entry in context.request.study.preprocess:
        record = partial(_finding, subject=entry.tag, threshold=THRESHOLD)
        if not entry.supervised:
            yield record(severity="pass", measured="no label chose genes", reason=WHY)
        elif refitted:
            yield record(severity="pass", measured=f"{_label_use(entry)}, in each training fold", reason=WHY)
        else:
            yield record(severity="warn", measured=_label_use(entry), reason=f"{WHY} {REMEDY}")


def _label_use(entry: Preprocess) -> str:
    match entry:
        case AllFiltered(enrichment_ratio=float(ratio)) | Hybrid(enrichment_ratio=ratio):
            return f"enrichment_ratio {ratio:g} chose genes by label"
        case DegWeakScreen():
            return f"p {entry.p:g} and lfc {entry.lfc:g} between the classes chose genes by label"
        case _:
            return f"{entry.method} chose genes by label"
