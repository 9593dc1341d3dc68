"""Reproduce a run: the same calls on the same data in a fresh root, and each step compared as it is done."""

import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from stagewright.state.events import AttemptFinished, RunPlanned, StepValidated
from stagewright.state.holdout import HoldoutScore
from stagewright.state.lockbox import LOCKBOX
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.call import call_tool
from stagewright.tools.privacy.run_key import key_of_run
from stagewright.tools.replies import Reply, Tick
from stagewright.tools.reproduce.compare_step import Side, compare_step
from stagewright.tools.reproduce.follow import CALLER, Follower, NotFollowed
from stagewright.tools.reproduce.fresh_root import FreshRoot, SealedRun, make_root
from stagewright.tools.reproduce.record import Record, acts_up_to, last_step, read_record
from stagewright.tools.reproduce.report import Reproduction, StepComparison, ValueDifference
from stagewright.tools.reproduce.same_commands import check_commands
from stagewright.tools.reproduce.same_data import same_data
from stagewright.tools.reproduce.surroundings import surroundings
from stagewright.tools.step_requests import sealed_spec
from stagewright.tools.verification.fold import Recorded
from stagewright.tools.verification.record import read_ledger
from stagewright.tools.workspace import Workspace

__all__ = ["Wish", "reproduce_run"]

