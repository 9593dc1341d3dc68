"""Say in a crate what was done: the attempts at steps, the verdicts of the gates, the decisions and the approvals."""

from urllib.parse import quote

from pydantic import JsonValue

from stagewright.state.artifacts import OUTCOME
from stagewright.state.attempts import REQUEST, TRACEBACK, WORKER_LOG
from stagewright.state.events import Approved, Decided, StepValidated
from stagewright.state.run_state import RunState, split_step
from stagewright.tools.crate.graph import Entity, Graph, ref, with_offset
from stagewright.tools.crate.workflow import ENGINE, GATES, SPEC, add_planning, agent_of, step_address, tool_address
from stagewright.tools.run_story import AttemptStory, RunStory, Told

__all__ = ["add_actions"]

COMPLETED = "http://schema.org/CompletedActionStatus"
FAILED = "http://schema.org/FailedActionStatus"
SECONDS, BYTES = "http://qudt.org/vocab/unit/SEC", "http://qudt.org/vocab/unit/BYTE"


def add_actions(graph: Graph, story: RunStory, state: RunState, data: Entity, written: dict[int, list[str]]) -> None:
    """Add every act of a run.

    Parameters
    ----------
    data
        The reference to the data.
    written
        The artifacts of each attempt, by its number, that are still those of the run.
    """
    started = with_offset(story.entries[0].at)
    add_planning(graph, story.planned, started, data)
    results: list[JsonValue] = []
    controls: list[JsonValue] = []
    for attempt in story.attempts.values():
        measured = _add_attempt(graph, attempt, data, written)
        results = [*results, *measured]
        controls.append(
            graph.add(
                f"#control/{attempt.number}",
                "ControlAction",
                name=f"{attempt.step}, attempt {attempt.number}",
                instrument=ref(step_address(attempt.step)),
                object=ref(_address(attempt.number)),
            )
        )
    _add_run(graph, story, state, data, controls, results)
    for told in story.entries:
        match told.event:
            case StepValidated() as event:
                _add_verdict(graph, told, event, story)
            case Decided() as event:
                _add_decision(graph, told, event)
            case Approved() as event:
                _add_approval(graph, told, event)
            case _:
                pass


def _address(attempt: int) -> str:
    return f"#attempt/{attempt}"


def _add_run(
    graph: Graph, story: RunStory, state: RunState, data: Entity, controls: list[JsonValue], results: list[JsonValue]
) -> None:
    """Add the run as a whole: the act that the spec stands for, and the act of organising its steps."""
    started, ended = with_offset(story.entries[0].at), with_offset(story.entries[-1].at)
    ends: Entity = {}
    if state.status == "completed":
        ends = {"actionStatus": COMPLETED}
    elif state.status in ("stopped", "blocked"):
        reason = state.blocked.error if state.blocked is not None else _last_rationale(story)
        ends = {"actionStatus": FAILED, "error": f"{state.status} at {state.step}: {reason}"}
    agent = agent_of(graph, story.planned.actor)
    run = graph.add(
        "#run",
        "CreateAction",
        name=f"Run {state.run_id}",
        description=f"{state.status} at {state.step}; {state.configurations_tried} configurations tried",
        instrument=graph.file(SPEC),
        agent=agent,
        object=[data, *graph.files(path for path in _gene_lists(graph))],
        result=[*graph.files(["run_manifest.yaml", "logs/agent_run.log"]), *results],
        startTime=started,
        endTime=ended,
        **ends,
    )
    graph.mention(run)
    if controls:
        graph.mention(
            graph.add(
                "#organize",
                "OrganizeAction",
                name=f"Stagewright runs {state.run_id}",
                instrument=ref(ENGINE),
                agent=agent,
                object=controls,
                result=run,
                startTime=started,
                endTime=ended,
                **ends,
            )
        )


def _gene_lists(graph: Graph) -> list[str]:
    return [str(said["name"]) for said in graph.data.values() if str(said["name"]).startswith("gene_lists/")]


def _last_rationale(story: RunStory) -> str:
    decided = [told.event.rationale for told in story.entries if isinstance(told.event, Decided)]
    return decided[-1] if decided else "nothing was decided"


