"""Which units a step has, of which kind, and how much work each is beside the number of cells.

The work of a unit is what its cost is taken to be proportional to: K and genes for a fit, K, penalties, strengths and
repeats for a classification. Its absolute size means nothing; only ratios are used, between units of one kind.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from stagewright.stages.peak_memory import expected_genes
from stagewright.state.layout import NULL_TWIN
from stagewright.state.plan1c_models import models_of
from stagewright.state.spec.effective import EffectiveStudy
from stagewright.state.step_request import StepRequest
from stagewright.state.step_units import gene_selections, step_units, twin_study

__all__ = ["SCORED", "Work", "step_work", "unit_work"]

FITS = ("fit", "held_out", "embedding", "refit")
CELLS = ("paths", "cv", "benchmark")
SCORED = (*CELLS, "cv_twin", "benchmark_twin")
"""Kinds of units that score an embedding: methods differ in K alone."""
LABELLINGS_OF_A_REPEAT = 20
"""Labellings of the search-wide permutation that take at most as long as one repeat of cross-validation."""
PERMUTED = re.compile(r"^permutation_\d+/")
K = re.compile(r"(?:^|/)k_(\d+)(?:/|$)")
MANY_GENES = 10**9
"""Counts for the genes of the data where nobody has counted them: then only ratios between equal ones occur."""


@dataclass(frozen=True, slots=True)
class Work:
    """One unit: its name without the permutation, its kind with the method, e.g. ``fit/nmf``, and its work."""

    name: str
    group: str
    work: float

    @property
    def kind(self) -> str:
        """The kind without the method."""
        return self.group.partition("/")[0]


def step_work(request: StepRequest, n_genes: int | None) -> Iterator[Work]:
    """Yield the units of a step, its gene selections among them.

    Parameters
    ----------
    n_genes
        Of the data.
    """
    for name in step_units(request):
        yield unit_work(request, name, n_genes)
    for number in range(gene_selections(request)):
        yield Work(f"selection_{number}", "genes", 1.0)


def unit_work(request: StepRequest, name: str, n_genes: int | None) -> Work:
    """Return the kind and the work of one unit of a step, by its name."""
    plain = PERMUTED.sub("", name)  # a twin keeps its name: it is another unit than the one that it copies
    parts = plain.removeprefix(f"{NULL_TWIN}/").split("/")
    last = parts[-1]
    if last == "genes":
        return Work(plain, "genes", 1.0)
    if last in CELLS and len(parts) > 1:
        method = parts[-2]
        twin = plain.startswith(f"{NULL_TWIN}/")
        study = twin_study(request.study, request.stage) if twin else request.study
        kind = f"{last}_twin" if twin else last  # so little of it grows with the work that it has a cost of its own
        return Work(plain, f"{kind}/{method}", _scored(study, last) * _k(request, plain, method))
    if last == "search":  # in the measure of cross-validation, which stands in for it until one was measured
        repeats = request.study.search_permutations / LABELLINGS_OF_A_REPEAT
        fits = len(request.study.alphas) * len(request.study.penalties)
        return Work(plain, f"search/{parts[-2]}", fits * repeats * _k(request, plain, parts[-2]))
    if last == "held_out" or last.startswith("seed_"):
        method, genes = parts[0], expected_genes(request.study.reference, n_genes or MANY_GENES)
        return Work(
            plain, f"{'held_out' if last == 'held_out' else 'fit'}/{method}", _k(request, plain, method) * genes
        )
    if last.startswith(("k_", "fold_")) and len(parts) > 1:
        method = parts[1]
        kind = "embedding" if last.startswith("k_") else "refit"
        return Work(plain, f"{kind}/{method}", _k(request, plain, method) * _genes_of(request, parts[0], n_genes))
    return Work(plain, request.stage, 1.0)


def _k(request: StepRequest, name: str, method: str) -> int:
    said = K.search(name)
    if said is not None:
        return int(said[1])
    return next((k for known, k in request.k_by_method.items() if known == method), 1)


def _genes_of(request: StepRequest, tag: str, n_genes: int | None) -> int:
    entry = next((entry for entry in request.study.preprocess if entry.tag == tag), request.study.reference)
    return expected_genes(entry, n_genes or MANY_GENES)


def _scored(study: EffectiveStudy, kind: str) -> float:
    fits = len(study.alphas) * len(study.penalties)
    if kind == "cv":
        return fits * study.repeats
    return len(study.alphas) * study.repeats * len(models_of(study)) if kind == "benchmark" else fits
