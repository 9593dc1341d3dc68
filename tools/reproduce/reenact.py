"""Do the acts of a record once more through the tools' own door, and compare each step that comes of it."""

import time
from collections.abc import Generator
from dataclasses import dataclass, field

from pydantic import JsonValue

from stagewright.state.artifacts import Outcome, read_outcome
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory, find_run
from stagewright.tools.approve import approve, report_to_approve
from stagewright.tools.call import Caller, call_tool
from stagewright.tools.replies import Reply, Tick
from stagewright.tools.reproduce.compare_steps import StepDifference, compare_findings, compare_outcomes, findings_of
from stagewright.tools.reproduce.script import Act, Approval, Decision, Execution, Judgement
from stagewright.tools.workspace import Workspace

__all__ = ["Reenactment"]

CALLER = Caller(client="stagewright-reproduce")
WAIT_S = 3600.0
POLL_S = 0.1

Doing = Generator[Tick, None, str | None]
"""An act under way: signs of life, and at its end why nothing can follow, or None."""


@dataclass(slots=True)
class Reenactment:
    """A run that is done once more.

    Attributes
    ----------
    recorded
        The run as it was.
    workspace
        Of the fresh root.
    steps
        The steps that were executed again so far, by the attempt of the record, with what differs in each.
    """

    recorded: RunDirectory
    workspace: Workspace
    steps: dict[int, StepDifference] = field(default_factory=dict)
    run_id: str = ""

    @property
    def run(self) -> RunDirectory:
        """The run that comes of it."""
        return find_run(self.workspace.root, self.run_id)

    def plan(self, spec: dict[str, JsonValue]) -> Generator[Tick]:
        """Plan the study anew."""
        reply = yield from self._called("plan_run", spec=spec)
        self.run_id = str(reply.run_id)

    def do(self, act: Act) -> Doing:
        """Do one act of the record."""
        try:
            match act:
                case Execution():
                    return (yield from self._execute(act))
                case Judgement():
                    return (yield from self._judge(act))
                case Decision():
                    return (yield from self._decide(act))
                case Approval():
                    digest = report_to_approve(self.workspace, self.run_id).digest
                    approve(self.workspace, self.run_id, "approved in the record that is reproduced", digest)
                    return None
        except Refusal as refusal:
            return f"{_said(act)} was refused ({refusal.code}): {refusal.message}"

    def _execute(self, act: Execution) -> Doing:
        reply = yield from self._called("execute_stage", wait_s=WAIT_S)
        while reply.status in ("running", "planned"):  # it takes long, or its supervisor was lost
            reply = yield from self._called("execute_stage", wait_s=WAIT_S)
        if reply.status != "executed" or reply.step != act.step:
            return f"{act.step} did not come to its end: {reply.summary}"
        state = self.workspace.ledger(self.run_id).read()
        reproduced = read_outcome(self.run.path, state.sealed[act.step].artifacts)
        try:
            recorded: Outcome = read_outcome(self.recorded.path, act.sealed)
        except ValueError as error:
            return f"what {act.step} gave in the record cannot be read: {error}"
        self.steps[act.attempt] = compare_outcomes(recorded, reproduced)
        return None

    def _judge(self, act: Judgement) -> Doing:
        reply = yield from self._called("validate_stage")
        attempt = self.workspace.ledger(self.run_id).read().sealed[act.step].attempt
        verdict = str(reply.model_dump().get("verdict"))
        step = self.steps.get(act.attempt)
        if step is None:
            return None
        verdicts = () if verdict == act.verdict else (f"verdict: recorded {act.verdict}, reproduced {verdict}",)
        found = compare_findings(findings_of(self.recorded, act.attempt), findings_of(self.run, attempt))
        self.steps[act.attempt] = step.model_copy(update={"verdicts": verdicts, "findings": tuple(found)})
        return None

    def _decide(self, act: Decision) -> Doing:
        given: dict[str, JsonValue] = {"k_by_method": {**act.k_by_method}} if act.k_by_method else {}
        if act.decision == "adjust":
            if not act.adjustments and not given:  # a step that was opened again as it was
                return None
            given |= {"adjustments": act.adjustments} if act.adjustments else {}
        state = self.workspace.ledger(self.run_id).read()
        if act.decision == "stop" and state.finished:
            return None
        rationale = f"as recorded: {act.rationale}"[:4000]
        yield from self._called("decide", decision=act.decision, rationale=rationale, **given)
        return None

    def _called(self, tool: str, **arguments: JsonValue) -> Generator[Tick, None, Reply]:
        given = arguments if tool == "plan_run" else {"run_id": self.run_id, **arguments}
        for item in call_tool(self.workspace, tool, given, CALLER):
            if isinstance(item, Reply):
                return item
            yield item
            time.sleep(POLL_S)
        raise RuntimeError("a tool ended without a reply")


def _said(act: Act) -> str:
    match act:
        case Execution() | Judgement():
            what = "executing" if isinstance(act, Execution) else "judging"
            return f"{what} {act.step}"
        case Decision():
            return f"the decision {act.decision} on {act.step}"
        case Approval():
            return f"the approval of {act.checkpoint}"