def _add_attempt(
    graph: Graph, attempt: AttemptStory, data: Entity, written: dict[int, list[str]]
) -> list[dict[str, JsonValue]]:
    """Add one attempt and return the references to what it measured."""
    folder, ended, ends = attempt.started.directory, attempt.finished, _ending(attempt)
    values: list[dict[str, JsonValue]] = []
    usage: list[JsonValue] = []
    if ended is not None:
        values = [
            graph.value(f"#metric/{attempt.number}/{quote(name)}", f"{attempt.step} {name}", value)
            for name, value in ended.metrics.items()
        ]
        used = f"#usage/{attempt.number}"
        usage = [
            graph.value(f"{used}/time", "elapsed time", ended.elapsed_s, propertyID=SECONDS, unitCode=SECONDS),
            graph.value(f"{used}/memory", "peak memory", ended.peak_rss_bytes, propertyID=BYTES, unitCode=BYTES),
        ]
    result = graph.files([f"{folder}/{OUTCOME}", *written.get(attempt.number, ())])
    if not result:
        result = graph.files([f"{folder}/{TRACEBACK}", f"{folder}/{WORKER_LOG}"])
    graph.mention(
        graph.add(
            _address(attempt.number),
            "CreateAction",
            name=f"{attempt.step}, attempt {attempt.number}: {attempt.outcome}",
            description=f"{attempt.started.message}. Opened by entry {attempt.opened_by.seq} of the ledger: "
            f"{attempt.opened_by.event.message}",
            instrument=ref(tool_address(split_step(attempt.step)[1])),
            agent=agent_of(graph, attempt.started.actor),
            object=[data, *graph.files([SPEC, f"{folder}/{REQUEST}", *_before(attempt, written, graph)])],
            result=[*result, *values],
            startTime=with_offset(attempt.started_at),
            endTime=None if attempt.ended_at is None else with_offset(attempt.ended_at),
            resourceUsage=usage,
            **ends,
        )
    )
    return values


def _before(attempt: AttemptStory, written: dict[int, list[str]], graph: Graph) -> list[str]:
    """Return the artifacts of the earlier steps of the checkpoint, which the attempt found there."""
    checkpoint = split_step(attempt.step)[0]
    earlier = [paths for number, paths in written.items() if number < attempt.number]
    return [path for paths in earlier for path in paths if path.startswith(f"{checkpoint}/") and graph.has(path)]


def _ending(attempt: AttemptStory) -> Entity:
    if attempt.outcome == "executed":
        return {"actionStatus": COMPLETED}
    if attempt.finished is not None:
        blocked = attempt.finished.blocked
        return {"actionStatus": FAILED, "error": attempt.finished.message if blocked is None else blocked.error}
    return {} if attempt.lost is None else {"actionStatus": FAILED, "error": attempt.lost.message}


def _add_verdict(graph: Graph, told: Told, event: StepValidated, story: RunStory) -> None:
    at, address = with_offset(told.at), f"#verdict/{told.seq}"
    attempt = story.attempts.get(event.attempt)
    said: list[JsonValue] = [graph.value(f"{address}/value", f"verdict on {event.step}", event.verdict)]
    said += [
        graph.value(
            f"{address}/finding/{number}",
            f"{finding.severity}: {finding.gate}: {finding.subject}",
            finding.measured,
            description=f"Threshold: {finding.threshold}. {finding.reason}",
        )
        for number, finding in enumerate(event.gates.worst, start=1)
        if finding.severity != "pass"
    ]
    judged = [] if attempt is None else [f"{attempt.started.directory}/{OUTCOME}"]
    graph.mention(
        graph.add(
            address,
            "CreateAction",
            name=f"Gates of {event.step}: {event.verdict}",
            description=event.message,
            instrument=ref(GATES),
            agent=agent_of(graph, event.actor),
            object=graph.files(judged),
            result=[*graph.files(["logs/validation.log"]), *said],
            startTime=at,
            endTime=at,
            actionStatus=COMPLETED,
        )
    )


def _add_decision(graph: Graph, told: Told, event: Decided) -> None:
    at, address = with_offset(told.at), f"#decision/{told.seq}"
    changed: list[JsonValue] = [
        graph.value(f"{address}/change/{number}", change.field, str(change.after), description=f"was {change.before}")
        for number, change in enumerate(event.changes, start=1)
    ]
    graph.mention(
        graph.add(
            address,
            "ChooseAction",
            name=f"Decision on {event.step}: {event.decision}",
            description=event.rationale,
            actionOption=event.decision,
            agent=agent_of(graph, event.actor),
            object=graph.files(["logs/validation.log"]),
            result=[*graph.files(["logs/decision.log"]), *changed],
            startTime=at,
            endTime=at,
            actionStatus=COMPLETED,
        )
    )


def _add_approval(graph: Graph, told: Told, event: Approved) -> None:
    at, address = with_offset(told.at), f"#approval/{told.seq}"
    report = event.report_sha256
    shown: list[JsonValue] = (
        [] if report is None else [graph.value(f"{address}/report", "sha256 of the report", report)]
    )
    graph.mention(
        graph.add(
            address,
            "AuthorizeAction",
            name=f"Checkpoint {event.checkpoint} approved",
            description=event.reason,
            agent=agent_of(graph, event.actor),
            object=ref(step_address(event.step)) if event.step is not None else None,
            result=[*graph.files(["logs/decision.log"]), *shown],
            startTime=at,
            endTime=at,
            actionStatus=COMPLETED,
        )
    )
