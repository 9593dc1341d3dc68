"""Which units a step need not have done: those that failed, as far as its request allows failures. Light to import."""

from itertools import product

from stagewright.gates.protocol import GateContext
from stagewright.state.artifacts import UnitRecord, read_outcome
from stagewright.state.step_units import (
    allowed_failures,
    cell_unit,
    embedding_unit,
    embeddings_step,
    fold_units,
    step_units,
)

__all__ = ["failed_before", "failed_here", "left_out"]


def left_out(context: GateContext) -> frozenset[str]:
    """Return the names of the units whose results a step does not owe.

    An outcome that claims more failures than the request allows, or failures of units that the step does not have, is
    not believed in any of them.
    """
    claimed = frozenset(unit.name for unit in failed_here(context))
    own = set(step_units(context.request))
    believed = claimed if len(claimed) <= allowed_failures(context.request) and claimed <= own else frozenset()
    return believed | {unit.name for unit in failed_before(context)}


def failed_here(context: GateContext) -> tuple[UnitRecord, ...]:
    """Return the units that the step's sealed outcome marks as failed."""
    return tuple(unit for unit in context.outcome.units if unit.how == "failed")


def failed_before(context: GateContext) -> tuple[UnitRecord, ...]:
    """Return the units of earlier steps that failed there, so that this step cannot score or compare their results.

    Those are embeddings of the step that made them, and for Plan 2 also the cells of the grids that it runs again.
    """
    request = context.request
    if request.stage == "plan2":
        return _failed_under_observed_labels(context)
    maker = embeddings_step(request)
    if maker is None:
        return ()
    try:
        units = read_outcome(context.run, request.upstream[maker]).units
    except ValueError:
        return ()  # `artifact_integrity` reports it
    wanted = {
        embedding_unit(entry.tag, method, k)
        for entry in request.study.preprocess
        for method, k in request.k_by_method.items()
        if method in request.study.methods
    }
    return tuple(unit for unit in units if unit.how == "failed" and unit.name in wanted)


def _failed_under_observed_labels(context: GateContext) -> tuple[UnitRecord, ...]:
    request, study = context.request, context.request.study
    wanted: set[str] = set()
    for entry in study.preprocess:
        for stage, method in product(study.mirrored, study.methods):
            wanted |= {cell_unit(stage, entry.tag, method), *fold_units(study, stage, entry.tag, method)}
        if not entry.supervised:  # the others are fitted again
            known = [method for method in study.methods if method in request.k_by_method]
            wanted |= {embedding_unit(entry.tag, method, request.k_by_method[method]) for method in known}
    found: list[UnitRecord] = []
    for stage in study.mirrored:
        sealed = request.upstream.get(f"{request.checkpoint}/{stage}")
        try:
            units = () if sealed is None else read_outcome(context.run, sealed).units
        except ValueError:
            continue  # `artifact_integrity` reports it
        found += [unit for unit in units if unit.how == "failed" and unit.name in wanted]
    return tuple(found)