NEVER_COMPARED = "never compared: times, memory, forecasts, the gates budget and reused_units, texts of proposals"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for besides the run.

    Attributes
    ----------
    into
        A folder for the reproduction that is kept; None for a temporary one that is removed when all is equal.
    workers
        Units side by side; None for what the spec says.
    data
        Where the sealed data lie now; None to look where the run may have them.
    upto
        A step or a checkpoint after which the reproduction ends.
    """

    into: Path | None = None
    workers: int | None = None
    data: Path | None = None
    upto: str | None = None


def reproduce_run(
    workspace: Workspace, run: RunDirectory, wish: Wish
) -> Generator[Tick | StepComparison | Reproduction]:
    """Reproduce a run; yield signs of life, each step's comparison as it is done, and the whole at last.

    The run itself is only read.

    Raises
    ------
    Refusal
        Before anything is executed: `damaged`, `sealed`, `not_allowed_now`, `invalid_argument`, `invalid_data`,
        `unavailable`.
    """
    record = read_record(run)
    upto = last_step(record, wish.upto)
    spec = sealed_spec(run, record.state)
    key = key_of_run(workspace, run, record.state)
    check_commands(workspace, run, record)
    yield Tick(done=0, total=None, message="comparing the data with their seal")
    data = same_data(workspace, run, record.state, spec, wish.data)
    folder = _folder(wish.into)
    keep = wish.into is not None
    try:
        root = make_root(folder, workspace, SealedRun(run, record.planned, spec, key), data, wish.workers)
        with closing(_reproduced(root, run, record, upto, wish)) as work:  # what runs ends before its folder goes
            for item in work:
                if isinstance(item, Reproduction):
                    keep = keep or not item.equal
                    yield item.model_copy(update={"folder": str(folder) if keep else None})
                else:
                    yield item
    finally:
        shutil.rmtree(folder / LOCKBOX, ignore_errors=True)  # who was put aside is the true lock-box' to know
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _folder(into: Path | None) -> Path:
    if into is None:
        return Path(tempfile.mkdtemp(prefix="stagewright-reproduce-")).resolve()
    folder = into.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refusal("invalid_argument", f"--into {into}: there is something in it; name an empty or a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _reproduced(
    root: FreshRoot, run: RunDirectory, record: Record, upto: str, wish: Wish
) -> Generator[Tick | StepComparison | Reproduction]:
    follower: Follower | None = None
    for item in _planned(root, wish.workers):
        if isinstance(item, Tick):
            yield item
        else:
            follower = item
    if follower is None:
        raise RuntimeError("planning ends with a run or a refusal")
    steps: list[StepComparison] = []
    broke_off = _other_holdout(record, follower)
    notes = [*record.notes, *root.notes, NEVER_COMPARED]
    acts = acts_up_to(record, upto) if broke_off is None else ()
    used_up = record.state.holdout_score is not None and record.state.holdout_score.outcome == "used_up"
    try:
        for place, act in enumerate(acts):
            if used_up and place + 1 == len(acts):
                notes.append("the queries about the hold-out were used up, so it is not asked here either")
                break
            yield from follower.do(act)
            if isinstance(act.event, AttemptFinished | StepValidated) and not _is_judged_next(acts, place):
                for found in _compared(run, record, follower, act):
                    if isinstance(found, StepComparison):
                        steps.append(found)
                    yield found
    except NotFollowed as error:
        broke_off = str(error)
    finally:
        follower.end()
    again = follower.ledger.run
    first = read_ledger(again)[1].recorded[0].event
    yield Reproduction(
        run_id=run.run_id,
        data_sha256=record.state.data.sha256,
        upto=upto,
        workers=wish.workers,
        steps=tuple(steps),
        holdout=tuple(
            _scores(record.state.holdout_score, follower.state.holdout_score, upto == record.state.steps[-1])
        ),
        surroundings=tuple(surroundings(run, record.planned, again, first)) if isinstance(first, RunPlanned) else (),
        notes=tuple(notes),
        broke_off=broke_off,
        reproduced_as=again.run_id,
    )


def _planned(root: FreshRoot, workers: int | None) -> Iterator[Tick | Follower]:
    for item in call_tool(root.workspace, "plan_run", {"spec": str(root.spec)}, CALLER):
        if isinstance(item, Tick):
            yield item
        elif isinstance(item, Reply) and item.run_id is not None:
            yield Follower(root.workspace, item.run_id, workers)


def _other_holdout(record: Record, follower: Follower) -> str | None:
    """Return why nothing can be compared where other patients are put aside than were; None where they are the same."""
    before, after = record.planned.holdout, follower.state.holdout
    if (before and before.working) == (after and after.working):
        return None
    return (
        "the hold-out of the record has other patients than are drawn now, and who they were is known to its lock-box "
        "only: name the --root or --policy with that lock-box"
    )


def _is_judged_next(acts: tuple[Recorded, ...], place: int) -> bool:
    """Return whether the next act judges the attempt that this one executed: then both are compared at once."""
    following = acts[place + 1].event if place + 1 < len(acts) else None
    return isinstance(acts[place].event, AttemptFinished) and isinstance(following, StepValidated)


def _compared(run: RunDirectory, record: Record, follower: Follower, act: Recorded) -> Iterator[Tick | StepComparison]:
    attempt = getattr(act.event, "attempt", 0)
    executed = next(
        item for item in record.acts if isinstance(item.event, AttemptFinished) and item.event.attempt == attempt
    )
    newest = record.state.sealed[str(act.event.step)].attempt == attempt
    recorded = Side(run, executed, act if isinstance(act.event, StepValidated) else None)
    events = read_ledger(follower.ledger.run)[1].recorded
    ran = next(item for item in reversed(events) if isinstance(item.event, AttemptFinished))
    judged = next((item for item in reversed(events) if isinstance(item.event, StepValidated)), None)
    again = Side(follower.ledger.run, ran, judged if isinstance(act.event, StepValidated) else None)
    yield from compare_step(recorded, again, newest=newest)


def _scores(before: HoldoutScore | None, after: HoldoutScore | None, reached: bool) -> Iterator[ValueDifference]:  # noqa: FBT001 - named where it is given
    if not reached or before is None or before.outcome == "used_up":
        return
    scores = [before.metrics(), {} if after is None else after.metrics()]
    for name, value in scores[0].items():
        if scores[1].get(name) != value:
            yield ValueDifference(name=name, recorded=value, reproduced=scores[1].get(name))
