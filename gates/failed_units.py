"""No more units of work failed than the spec allows, and each that did is named."""

from collections import Counter
from collections.abc import Iterator
from functools import partial

from stagewright.gates.finding import bounded
from stagewright.gates.left_out import failed_before, failed_here
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.step_units import allowed_failures, embeddings_step, step_units

__all__ = ["failed_units"]

_finding = partial(Finding, gate="failed_units")
WHY = "What failed is missing from every comparison that follows, so whoever reads the results has to know of it."
LESS = "To pass: adjust so that the unit is not asked for (a smaller K, fewer methods), or mend its cause and adjust."
ERROR_CHARS = 200


def failed_units(context: GateContext) -> Iterator[Finding]:
    """Count the units that the sealed outcome marks as failed, and compare them with what the request allows.

    Measured are the failed units of this step, each a warning with its error while they are no more than allowed and a
    failure when they are more; failures that are claimed of units which the step does not have, or twice (failures);
    and the embeddings that Plan 1a could not make and Plan 1b therefore did not score (warnings), and what Plan 2 for
    the like reason has not compared.

    Notes
    -----
    Allowed is the share `budget.failed_units` of the sealed spec (0 by default) of the units that follow from the
    request, rounded up. A share and not a number, because the checkpoints of a study differ in size; sealed, because
    otherwise it would be raised once something has failed.
    """
    units = step_units(context.request)
    allowed = allowed_failures(context.request)
    failed = failed_here(context)
    names = Counter(unit.name for unit in failed)
    wanted = f"at most {allowed} of {len(units)} units failed"
    strangers = [name for name, times in names.items() if name not in units or times > 1]
    yield from bounded(
        _finding(
            subject=name,
            severity="fail",
            measured="said to have failed",
            threshold="each unit of the step at most once, and no other",
            reason=f"{WHY} The step has no such unit, or has it once. To pass: adjust, to execute the step again.",
        )
        for name in strangers
    )
    severity = "fail" if len(failed) > allowed else "warn"
    yield from bounded(
        _finding(
            subject=unit.name,
            severity=severity,
            measured=f"failed: {(unit.error or 'for no stated reason')[:ERROR_CHARS]}",
            threshold=wanted,
            reason=f"{WHY} {LESS}",
        )
        for unit in failed
    )
    before = failed_before(context)
    maker = embeddings_step(context.request)
    yield from bounded(
        _finding(
            subject=unit.name,
            severity="warn",
            measured=f"not scored, as it failed in {maker}: {(unit.error or 'for no stated reason')[:ERROR_CHARS]}",
            threshold="every embedding of the request",
            reason=f"{WHY} To pass: that step has to be executed again without this failure.",
        )
        for unit in before
    )
    if not failed and not before:
        yield _finding(
            subject=context.request.step,
            severity="pass",
            measured=f"none of {len(units)} units failed",
            threshold=wanted,
            reason=WHY,
        )
