"""A caller of the tools, prepared: it loads everything once and then forks a process for each call it is asked for.

A call is thereby made by a real process that can be killed at any point, without the half second that loading takes.
Run as ``python -P prepared_caller.py`` with the injection folder on PYTHONPATH. A line of JSON on standard input is
one order; a line on standard output says how its process ended.

An order has `root`; `calls`, pairs of a tool and its arguments (`approve` is taken for a tool here); `plan`, the file
of a fault plan or null; `arm`, whether the plan is for this process too and not only for those that it starts; `case`,
the folder by which the processes of a test are known; and `answer`, the file for what came of each call. `survey`,
where it is given, is the answer of planning's look into the data file, which takes a second, reads only, and has no
point.
"""

import json
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stagewright.state.policy import parse_policy
from stagewright.state.refusals import Refusal
from stagewright.state.survey import Survey
from stagewright.tools import Caller, Workspace, call_tool, child_processes, complete
from stagewright.tools.approve import approve, report_to_approve

BUG = 70


def _serve() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(_obey(order))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


def _obey(order: dict[str, Any]) -> int:
    try:
        os.environ["FAULT_CASE"] = order["case"]
        if order["plan"] is not None:
            os.environ["FAULT_PLAN"] = order["plan"]
        if order["plan"] is not None and order["arm"]:
            from fault_arming import arm_process  # noqa: PLC0415 - on the path of a process under test only

            arm_process(order["plan"], role="caller")
        if order.get("survey") is not None:
            _answer_surveys(Survey.model_validate_json(order["survey"]))
        root = Path(order["root"])
        workspace = Workspace(root=root, policy=parse_policy((root / "stagewright.toml").read_text(), root))
        answers = [_called(workspace, tool, arguments) for tool, arguments in order["calls"]]
        Path(order["answer"]).write_text(json.dumps(answers))
    except BaseException:  # noqa: BLE001 - nothing of the child may go on in the parent's loop
        traceback.print_exc()
        return BUG
    return 0


def _called(workspace: Workspace, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        if tool == "approve":
            named = arguments["run_id"]
            digest = report_to_approve(workspace, named).digest
            return {"status": approve(workspace, named, "seen by a person", digest).state.status}
        reply = complete(call_tool(workspace, tool, arguments, Caller(client="faults")))
        return reply.model_dump(mode="json", exclude_none=True)
    except Refusal as refusal:
        return dict(refusal.facts())


def _answer_surveys(survey: Survey) -> None:
    asked = child_processes.ask_child

    def answered(module: str, child: str | None, *others: Any) -> Iterator[Any]:  # noqa: ANN401 - as the real one
        if child == "survey":
            yield survey
        else:
            yield from asked(module, child, *others)

    setattr(child_processes, "ask_child", answered)  # noqa: B010 - a variable of the module, not its interface


if __name__ == "__main__":
    _serve()
