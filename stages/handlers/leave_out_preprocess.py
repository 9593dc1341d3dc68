"""Skip the preprocess of the unit that failed, or take another reference where Plan 0's own is at fault."""

from collections.abc import Iterator

from stagewright.stages.handlers.case import FailedCase
from stagewright.stages.handlers.json_values import entries_of, entry_of
from stagewright.stages.handlers.of_unit import belongs_to_unit
from stagewright.state.records import Proposal
from stagewright.state.spec.scales import scale_of

__all__ = ["leave_out_preprocess"]


def leave_out_preprocess(case: FailedCase) -> Iterator[Proposal]:
    """Propose the study without the preprocess; a Plan 0 that failed before its first fit gets another reference."""
    if not belongs_to_unit(case):
        return
    tag = case.failure.preprocess
    left = [entry for entry in case.spec.preprocess if entry.tag != tag]
    if tag is not None and left:
        n_preprocess = scale_of(case.spec, case.state.checkpoint).n_preprocess
        run_now = [entry.tag for entry in case.spec.preprocess[:n_preprocess]]
        enters = [entry.tag for entry in left[:n_preprocess] if entry.tag not in run_now]
        instead = f"; this checkpoint then runs {', '.join(enters)} instead" if enters else ""
        yield Proposal(what=f"leave out the preprocess {tag}{instead}", adjustments={"preprocess": entries_of(left)})
    if case.state.stage == "plan0" and case.failure.unit is None and case.failure.kind in ("spec", "numerical"):
        present = case.spec.reference_preprocess
        for entry in case.spec.preprocess:
            if entry.tag != present.tag:
                what = f"take {entry.tag} instead of {present.tag} as Plan 0's reference"
                yield Proposal(what=what, adjustments={"reference": entry_of(entry)})
