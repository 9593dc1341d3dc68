"""Write a reproduction for a person: a line for each step, what differs below it, and the result."""

from collections.abc import Iterator

from stagewright.tools.reproduce.report import Reproduction, StepComparison

__all__ = ["result_lines", "step_lines"]

SHOWN = 8
GOOD, BAD, LOOK = "green", "red", "yellow"
Line = tuple[str, str | None]


def step_lines(step: StepComparison) -> Iterator[Line]:
    """Yield the lines of one step."""
    compared = f"{step.n_artifacts} artifacts, {step.n_metrics} metrics, {step.n_configurations} configurations"
    verdict = "not judged" if step.verdict is None else f"verdict {step.verdict}, {step.n_findings} findings"
    earlier = "" if step.newest else f" (attempt {step.attempt}, replaced later)"
    if step.n_differences == 0:
        yield f"{step.step:<10} the same   {compared}; {verdict}{earlier}", GOOD
        return
    s = "" if step.n_differences == 1 else "s"
    yield f"{step.step:<10} {step.n_differences} difference{s} in {compared}; {verdict}{earlier}", BAD
    if step.verdict != step.verdict_again:
        yield f"  verdict: {step.verdict} -> {step.verdict_again}", None
    yield from _listed("artifact", [f"{item.path}: {item.how}" for item in step.artifacts])
    yield from _listed("metric", [item.said() for item in step.metrics])
    yield from _listed("configuration", [item.said() for item in step.configurations])
    findings = [f"{item.gate}: {item.subject}: {item.recorded} -> {item.reproduced}" for item in step.findings]
    yield from _listed("finding", findings)
    yield from _listed("other", [*step.others])


def result_lines(found: Reproduction) -> Iterator[Line]:
    """Yield the lines after the last step."""
    yield from _listed("hold-out", [item.said() for item in found.holdout])
    for note in found.notes:
        yield f"note: {note}", None
    if found.broke_off is not None:
        yield f"The reproduction ended early: {found.broke_off}", BAD
    if found.surroundings:
        heading = "It ran on other things than the record" + (", without an effect:" if found.equal else ":")
        yield heading, None if found.equal else LOOK
        yield from _listed("now", [*found.surroundings], shown=len(found.surroundings))
    elif not found.equal:
        yield "Packages, Python, machine, threads, executor and gates are those of the record.", LOOK
    n_artifacts = sum(step.n_artifacts for step in found.steps)
    workers = "" if found.workers is None else f", with {found.workers} worker{'' if found.workers == 1 else 's'}"
    if found.equal:
        what = f"reproduced up to {found.upto}{workers}: {n_artifacts} artifacts bit by bit, 0 differences"
        yield f"{found.run_id}: {what}.", GOOD
    else:
        s = "" if found.n_differences == 1 else "s"
        yield f"{found.run_id}: {found.n_differences} difference{s} up to {found.upto}{workers}.", BAD
    if found.folder is not None:
        yield (
            f"The reproduction lies in {found.folder} (run {found.reproduced_as}); remove it when you have looked.",
            None,
        )


def _listed(what: str, lines: list[str], shown: int = SHOWN) -> Iterator[Line]:
    for line in lines[:shown]:
        yield f"  {what}: {line}", None
    if len(lines) > shown:
        yield f"  {what}: and {len(lines) - shown} more; --json has them all", None
