"""Make a cassette of what was called in a run: portable, and complete enough to be played without the data."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import JsonValue

from stagewright import __version__
from stagewright.stages.catalogue import STAGES
from stagewright.state.attempts import REQUEST
from stagewright.state.chain import ChainedLog
from stagewright.state.events import RunPlanned
from stagewright.state.layout import gene_list_file
from stagewright.state.manifest import read_manifest
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.spec import parse_spec
from stagewright.state.step_request import StepRequest
from stagewright.tools.attempt_view import why_after_loss
from stagewright.tools.built_in_cohort import COHORT_FILE
from stagewright.tools.replay.cassette import CallFrame, Cassette, DataFile, Frame, Header, KilledFrame, SurveyFrame
from stagewright.tools.replay.portable import ROOT, Portable
from stagewright.tools.replay.recorded_calls import (
    RecordedCall,
    calls_of_root,
    calls_of_run,
    client_of,
    moment,
    recorded_root,
    unanswered_before,
)
from stagewright.tools.replay.recorded_facts import facts_of_run, planned

__all__ = ["environment_of", "export_calls"]

COUNTED_ELSEWHERE = ("configurations_tried", "of_them_in_other_runs", "parent_run_id", "warnings")


def export_calls(root: Path, runs: Sequence[RunDirectory], *, with_root: bool, note: str = "") -> Cassette:
    """Return the cassette of the calls on some runs of a root.

    Parameters
    ----------
    root
        Absolute.
    runs
        In any order.
    with_root
        Whether the calls that named no run belong to it: refused plans, dry runs, lists of runs.
    note
        What the cassette shows, for its reader.

    Raises
    ------
    Refusal
        `damaged` when a run's ledger does not begin as one.
    """
    ordered = sorted(runs, key=lambda run: run.run_id)
    try:
        plans = {run.run_id: planned(run) for run in ordered}
    except ValueError as error:
        raise Refusal("damaged", f"{error}; `stagewright verify` says what is wrong with it") from error
    # A run that was archived elsewhere says in its calls where it lay: that is the root of the record.
    then = next((place for run in ordered if (place := recorded_root(run)) is not None), root)
    portable = Portable(then, {run.run_id: f"<run-{number}>" for number, run in enumerate(ordered, start=1)})
    if then != root:
        portable.places[str(root)] = ROOT
    data = _data(plans.values(), portable)
    calls = calls_of_root(root, portable) if with_root else []
    facts: list[tuple[datetime, Frame]] = []
    for run in ordered:
        own = calls_of_run(run, portable)
        facts += unanswered_before(own)
        facts += ((at, call) for at, call in _died_in(run, portable, own))
        facts += ((_noticed(at, frame, own), frame) for at, frame in facts_of_run(run, portable))
        calls += own
    calls.sort(key=lambda call: (call.ended, call.began))
    header = Header(
        stagewright=__version__,
        note=note,
        client=client_of(calls),
        files=_gene_lists(ordered, plans),
        data=data,
        commands=_commands(plans.values()),
        gates={gate.name: gate.stages for plan in plans.values() for gate in plan.gates if gate.kind != "built_in"},
        workers=max((_workers(run) for run in ordered), default=1),
        environment=environment_of(ordered),
        volatile=COUNTED_ELSEWHERE if any(plan.tried_before for plan in plans.values()) else (),
    )
    return Cassette(header=header, frames=tuple(_merged(calls, facts)))


def _merged(calls: list[RecordedCall], facts: list[tuple[datetime, Frame]]) -> Iterable[Frame]:
    """Yield the calls in the order of their answers, and before each what happened in it, or before it began."""
    left = sorted(facts, key=lambda fact: fact[0])
    surveyed: list[dict[str, JsonValue]] = [frame.scope for _, frame in left if isinstance(frame, SurveyFrame)]
    for call in calls:
        while left and left[0][0] <= call.ended:
            yield left.pop(0)[1]
        yield from _refused_survey(call.frame, surveyed)
        yield call.frame
    yield from (frame for _, frame in left)


def _refused_survey(frame: CallFrame, surveyed: list[dict[str, JsonValue]]) -> Iterable[Frame]:
    """Yield what planning found in data that it refused, where no run tells it: the fault alone is known."""
    code = None if frame.answer is None else frame.answer.get("refused")
    if frame.tool != "plan_run" or code != "invalid_data" or frame.answer is None:
        return
    scope = _scope_of(frame)
    if scope is not None and scope not in surveyed:
        yield SurveyFrame(scope=scope, survey={"fault": frame.answer["message"]})


def _scope_of(frame: CallFrame) -> dict[str, JsonValue] | None:
    spec = frame.arguments.get("spec")
    given = frame.files.get(spec) if isinstance(spec, str) else spec
    if not isinstance(given, str | dict):
        return None
    try:
        return parse_spec(given).data.model_dump(mode="json", exclude_none=True)
    except Refusal:
        return None


def _died_in(run: RunDirectory, portable: Portable, calls: list[RecordedCall]) -> Iterable[tuple[datetime, CallFrame]]:
    """Yield the calls of `execute_stage` whose server died in them: the ledger has their start, no log their end."""
    for entry in ChainedLog(run.log("agent_run")).entries():
        if entry.get("event") != "attempt_started" or entry.get("actor") == "supervisor":
            continue
        at = moment(entry["at"])
        if not any(call.frame.tool == "execute_stage" and call.holds(at) for call in calls):
            arguments: dict[str, JsonValue] = {"run_id": portable.names[run.run_id]}
            yield at, CallFrame(tool="execute_stage", arguments=arguments, answer=None)


def _noticed(at: datetime, frame: Frame, calls: list[RecordedCall]) -> datetime:
    """Return when it was first told of: a kill leaves no line in the ledger until a call records it."""
    if not isinstance(frame, KilledFrame):
        return at
    told = why_after_loss(frame.attempt, frame.step)
    return min([at, *(call.began for call in calls if _next_why(call.frame) == told)])


def _next_why(frame: CallFrame) -> JsonValue:
    after = None if frame.answer is None else frame.answer.get("next")
    return after.get("why") if isinstance(after, dict) else None


def _data(plans: Iterable[RunPlanned], portable: Portable) -> tuple[DataFile, ...]:
    """Return the data files, and make their paths in specs those that a replay has."""
    found: dict[str, DataFile] = {}
    for plan in plans:
        place = Path(plan.data.path)
        if place.is_relative_to(portable.root):
            name = place.relative_to(portable.root).as_posix()
        else:
            name = f"data/{place.name}"
            portable.places[str(place)] = f"{ROOT}/{name}"
        declared = plan.spec.get("data")
        written = declared.get("path") if isinstance(declared, dict) else None
        if isinstance(written, str):
            portable.data[plan.run_id] = (written, f"{ROOT}/{name}")
        built_in = place.name == COHORT_FILE
        found[name] = DataFile(path=name, sha256=plan.data.sha256, bytes=plan.data.bytes, built_in=built_in)
    return tuple(found.values())


def _gene_lists(runs: Sequence[RunDirectory], plans: dict[str, RunPlanned]) -> dict[str, str]:
    found: dict[str, str] = {}
    for run in runs:
        for path, digest in (plans[run.run_id].data.gene_lists or {}).items():
            found[path] = (run.path / gene_list_file(digest)).read_text(encoding="utf-8")
    return found


def _commands(plans: Iterable[RunPlanned]) -> tuple[str, ...]:
    named = (step.partition("/")[2] for plan in plans for step in plan.steps)
    return tuple(dict.fromkeys(stage for stage in named if stage not in STAGES))


def _workers(run: RunDirectory) -> int:
    requests = sorted((run.path / "attempts").glob(f"*/{REQUEST}"))
    return max((StepRequest.model_validate_json(path.read_bytes()).workers for path in requests), default=1)


def environment_of(runs: Sequence[RunDirectory]) -> dict[str, JsonValue]:
    """Return on what the newest run was executed, as its manifest says it."""
    for run in reversed(runs):
        manifest = read_manifest(run.manifest.read_text(encoding="utf-8")) if run.manifest.is_file() else {}
        code, environment = manifest.get("code"), manifest.get("environment")
        if isinstance(code, dict) and isinstance(environment, dict):
            kept = {name: environment.get(name) for name in ("python", "platform", "machine", "cpu_model")}
            return {"packages": code.get("packages"), **{name: value for name, value in kept.items() if value}}
    return {}
