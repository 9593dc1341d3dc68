"""What of a spec's reductions this installation cannot run, found before any time is spent. Light to import."""

from collections.abc import Iterator

from stagewright.stages.reduction.catalogue import METHODS, known_methods
from stagewright.stages.reduction.optional_package import missing_package
from stagewright.state.spec.faults import nearest
from stagewright.state.spec.goal import GoalSpec

__all__ = ["method_faults"]

NO_NEW_CELLS = ("harmony", "scvi")
"""Methods that give no scores of cells which they were not fitted to."""


def method_faults(spec: GoalSpec) -> Iterator[str]:
    """Yield a line for each method that cannot be run, with what can be done."""
    known = known_methods()
    reduction = spec.reduction
    for method in reduction.methods:
        if method not in known:
            yield (
                f"reduction.methods: {method} is not built into this version{nearest(method, known)}; "
                f"available: {', '.join(known)}"
            )
        elif (missing := missing_package(method)) is not None:
            yield f"reduction.methods: {missing}"
        if method in NO_NEW_CELLS:
            yield from _without_new_cells(spec, method)
    if "scvi" in reduction.methods and spec.normalisation.method != "none":
        yield (
            f"reduction.methods: scvi models counts, and the normalisation is {spec.normalisation.method}; take "
            "normalisation: {method: none}, or leave scvi out"
        )
    for name in reduction.seed_invariant:
        if name in METHODS:
            yield f"reduction.seed_invariant: {name} is built in, and what its seed changes is known; leave it out"
    for name in reduction.settings:
        if name in METHODS:
            yield f"reduction.settings: {name} is built in; what may be set of it stands under reduction.{name}"


def _without_new_cells(spec: GoalSpec, method: str) -> Iterator[str]:
    if spec.classifier.cv.scope == "pipeline":
        yield (
            f"reduction.methods: {method} cannot score the cells of a fold that it was not fitted to; leave it out, or "
            "take classifier.cv.scope: classifier"
        )
    if spec.reduction.replicates != "seed":
        yield (
            f"reduction.methods: {method} cannot score the cells that a bootstrap sample leaves out; leave it out, or "
            "take reduction.replicates: seed"
        )
