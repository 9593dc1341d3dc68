"""Stand in for the child processes of a run: answer from a cassette what they answered when it was recorded.

The control plane is the real one: supervisor, ledger, verdicts and decisions. What is played back is what a worker
reports, what the gates find and what planning finds in the data. Of artifacts there is the listing alone, and empty
files in their places. The ledger names the executor `recorded`, so nobody can take such a run for an executed one.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar, cast

from pydantic import BaseModel, JsonValue

from stagewright.gates.list_gates import GateList
from stagewright.gates.protocol import GateReport, GateRequest
from stagewright.stages.failure import Failure
from stagewright.stages.supervisor import Ways, supervise
from stagewright.stages.worker_process import WorkerEnding
from stagewright.state.artifacts import Outcome
from stagewright.state.attempts import FAILURE, PROGRESS, RESULT, TRACEBACK, UNITS, WORKER_LOG, read_request
from stagewright.state.custom_gate import SealedGate
from stagewright.state.events import RECORDED
from stagewright.state.ledger import Ledger
from stagewright.state.run_directory import RunDirectory
from stagewright.state.step_request import StepRequest
from stagewright.state.survey import Survey, SurveyRequest
from stagewright.tools.children import ChildFailed
from stagewright.tools.replay.cassette import AttemptFrame, Cassette, FindingsFrame, RunFrame, SurveyFrame, inside
from stagewright.tools.replay.portable import Portable
from stagewright.tools.replies import Tick

__all__ = ["RecordedChildren", "pause_file"]

Answer = TypeVar("Answer", bound=BaseModel)

POLL_S = 0.004


class _Killed(Exception):  # noqa: N818 - names what happened
    """The supervisor of the recorded attempt died here."""


def pause_file(root: Path) -> Path:
    """Return the file that holds attempts up while it exists: whoever replays says when a step has run long enough."""
    return root / ".replay_paused"


class RecordedChildren:
    """What a cassette's runs were answered by their children.

    Parameters
    ----------
    cassette
        The record.
    root
        Where it is replayed.
    """

    def __init__(self, cassette: Cassette, root: Path) -> None:
        self._root, self._cassette = root, cassette
        self._portable = Portable(root)
        self._judged: dict[tuple[str, int], int] = {}
        self._runs: dict[str, str] = {}
        self._guard = threading.Lock()

    @property
    def stands_in(self) -> str | None:
        """What the ledger names as the executor."""
        return RECORDED

    def ask(
        self, module: str, child: str | None, question: BaseModel, kind: type[Answer], timeout_s: float
    ) -> Iterator[Tick | Answer]:
        """Answer a question as it was answered.

        Raises
        ------
        ChildFailed
            When the cassette has no answer to it.
        """
        del timeout_s
        match question:
            case SurveyRequest():
                yield cast("Answer", self._survey(question))
            case GateRequest():
                yield cast("Answer", self._findings(question))
            case _ if kind is GateList:
                stages = self._cassette.header.gates
                gates = tuple(SealedGate(name=name, kind="command", stages=stages[name]) for name in stages)
                yield cast("Answer", GateList(gates=gates))
            case _:
                raise ChildFailed(f"the cassette has no answer of {module} {child or ''}; replay with --stages rerun")

    def start_supervisor(self, attempt: Path, alive: int) -> None:
        """See an attempt through on a thread of this process, which holds its `alive.lock`."""
        held = os.dup(alive)
        threading.Thread(target=self._supervise, args=(attempt, held), daemon=True).start()

    def _supervise(self, attempt: Path, alive: int) -> None:
        run = RunDirectory(attempt.parent.parent)
        try:
            supervise(run, read_request(attempt), Ways(self._work, lambda stopped, _: stopped(), RECORDED))
        except _Killed:
            pass
        finally:
            os.close(alive)

    def _work(self, folder: Path, request: StepRequest, stopped: Callable[[], bool]) -> WorkerEnding:
        """Do what the recorded worker did: leave its report, once whoever replays lets it."""
        frame = self._attempt(folder, request)
        while not stopped() and (pause_file(self._root).exists() or (frame is not None and frame.ends == "cancelled")):
            time.sleep(POLL_S)
        if frame is not None and frame.ends == "lost":
            raise _Killed
        if frame is None:
            fault = Failure(error=f"the cassette has no attempt {request.attempt} at {request.step}", kind="bug")
            return WorkerEnding(exit_status=1, over=fault)
        return _leave(frame, folder, self._portable)

    def _attempt(self, folder: Path, request: StepRequest) -> AttemptFrame | None:
        run = self._recorded_run(folder.parent.parent)
        frames = (frame for frame in self._cassette.frames if isinstance(frame, AttemptFrame))
        wanted = (run, request.attempt, request.step)
        return next((frame for frame in frames if (frame.run, frame.attempt, frame.step) == wanted), None)

    def _survey(self, question: SurveyRequest) -> Survey:
        if question.holdout is not None:
            raise ChildFailed("who was put aside is in no cassette: replay a run with a hold-out by --stages rerun")
        scope = question.scope.model_dump(mode="json", exclude_none=True, exclude={"path"})  # it lies elsewhere here
        for frame in self._cassette.frames:
            if isinstance(frame, SurveyFrame) and {**frame.scope, "path": None} == scope | {"path": None}:
                found = Survey.model_validate(self._portable.back(frame.survey))
                # Patients have the recorded names; that this root has another key makes no difference to a replay.
                key_id = None if question.pseudonyms is None else question.pseudonyms.key_id
                return found.model_copy(update={"pseudonym_key_id": key_id})
        raise ChildFailed("the cassette does not say what was found in these data; replay with --stages rerun")

    def _findings(self, question: GateRequest) -> GateReport:
        run = self._recorded_run(Path(question.run))
        frames = [
            frame
            for frame in self._cassette.frames
            if isinstance(frame, FindingsFrame) and (frame.run, frame.attempt) == (run, question.attempt)
        ]
        if not frames:
            raise ChildFailed(f"the cassette has no judgement of {question.step}, attempt {question.attempt}")
        with self._guard:
            again = self._judged.get((question.run, question.attempt), 0)
            self._judged[question.run, question.attempt] = again + 1
        found = self._portable.back(list(frames[min(again, len(frames) - 1)].findings))
        return GateReport.model_validate({"findings": found, "elapsed_s": 0.0})

    def _recorded_run(self, folder: Path) -> str:
        """Return the cassette's name for a run of this root: the first of the same study that no other run stands for.

        The study is told by its spec; its digest, which has the data in it, differs where the product has grown a key.
        """
        with self._guard:
            if folder.name not in self._runs:
                digest = Ledger(RunDirectory(folder)).read().spec_digest
                runs = [frame for frame in self._cassette.frames if isinstance(frame, RunFrame)]
                free = [frame for frame in runs if frame.run not in self._runs.values()]
                same = [frame for frame in free if frame.spec_digest == digest] or free
                self._runs[folder.name] = same[0].run if same else ""
            return self._runs[folder.name]


def _leave(frame: AttemptFrame, folder: Path, portable: Portable) -> WorkerEnding:
    """Write what the worker left in its folder, and return how it ended."""
    _write(folder / PROGRESS, frame.progress, portable)
    if frame.units is not None:
        (folder / UNITS).write_text(frame.units, encoding="utf-8")
    if frame.traceback is not None:
        (folder / TRACEBACK).write_text(str(portable.back(frame.traceback)), encoding="utf-8")
    lines = "".join(f"{portable.back(line)}\n" for line in frame.last_lines)
    (folder / WORKER_LOG).write_text(lines, encoding="utf-8")
    ending = WorkerEnding(exit_status=frame.exit_status, elapsed_s=frame.elapsed_s, peak_rss_bytes=frame.peak_rss_bytes)
    if frame.ends == "executed" and frame.result is not None:
        for artifact in Outcome.model_validate(portable.back(frame.result)).artifacts:
            place = folder / "staging" / inside(artifact.path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        _write(folder / RESULT, frame.result, portable)
    elif frame.failure is not None:
        ending.over = Failure.model_validate(portable.back(frame.failure)) if frame.over else None
        _write(folder / FAILURE, frame.failure, portable)
    return ending


def _write(path: Path, value: JsonValue, portable: Portable) -> None:
    if value is not None:
        path.write_text(json.dumps(portable.back(value), ensure_ascii=False), encoding="utf-8")
