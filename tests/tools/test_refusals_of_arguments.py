"""Calls with wrong arguments, on runs that cannot be found or must not be touched."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stagewright.state.ledger import Ledger
from stagewright.state.refusals import Refusal
from stagewright.tools import Workspace

pytestmark = pytest.mark.usefixtures("look_here")

Refused = Callable[..., Refusal]
Call = Callable[..., dict[str, Any]]
DECIDE = {"decision": "adjust", "rationale": "so"}


@pytest.mark.parametrize(
    ("tool", "arguments", "code", "says"),
    [
        ("execute_stage", {"run_id": "x", "wait": 3}, "unknown_argument", "wait: unknown key. Did you mean 'wait_s'?"),
        ("execute_stage", {}, "invalid_argument", "run_id: missing"),
        ("execute_stage", {"run_id": 7}, "invalid_argument", "run_id: got 7; allowed: text"),
        ("execute_stage", {"run_id": "x", "wait_s": -1}, "invalid_argument", "wait_s: got -1"),
        ("execute_stage", {"run_id": "x", "wait_s": 1e9}, "invalid_argument", "wait_s: got 1000000000.0"),
        ("execute_stage", {"run_id": "x", "wait_s": float("nan")}, "invalid_argument", "finite numbers"),
        ("execute_stage", {"run_id": "x", "wait_s": "soon"}, "invalid_argument", "wait_s: got 'soon'"),
        (
            "validate_stage",
            {"run_id": "x", "force": True},
            "unknown_argument",
            "force: unknown key. Allowed: run_id, again",
        ),
        ("decide", {"run_id": "x"}, "invalid_argument", "decision: missing"),
        ("decide", {"run_id": "x", "decision": "skip", "rationale": "y"}, "invalid_argument", "decision: got 'skip'"),
        ("decide", {"run_id": "x", "decision": "stop", "rationale": " "}, "invalid_argument", "rationale: say why"),
        (
            "decide",
            {"run_id": "x", "decision": "stop", "rationale": "y" * 4001},
            "invalid_argument",
            "1 to 4000 characters",
        ),
        ("decide", DECIDE | {"run_id": "x", "adjustments": {"k": 10**30}}, "invalid_argument", "integers below 2**53"),
        ("decide", DECIDE | {"run_id": "x", "adjustments": "k"}, "invalid_argument", "adjustments: got 'k'"),
        ("decide", DECIDE | {"run_id": "x", "adjustments": "{" * 90_000}, "invalid_argument", "adjustments: got '{{{"),
        ("decide", DECIDE | {"run_id": "x", "proposal": -1}, "invalid_argument", "proposal: got -1"),
        ("decide", DECIDE | {"run_id": "x", "adjustments": {"k": [1]}, "proposal": 0}, "invalid_argument", "not both"),
        (
            "decide",
            {"run_id": "x", "decision": "continue", "rationale": "y", "proposal": 0},
            "invalid_argument",
            "go with decision='adjust' only",
        ),
        (
            "decide",
            {"run_id": "x", "decision": "stop", "rationale": "y", "k_by_method": {"fa": 3}},
            "invalid_argument",
            "k_by_method goes with",
        ),
        (
            "read_state",
            {"view": "everything"},
            "invalid_argument",
            "view: got 'everything'; allowed: 'summary', 'runs'",
        ),
        ("read_state", {"cursor": "-1"}, "invalid_argument", "pass next_cursor of the page before"),
        ("read_state", {"limit": 0}, "invalid_argument", "limit: got 0"),
        ("read_state", {"limit": 201}, "invalid_argument", "limit: got 201"),
        ("plan_run", {"spec": 5}, "invalid_argument", "spec: got 5"),
        ("plan_run", {}, "invalid_argument", "spec: missing"),
        ("launch", {}, "invalid_argument", "there is no tool 'launch'; the tools are plan_run, execute_stage"),
        ("execute_stage", {"run_id": "\ud800"}, "invalid_argument", "lone surrogates"),
        ("execute_stage", {"run_id": ""}, "unknown_run", "there is no run ''"),
    ],
    ids=range(28),
)
def test_wrong_arguments(refused: Refused, tool: str, arguments: dict[str, Any], code: str, says: str) -> None:
    """Each fault is told with its place and what is allowed, and the call is recorded all the same."""
    assert says in refused(code, tool, **arguments).message


def test_runs_that_are_not_meant(refused: Refused, plan: Callable[..., str]) -> None:
    """Unknown, ambiguous, or a path: the runs that there are, and the call that lists them."""
    first, second = plan("ok"), plan("second")
    for tool in ("execute_stage", "validate_stage", "read_state"):
        refusal = refused("unknown_run", tool, run_id="20")
        assert first in refusal.message
        assert second in refusal.message
        assert "Next: read_state()" in str(refusal)
    refused("unknown_run", "read_state", run_id="nothing")
    refused("unknown_run", "read_state", run_id=f"../experiments/{first}")


@pytest.fixture
def locked(
    plan: Callable[..., str], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, int]]:
    """Let a child hold a run's lock; give the run and the child's pid. Calls wait for it a moment only."""
    run_id = plan("ok")
    monkeypatch.setitem(Ledger.transition.__wrapped__.__kwdefaults__, "wait_s", 0.2)  # type: ignore[attr-defined]  # of the wrapped generator
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom stagewright.state.lock import run_lock\n"
        "with run_lock(Path(sys.argv[1]), run_id='r'):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-P", "-c", code, str(workspace.run(run_id).lock)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    yield run_id, child.pid
    child.kill()
    child.communicate()


def test_a_locked_run_names_its_holder(locked: tuple[str, int], refused: Refused, call: Call) -> None:
    """Every call that would change the run is refused; reading needs no lock."""
    run_id, pid = locked
    for tool, arguments in {
        "execute_stage": {},
        "validate_stage": {},
        "decide": {"decision": "stop", "rationale": "enough"},
    }.items():
        refusal = refused("run_locked", tool, run_id=run_id, **arguments)
        assert f"pid {pid} on " in refusal.message
        assert "call again" in refusal.message
    assert call("read_state", run_id=run_id)["status"] == "planned"


def test_a_spec_that_was_edited_after_sealing(refused: Refused, plan: Callable[..., str], workspace: Workspace) -> None:
    """The run follows what was sealed: an edited, deleted or replaced spec.yaml stops it until it is restored."""
    run_id = plan("ok")
    path = workspace.run(run_id).spec
    sealed = path.read_text()
    for content in (sealed + "# a comment\n", sealed.replace("hold", "fold"), None):
        if content is None:
            path.unlink()
        else:
            path.write_text(content)
        for tool, arguments in (("execute_stage", {}), ("decide", DECIDE | {"adjustments": {"seeds": [1]}})):
            refusal = refused("sealed", tool, run_id=run_id, **arguments)
            assert f"plan_run(parent_run_id={run_id!r})" in refusal.message


MAY_NOT_BE: list[tuple[dict[str, Any], str, str]] = [
    ({"label": {}}, "sealed", "label cannot be adjusted"),
    ({"cv": {"folds": 2}}, "sealed", "cv cannot be adjusted"),
    ({"gates": {}, "objective": "y", "k": [5]}, "sealed", "gates, objective cannot be adjusted"),
    ({"classifier.cv.folds": 2}, "sealed", "classifier.cv.folds cannot be adjusted"),
    ({"seed": [1]}, "invalid_argument", "seed: unknown key. Did you mean 'seeds'?"),
    ({"seeds": [1, 1]}, "invalid_argument", "each entry may be named once"),
    ({"k": {"pca": [5]}}, "invalid_argument", "k names no list for fa, nmf"),
    ({"alphas": [0]}, "invalid_argument", "alphas"),
    ({"methods": ["umap"]}, "unavailable", "umap is not built into this version"),
    ({"runtime": "8d"}, "over_cap", "runtime: 8d asked, 7d allowed"),
    ({"memory": "2TiB"}, "over_cap", "memory: 2 TiB asked, 1 TiB allowed"),
    ({"retries": 6}, "over_cap", "retries: 6 asked, 5 allowed"),
    ({"workers": 4096}, "over_cap", "workers: 4096 asked"),
]


def test_adjustments_that_may_not_be(plan: Callable[..., str], refused: Refused) -> None:
    """Sealed fields, wrong values, what this version cannot run, and more than the operator allows."""
    run_id = plan("ok")
    for adjustments, code, says in MAY_NOT_BE:
        assert says in refused(code, "decide", run_id=run_id, adjustments=adjustments, **DECIDE).message


def test_an_adjustment_that_changes_nothing(refused: Refused, plan: Callable[..., str]) -> None:
    """A step that is ready as it is needs no decision."""
    run_id = plan("ok")
    for adjustments in ({}, {"seeds": [1, 2, 3]}, {"runtime": "360min"}):
        refusal = refused("not_allowed_now", "decide", run_id=run_id, adjustments=adjustments, **DECIDE)
        assert "change nothing" in refusal.message
        assert "Next: execute_stage(" in str(refusal)
    assert "there are none" in refused("invalid_argument", "decide", run_id=run_id, proposal=0, **DECIDE).message
    known = refused("invalid_argument", "decide", run_id=run_id, k_by_method={"fa": 9}, **DECIDE).message
    assert "Plan 0 has not been executed at this checkpoint" in known


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(refused: Refused, plan: Callable[..., str], workspace: Workspace) -> None:
    """A storage fault is told as one."""
    run_id = plan("ok")
    logs = workspace.run(run_id).path / "logs"
    logs.chmod(0o500)
    try:
        refused("storage", "execute_stage", run_id=run_id)
    finally:
        logs.chmod(0o700)


@pytest.mark.parametrize("name", ["agent_run", "validation"])
def test_a_damaged_run_is_not_gone_on_with(
    call: Call, plan: Callable[..., str], workspace: Workspace, name: str
) -> None:
    """A record that does not hold together is a matter for a person: no call goes on with it, and all say so."""
    run_id = plan("ok")
    run = workspace.run(run_id)
    run.log(name).write_bytes(b"not an entry\n")
    run.snapshot.unlink()
    for tool, arguments in {
        "execute_stage": {},
        "decide": {"decision": "stop", "rationale": "x"},
        "read_state": {},
    }.items():
        with pytest.raises(Refusal) as caught:
            call(tool, run_id=run_id, **arguments)
        assert caught.value.code == "damaged"
        assert f"stagewright verify {run_id}" in caught.value.message
    assert run.log(name).read_bytes() == b"not an entry\n"
    assert not run.snapshot.exists()


def test_a_log_of_calls_that_cannot_take_another(call: Call, plan: Callable[..., str], workspace: Workspace) -> None:
    """A broken end of a log of calls, of the run or of the root, is told as damage and is no crash."""
    run_id = plan("ok")
    for path in (workspace.run(run_id).log("tool_calls"), workspace.root / "experiments" / "tool_calls.log"):
        path.write_bytes(b"not an entry\n")
    for arguments in ({"run_id": run_id}, {}):
        with pytest.raises(Refusal, match="does not hold together") as caught:
            call("read_state", **arguments)
        assert caught.value.code == "damaged"
    with pytest.raises(Refusal, match="unknown_run"):
        call("read_state", run_id="nothing")


def test_a_run_directory_without_logs(call: Call, plan: Callable[..., str], workspace: Workspace) -> None:
    """Deleted logs are damage, not a crash and not a new run."""
    run_id = plan("ok")
    run = workspace.run(run_id).path
    (run / "logs").rename(run / "gone")
    for tool in ("execute_stage", "read_state"):
        with pytest.raises(Refusal) as caught:
            call(tool, run_id=run_id)
        assert caught.value.code == "damaged"
    assert call("read_state")["items"][0]["status"] == "damaged"


def test_every_refused_call_is_recorded(refused: Refused, workspace: Workspace) -> None:
    """With its arguments, also where no log could hold them as they are."""
    refused("unknown_argument", "execute_stage", run_id="x", force=True)
    refused("invalid_argument", "execute_stage", run_id="x", wait_s=float("inf"))
    log = (workspace.root / "experiments" / "tool_calls.log").read_text()
    assert '"arguments": {"force": true, "run_id": "x"}' in log
    assert "\"arguments\": {\"shown\": \"{'run_id': 'x', 'wait_s': inf}\"}" in log
    assert log.count('"refused"') == 2


def test_paths_of_homes_are_not_expanded_for_an_agent(refused: Refused) -> None:
    """A tilde is a character of a name."""
    assert Path("~").expanduser() != Path("~")
    refused("invalid_spec", "plan_run", spec="~/.profile")
