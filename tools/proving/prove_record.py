"""Spoil copies of a run's record, one fault at a time, and look what `verify` names."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from stagewright.gates.proving.catalogue import CLEAN, REWRITTEN
from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.protocol import Trial
from stagewright.state.run_copy import link_copy, own_file
from stagewright.state.run_directory import LOG_NAMES, RunDirectory
from stagewright.tools.proving.record_faults import RECORD_FAULTS, RecordFault
from stagewright.tools.verify_run import verify_run

__all__ = ["RECORD", "VERIFY", "prove_record"]

RECORD = "record"
"""What stands in the place of a step in the trials of the record."""
VERIFY = "verify"
SHOWN = 3


def prove_record(run: RunDirectory, first: RunDirectory, scratch: Path) -> Iterator[Trial]:
    """Yield a trial for the clean copy, for one whose logs were written again unchanged, and for each fault.

    Parameters
    ----------
    run
        The run; it is only read.
    first
        The copy of it, which is only linked to.
    scratch
        A folder for the spoilt copies.
    """
    original, clean = _found(run), _found(first)
    yield _control(CLEAN, clean ^ original)
    with_own_logs = _spoilt(first, scratch, _own_logs)
    yield _control(REWRITTEN, with_own_logs ^ clean)
    for fault in RECORD_FAULTS:
        yield _trial(fault, first, scratch, clean)


def _trial(fault: RecordFault, first: RunDirectory, scratch: Path, clean: set[str]) -> Trial:
    try:
        new = sorted(_spoilt(first, scratch, fault.spoil) - clean)
    except DoesNotApply as reason:
        return Trial(fault=fault.name, gate=VERIFY, step=RECORD, result="not_applicable", said=str(reason))
    named = [problem for problem in new if problem.startswith(fault.names)]
    said = named[0] if named else "; ".join(new[:SHOWN]) or f"nothing about {fault.names}"
    return Trial(
        fault=fault.name,
        gate=VERIFY,
        step=RECORD,
        result="caught" if named else "blind",
        fired={VERIFY: "fail"} if new else {},
        said=said,
    )


def _control(name: str, differs: set[str]) -> Trial:
    said = "; ".join(sorted(differs)[:SHOWN])
    fired = {VERIFY: "fail"} if differs else {}
    return Trial.model_validate(
        {"fault": name, "gate": "", "step": RECORD, "result": "cried" if differs else "quiet"}
        | {"fired": fired, "said": said}
    )


def _spoilt(first: RunDirectory, scratch: Path, spoil: Callable[[RunDirectory], object]) -> set[str]:
    place = scratch / "record" / first.run_id
    link_copy(first.path, place)
    try:
        spoil(RunDirectory(place))
        return _found(RunDirectory(place))
    finally:
        shutil.rmtree(place)


def _own_logs(run: RunDirectory) -> None:
    for name in LOG_NAMES:
        if run.log(name).is_file():
            own_file(run.log(name))


def _found(run: RunDirectory) -> set[str]:
    return {str(problem) for problem in verify_run(run)}
