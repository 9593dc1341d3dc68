"""A reproduction as lines for a person: one for each step, and what differs below it."""

from collections.abc import Iterator

from stagewright.tools.reproduce.compare_steps import StepDifference
from stagewright.tools.reproduce.reproduce_run import Reproduction

__all__ = ["reproduction_lines"]

SHOWN = 8

Line = tuple[str, str | None]


def reproduction_lines(found: Reproduction, *, kept: bool) -> Iterator[Line]:
    """Yield the lines, each with its style."""
    for step in found.steps:
        yield from _step(step)
    files = sum(step.n_artifacts for step in found.steps)
    metrics = sum(step.n_metrics for step in found.steps)
    if found.left is not None:
        yield f"It ended before the record did: {found.left}", "red"
    if found.differs:
        wrong = sum(step.differs for step in found.steps)
        yield f"{found.run_id}: {wrong} of {len(found.steps)} executed steps differ", "red"
    else:
        same = f"{files} artifacts and {metrics} metrics of {len(found.steps)} executed steps"
        yield f"{found.run_id}: reproduced; {same} are the same, byte for byte", "green"
    for note in found.notes:
        yield f"note: {note}", None
    if kept:
        yield f"Reproduced as {found.reproduced_as} under {found.root}", None


def _step(step: StepDifference) -> Iterator[Line]:
    if not step.differs:
        yield f"{step.step}: the same ({step.n_artifacts} artifacts, {step.n_metrics} metrics)", None
        return
    yield f"{step.step} (attempt {step.attempt} of the record): differs", "red"
    told = [f"{name}: recorded {one}, reproduced {other}" for name, (one, other) in step.metrics.items()]
    told += [*step.choices, *step.verdicts, *step.findings]
    told += [f"{item.path}: {item.what}" for item in step.artifacts]
    yield from ((f"  {line}", None) for line in told[:SHOWN])
    if len(told) > SHOWN:
        yield f"  and {len(told) - SHOWN} more; --json has them all", None
