"""What the server loads, and what happens when many want the same."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from stagewright.state.ledger import Ledger
from stagewright.tools import Workspace

HEAVY = ("numpy", "pandas", "anndata", "scanpy", "sklearn", "scipy", "h5py", "numba", "pyarrow")
Call = Callable[..., dict[str, Any]]
Declare = Callable[..., dict[str, Any]]

LOADED = """
import json, sys
from pathlib import Path
from stagewright.server.app import make_server
from stagewright.tools import Caller, Workspace, call_tool, complete
from stagewright.state.policy import parse_policy
import stagewright.server.cli
root = Path(sys.argv[1])
workspace = Workspace(root=root, policy=parse_policy((root / "stagewright.toml").read_text(), root))
make_server(workspace)
def call(tool, **arguments):
    return complete(call_tool(workspace, tool, arguments, Caller()))
run_id = call("plan_run", spec=json.loads(sys.argv[2])).run_id
call("execute_stage", run_id=run_id)
call("validate_stage", run_id=run_id)
call("decide", run_id=run_id, decision="stop", rationale="enough")
for view in ("summary", "logs", "gates", "metrics", "artifacts", "spec", "trials"):
    call("read_state", run_id=run_id, view=view)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""

RACE = """
import json, sys
from pathlib import Path
from stagewright.state.policy import parse_policy
from stagewright.tools import Caller, Workspace, call_tool, complete
root = Path(sys.argv[1])
workspace = Workspace(root=root, policy=parse_policy((root / "stagewright.toml").read_text(), root))
sys.stdin.readline()
reply = complete(call_tool(workspace, "execute_stage", {"run_id": sys.argv[2]}, Caller()))
print(json.dumps([reply.status, reply.attempt]))
"""


def test_the_server_loads_no_numerical_library(workspace: Workspace, declare: Declare) -> None:
    """Not at its start, and not after every tool and view was used once."""
    command = [sys.executable, "-P", "-c", LOADED, str(workspace.root), json.dumps(declare("ok"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    assert "mcp" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_four_processes_race_for_one_attempt(call: Call, declare: Declare, workspace: Workspace) -> None:
    """All execute the same step at the same moment: one attempt starts, all get its result."""
    run_id = call("plan_run", spec=declare("ok"))["run_id"]
    command = [sys.executable, "-P", "-c", RACE, str(workspace.root), run_id]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [json.loads(racer.communicate(timeout=60)[0]) for racer in racers]
    assert said == [["executed", 1]] * 4
    assert (workspace.root / "ran.txt").read_text().split() == ["A/ok"]
    ledger = Ledger(workspace.run(run_id))
    assert [entry["event"] for entry in ledger.log.verified()] == ["run_planned", "attempt_started", "attempt_finished"]
    assert ledger.detail("tool_calls").head().seq == 5
    assert ledger.detail("tool_calls").problems() == []
