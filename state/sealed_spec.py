"""The goal spec that was sealed: as the ledger's first entry declares it, and whether spec.yaml still says the same."""

from stagewright.state.canonical import digest_file
from stagewright.state.chain import ChainedLog
from stagewright.state.events import RunPlanned, parse_event
from stagewright.state.refusals import LedgerCorrupt, Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.spec import GoalSpec, load_spec, parse_spec
from stagewright.state.spec.differences import spec_differences

__all__ = ["declared_spec", "spec_change"]

SHOWN = 6


def declared_spec(run: RunDirectory) -> GoalSpec:
    """Return the goal spec of a run as its ledger has it, whatever became of spec.yaml.

    Raises
    ------
    LedgerCorrupt
        When the first entry is not a plan.
    """
    first = next(ChainedLog(run.log("agent_run")).entries(), {})
    event = parse_event(first) if first else None
    if not isinstance(event, RunPlanned):
        raise LedgerCorrupt("the ledger does not begin with run_planned")
    return parse_spec(event.spec)


def spec_change(run: RunDirectory, sealed_sha256: str) -> str | None:
    """Return what became of spec.yaml since it was sealed, with the places that differ; None when nothing."""
    if not run.spec.is_file():
        return "spec.yaml is gone"
    if digest_file(run.spec) == sealed_sha256:
        return None
    try:
        differences = spec_differences(declared_spec(run), load_spec(run.spec))
    except Refusal as refusal:
        return f"spec.yaml was changed after it was sealed, and is no goal spec any more: {refusal.message}"
    if not differences:
        return "spec.yaml was changed after it was sealed; it declares the same in other bytes"
    shown = "; ".join(differences[:SHOWN])
    more = "" if len(differences) <= SHOWN else f"; and {len(differences) - SHOWN} more"
    return f"spec.yaml was changed after it was sealed (sealed -> now): {shown}{more}"
