"""Whatever calls are made in whatever order: the state is the fold of the ledger, and the record holds together."""

import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tampered_runs import Runs

from stagewright.state.ledger import Ledger
from stagewright.state.policy import parse_policy
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import list_runs
from stagewright.state.snapshot import snapshot_document, snapshot_text
from stagewright.tools import Caller, Workspace, call_tool, complete
from stagewright.tools.receipt import make_receipt, receipt_faults
from stagewright.tools.verify_root import verify_root_log
from stagewright.tools.verify_run import check_run

CALLS = 14
QUICK_SEEDS, SEEDS = range(2), range(2, 26)
STARTS = ("planned", "blocked", "approved", "stopped", "completed")
"""Statuses that a sequence begins in; what is planned, or opened again, executes a real command."""

Call = tuple[str, dict[str, Any]]


def drawn(rng: random.Random) -> Call:
    """Return a call that may be allowed, refused or nonsense."""
    wait = {"wait_s": 60}
    why = {"rationale": rng.choice(["the gates passed", "enough", "once more"])}
    calls: list[Call] = [
        ("execute_stage", wait),
        ("execute_stage", wait),
        ("validate_stage", {}),
        ("validate_stage", {}),
        ("validate_stage", {"again": True}),
        ("decide", {"decision": "continue", **why}),
        ("decide", {"decision": "continue", **why}),
        ("decide", {"decision": "adjust", **why, "adjustments": {"retries": rng.randrange(3)}}),
        ("decide", {"decision": "adjust", **why, "adjustments": {"gates": {}}}),
        ("decide", {"decision": "adjust", **why, "proposal": rng.randrange(3)}),
        ("decide", {"decision": "stop", "rationale": " "}),
        ("read_state", {"view": rng.choice(["summary", "logs", "gates", "spec", "metrics", "artifacts"])}),
        ("read_state", {"view": "nothing"}),
        ("execute_stage", {"force": True}),
        ("no_such_tool", {}),
    ]
    if rng.random() < 0.04:
        return "decide", {"decision": "stop", **why}
    return rng.choice(calls)


def check(ledger: Ledger) -> None:
    """Assert that state, fold and RUN_STATE.json are one."""
    state, head, last = ledger.fold(), ledger.log.head(), ledger.log.last()
    assert ledger.read() == state
    assert last is not None
    assert ledger.run.snapshot.read_text() == snapshot_text(snapshot_document(state, head, str(last["at"])))


def run_sequence(runs: Runs, root: Path, seed: int) -> Counter[str]:
    """Make random calls on a copy of a run, check after each, and return how often which tool answered or refused."""
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    start = runs.by_status[rng.choice(STARTS)]
    shutil.copytree(start.path, root / "experiments" / start.run_id)
    code = "import json; print('at work'); json.dump({'best.auc': 0.9}, open('metrics.json', 'w'))"
    failing = f"import random, sys; {code}; sys.exit(random.randrange(2))"
    policy = "\n".join(
        f"[commands.{name}]\nargv = {json.dumps(['{python}', '-I', '-S', '-c', words])}\n"
        for name, words in {"ok": code, "crashes": failing}.items()
    )
    shutil.copy(runs.root / "cohort.h5ad", root / "cohort.h5ad")
    workspace = Workspace(root=root, policy=parse_policy(policy, root))
    (run,) = list_runs(root)
    ledger, receipt, came = Ledger(run), make_receipt(run), Counter[str]()
    for _ in range(CALLS):
        tool, arguments = drawn(rng)
        given = arguments if rng.random() < 0.05 else {"run_id": run.run_id, **arguments}
        before = run.log("agent_run").read_bytes()
        try:
            complete(call_tool(workspace, tool, given, Caller(client="tests")))
            came[f"{tool} answered"] += 1
        except Refusal:
            came[f"{tool} refused"] += 1
            assert run.log("agent_run").read_bytes() == before, "a refused call changes nothing"
        check(ledger)
    checked = check_run(run)
    assert checked.problems == []
    assert [*receipt_faults(receipt, run, checked.record, checked.outcomes)] == [], "the record only grows"
    assert not verify_root_log(root)
    return came


@pytest.mark.parametrize("seed", QUICK_SEEDS)
def test_a_random_sequence_of_calls(runs: Runs, tmp_path: Path, seed: int) -> None:
    """Some calls are answered and some refused; after each of them the record is one."""
    came = run_sequence(runs, tmp_path, seed)
    assert came.total() == CALLS


@pytest.mark.slow
@pytest.mark.parted
@pytest.mark.parametrize("seed", SEEDS)
def test_many_random_sequences_of_calls(runs: Runs, tmp_path: Path, seed: int) -> None:
    """The same for more of them."""
    run_sequence(runs, tmp_path, seed)
