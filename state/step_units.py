"""Which units of work a step consists of, from its request alone. Stages name their units so; gates count them so."""

import math
from collections.abc import Container, Iterator, Mapping

from stagewright.state.layout import NULL_TWIN, TWIN
from stagewright.state.spec.effective import EffectiveStudy
from stagewright.state.spec.preprocess import Preprocess
from stagewright.state.step_request import StepRequest

__all__ = [
    "allowed_failures",
    "cell_unit",
    "embedding_unit",
    "embeddings_step",
    "fit_unit",
    "fold_unit",
    "fold_units",
    "gene_selections",
    "has_search",
    "has_twin",
    "held_out_unit",
    "permuted_unit",
    "sealed_embeddings",
    "search_unit",
    "searched",
    "seeds_of",
    "step_units",
    "twin_refits",
    "twin_study",
    "twin_units",
    "writes_embeddings",
]

ROUNDING = 1e-9
"""A share times a count may miss a whole number by rounding: 0.1 * 30 is 3.0000000000000004."""
WHOLE = ("plan0", "plan1a", "plan1b", "plan1c", "plan2")
"""Stages that may lose a unit and still have a result."""

CELL = {"plan1a": "paths", "plan1b": "cv", "plan1c": "benchmark"}
"""What a stage does with each embedding of the grid."""
TWINNED = ("plan1b", "plan1c")
"""Stages with a null twin: those that predict cells out of fold. In-sample scores are not expected at 0.5."""
READERS = {"plan1b": ("plan1a",), "plan1c": ("plan1a", "plan1b"), "plan2": ("plan1a", "plan1b", "plan1c")}
"""Stages that may have made the embeddings that a stage reads. They keep one order, so the first of them made them."""


def fit_unit(method: str, k: int, seed: int) -> str:
    """Return the name of one replicate of Plan 0, e.g. ``fa/k_20/seed_1``; the seed is the replicate's number."""
    return f"{method}/k_{k}/seed_{seed}"


def held_out_unit(method: str, k: int) -> str:
    """Return the name of Plan 0's fit that predicts held-out cells, e.g. ``fa/k_20/held_out``."""
    return f"{method}/k_{k}/held_out"


def embedding_unit(tag: str, method: str, k: int) -> str:
    """Return the name of one embedding of Plan 1, e.g. ``hvg_3000/fa/k_20``."""
    return f"{tag}/{method}/k_{k}"


def cell_unit(stage: str, tag: str, method: str) -> str:
    """Return the name of one cell of a stage's grid, e.g. ``hvg_3000/fa/paths``."""
    return f"{tag}/{method}/{CELL[stage]}"


def fold_unit(tag: str, method: str, repeat: int, fold: int) -> str:
    """Return the name of one pipeline fitted without one fold, e.g. ``hvg_3000/fa/repeat_0/fold_4``."""
    return f"{tag}/{method}/repeat_{repeat}/fold_{fold}"


def fold_units(study: EffectiveStudy, stage: str, tag: str, method: str) -> tuple[str, ...]:
    """Return the pipelines that one cell of a stage's grid needs fitted again; none but under CV scope `pipeline`."""
    if stage != "plan1b" or study.scope != "pipeline":
        return ()
    return tuple(fold_unit(tag, method, repeat, fold) for repeat in range(study.repeats) for fold in range(study.folds))


def permuted_unit(number: int, unit: str) -> str:
    """Return the name of a unit under one permutation of the labels, e.g. ``permutation_1/hvg_3000/fa/cv``.

    The permutation `TWIN` is that of the null twin, e.g. ``null_twin/hvg_3000/fa/cv``.
    """
    return f"{NULL_TWIN if number == TWIN else f'permutation_{number}'}/{unit}"


def has_twin(stage: str, study: EffectiveStudy) -> bool:
    """Return whether a stage also scores one copy of its grid under permuted labels."""
    return stage in TWINNED and bool(study.permutation_strata)


def searched(study: EffectiveStudy) -> tuple[Preprocess, ...]:
    """Return the preprocesses that the search-wide permutation goes over: those whose embeddings saw no label."""
    return tuple(entry for entry in study.preprocess if not entry.supervised)


def has_search(stage: str, study: EffectiveStudy) -> bool:
    """Return whether a stage also scores its whole grid under many labellings of the cells."""
    wanted = study.search_permutations > 0 and bool(study.permutation_strata)
    return stage == "plan1b" and wanted and bool(searched(study))


def search_unit(tag: str, method: str) -> str:
    """Return the name of one cell of the grid under all labellings, e.g. ``hvg_3000/fa/search``."""
    return f"{tag}/{method}/search"


