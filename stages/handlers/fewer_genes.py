"""Fewer genes in the preprocess at work, for a step that needs too much memory."""

from collections.abc import Iterator

from stagewright.stages.handlers.case import MEMORY_KINDS, FailedCase
from stagewright.stages.handlers.json_values import entries_of, entry_of
from stagewright.state.records import Proposal
from stagewright.state.spec.preprocess import AllFiltered, Hvg, Hybrid, Preprocess, TwoStage

__all__ = ["fewer_genes"]

FEWEST = 2


def fewer_genes(case: FailedCase) -> Iterator[Proposal]:
    """Propose half of the genes, and a quarter: of Plan 0's reference, or of the preprocess that failed at Plan 1."""
    if case.failure.kind not in MEMORY_KINDS:
        return
    if case.state.stage == "plan0":
        reference = case.spec.reference_preprocess
        for smaller in _smaller(reference):
            what = f"take {smaller.tag} instead of {reference.tag} as Plan 0's reference"
            yield Proposal(what=what, adjustments={"reference": entry_of(smaller)})
    elif case.built_in:
        entries = [entry for entry in case.spec.preprocess if case.failure.preprocess in (None, entry.tag)]
        for entry in entries:
            for smaller in _smaller(entry):
                left = entries_of(smaller if one == entry else one for one in case.spec.preprocess)
                yield Proposal(what=f"take {smaller.tag} instead of {entry.tag}", adjustments={"preprocess": left})


def _smaller(entry: Preprocess) -> Iterator[Preprocess]:
    """Yield the same selection with half of the genes, then a quarter."""
    for part in (2, 4):
        match entry:
            case Hvg() | Hybrid() if entry.n_top_genes // part >= FEWEST:
                yield entry.model_copy(update={"n_top_genes": entry.n_top_genes // part})
            case TwoStage() if _top_up(entry, part) >= FEWEST:
                fewer = None if entry.n_hvg is None else entry.n_hvg // part
                yield entry.model_copy(update={"n_top_genes": entry.n_top_genes // part, "n_hvg": fewer})
            case AllFiltered() if entry.min_cells_fraction * part**2 <= 1:
                yield entry.model_copy(update={"min_cells_fraction": round(entry.min_cells_fraction * part**2, 6)})
            case _:
                pass  # how many genes a screen keeps is not in its spec, and a list is what it is


def _top_up(entry: TwoStage, part: int) -> int:
    """Return the smallest of the numbers of genes that a part of the selection has."""
    genes = entry.n_top_genes // part
    return genes if entry.n_hvg is None else min(entry.n_hvg // part, genes - entry.n_hvg // part)
