"""What is left of the units of a step, after those that failed for good: seeds, cells of the grid, permuted cells."""

from collections.abc import Container

from stagewright.state.spec.preprocess import Preprocess
from stagewright.state.spec.reduction import Method
from stagewright.state.step_request import StepRequest
from stagewright.state.step_units import (
    cell_unit,
    embedding_unit,
    fit_unit,
    fold_units,
    has_search,
    has_twin,
    permuted_unit,
    search_unit,
    searched,
    seeds_of,
    twin_refits,
    twin_units,
)

__all__ = ["NOTHING", "grid", "methods_left", "permuted_grid", "search_grid", "seeds_left", "twin_grid"]

NOTHING: frozenset[str] = frozenset()


def seeds_left(request: StepRequest, method: Method, k: int, left_out: Container[str]) -> tuple[int, ...]:
    """Return the seeds of which Plan 0 owes the fit of one method and K."""
    return tuple(seed for seed in seeds_of(request.study, method) if fit_unit(method, k, seed) not in left_out)


def grid(request: StepRequest, left_out: Container[str] = NOTHING) -> tuple[tuple[str, Method], ...]:
    """Return the cells of the classification grid that a step owes: preprocess tag and method."""
    return tuple(
        (entry.tag, method)
        for entry in request.study.preprocess
        for method in methods_left(request, entry.tag, left_out)
        if cell_unit(request.stage, entry.tag, method) not in left_out
        and not any(unit in left_out for unit in fold_units(request.study, request.stage, entry.tag, method))
    )


def methods_left(request: StepRequest, tag: str, left_out: Container[str]) -> tuple[Method, ...]:
    """Return the methods of which a preprocess has an embedding."""
    known = request.k_by_method
    return tuple(
        method
        for method in request.study.methods
        if method not in known or embedding_unit(tag, method, known[method]) not in left_out
    )


def permuted_grid(request: StepRequest, left_out: Container[str] = NOTHING) -> tuple[tuple[int, str, str, Method], ...]:
    """Return what Plan 2 owes: permutation, mirrored stage, preprocess tag and method."""
    return tuple(
        (number, stage, entry.tag, method)
        for number in range(1, request.study.permutations + 1)
        for stage in request.study.mirrored
        for entry in request.study.preprocess
        for method in request.study.methods
        if not left_out_of_permutation(request, left_out, number, stage, entry, method)
    )


def twin_grid(request: StepRequest, left_out: Container[str] = NOTHING) -> tuple[tuple[str, Method], ...]:
    """Return the cells of the grid whose null twin a step owes: preprocess tag and method."""
    study, stage = request.study, request.stage
    if not has_twin(stage, study):
        return ()
    return tuple(
        (entry.tag, method)
        for entry in study.preprocess
        for method in study.methods
        if (twin_refits(study, entry, stage) or method in methods_left(request, entry.tag, left_out))
        and not any(unit in left_out for unit in twin_units(study, entry, method, request.k_by_method, stage))
    )


def search_grid(request: StepRequest, left_out: Container[str] = NOTHING) -> tuple[tuple[str, Method], ...]:
    """Return the cells of the grid that the search-wide permutation of a step goes over: preprocess tag and method."""
    if not has_search(request.stage, request.study):
        return ()
    return tuple(
        (entry.tag, method)
        for entry in searched(request.study)
        for method in methods_left(request, entry.tag, left_out)
        if search_unit(entry.tag, method) not in left_out
    )


def left_out_of_permutation(
    request: StepRequest, left_out: Container[str], number: int, stage: str, entry: Preprocess, method: Method
) -> bool:
    """Return whether a permuted cell of the grid, or the embedding that it needs, need not have been done."""
    known = request.k_by_method
    embedding = embedding_unit(entry.tag, method, known[method]) if method in known else ""
    needed = permuted_unit(number, embedding) if entry.supervised else embedding
    own = (*fold_units(request.study, stage, entry.tag, method), cell_unit(stage, entry.tag, method))
    return needed in left_out or any(permuted_unit(number, unit) in left_out for unit in own)