def twin_study(study: EffectiveStudy, stage: str) -> EffectiveStudy:
    """Return what the null twin of a stage runs with.

    One repeat of cross-validation is enough for it. Plan 1C's runs at one strength, the middle one (the upper of two),
    fixed without a look at any label: its models may be trained on the cells of all patients together, so that no
    choice by other patients knows nothing of a patient's own labels.
    """
    if stage != "plan1c":
        return study.model_copy(update={"repeats": 1})
    middle = sorted(study.alphas)[len(study.alphas) // 2]
    return study.model_copy(update={"repeats": 1, "alphas": (middle,)})


def twin_refits(study: EffectiveStudy, entry: Preprocess, stage: str) -> bool:
    """Return whether the twin of a preprocess needs genes and embeddings of its own.

    It does where the label of all cells chose the genes; Plan 1B's under CV scope `pipeline` are those of each fold.
    """
    return entry.supervised and (stage != "plan1b" or study.scope != "pipeline")


def twin_units(
    study: EffectiveStudy, entry: Preprocess, method: str, k_by_method: Mapping[str, int], stage: str
) -> tuple[str, ...]:
    """Return the units of the null twin of one cell of a stage's grid: those that depend on the label."""
    own = [*fold_units(twin_study(study, stage), stage, entry.tag, method), cell_unit(stage, entry.tag, method)]
    if twin_refits(study, entry, stage) and method in k_by_method:
        own.insert(0, embedding_unit(entry.tag, method, k_by_method[method]))
    return tuple(permuted_unit(TWIN, unit) for unit in own)


def seeds_of(study: EffectiveStudy, method: str) -> tuple[int, ...]:
    """Return the numbers of Plan 0's replicates of a method; a bootstrap has them for seed-invariant methods too."""
    return study.seeds[:1] if study.fitted_once(method) else study.seeds


def writes_embeddings(request: StepRequest) -> bool:
    """Return whether the step writes `adata_with_dr.h5ad` itself and does not read an earlier step's."""
    return request.stage in CELL and embeddings_step(request) is None


def embeddings_step(request: StepRequest) -> str | None:
    """Return the earlier step whose embeddings a step of the grid reads; None where it makes them itself."""
    return sealed_embeddings(request.stage, request.checkpoint, request.upstream)


def sealed_embeddings(stage: str, checkpoint: str, sealed: Container[str]) -> str | None:
    """Return the sealed step that made the embeddings which a stage of the grid reads, e.g. ``A/plan1a``."""
    return next((step for maker in READERS.get(stage, ()) if (step := f"{checkpoint}/{maker}") in sealed), None)


def step_units(request: StepRequest) -> tuple[str, ...]:
    """Return the names of a step's units; a command is one unit, named as its stage.

    A method without a chosen K has no embedding among them: the step cannot do it, which is another's to report.
    """
    return tuple(_names(request))


def gene_selections(request: StepRequest) -> int:
    """Return how many selections of genes a step makes beside its units: none of them may fail."""
    if request.stage == "plan0":
        return 1
    study = request.study
    in_folds = len(study.preprocess) * study.repeats * study.folds if study.scope == "pipeline" else 0
    if request.stage == "plan2":
        refitted = sum(entry.supervised for entry in study.preprocess)
        return study.permutations * (refitted + (in_folds if "plan1b" in study.mirrored else 0))
    own = len(study.preprocess) if request.stage in WHOLE and writes_embeddings(request) else 0
    if has_twin(request.stage, study):
        own += sum(twin_refits(study, entry, request.stage) for entry in study.preprocess)
        own += len(study.preprocess) * study.folds if (request.stage, study.scope) == ("plan1b", "pipeline") else 0
    return own + (in_folds if request.stage == "plan1b" else 0)


def allowed_failures(request: StepRequest) -> int:
    """Return how many units of a step may fail for good with the step still executed."""
    if request.stage not in WHOLE:
        return 0
    return math.ceil(request.failed_units * len(step_units(request)) - ROUNDING)


def _names(request: StepRequest) -> Iterator[str]:
    study = request.study
    if request.stage == "plan0":
        for method, ks in study.ks.items():
            yield from (fit_unit(method, k, seed) for k in ks for seed in seeds_of(study, method))
            if study.held_out is not None:
                yield from (held_out_unit(method, k) for k in ks)
    elif request.stage in CELL:
        yield from _of_grid(request)
    elif request.stage == "plan2":
        for number in range(1, study.permutations + 1):
            yield from (permuted_unit(number, name) for name in _mirrored(request))
    else:
        yield request.stage


def _of_grid(request: StepRequest) -> Iterator[str]:
    study = request.study
    for entry in study.preprocess:
        if writes_embeddings(request):
            known = [method for method in study.methods if method in request.k_by_method]
            yield from (embedding_unit(entry.tag, method, request.k_by_method[method]) for method in known)
        for method in study.methods:
            yield from fold_units(study, request.stage, entry.tag, method)
            yield cell_unit(request.stage, entry.tag, method)
            if has_twin(request.stage, study):
                yield from twin_units(study, entry, method, request.k_by_method, request.stage)
            if has_search(request.stage, study) and entry in searched(study):
                yield search_unit(entry.tag, method)


def _mirrored(request: StepRequest) -> Iterator[str]:
    """Yield the units of Plan 1 that depend on the label, so that they are done again for each permutation of it."""
    study = request.study
    for entry in study.preprocess:
        if entry.supervised:
            known = [method for method in study.methods if method in request.k_by_method]
            yield from (embedding_unit(entry.tag, method, request.k_by_method[method]) for method in known)
        for stage in study.mirrored:
            for method in study.methods:
                yield from fold_units(study, stage, entry.tag, method)
                yield cell_unit(stage, entry.tag, method)
