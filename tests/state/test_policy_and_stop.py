"""The operator's policy, the plan for people, and the stop criteria."""

from pathlib import Path

import pytest

from stagewright.state.executor import ExecutorChoice
from stagewright.state.plan import plan_document, plan_steps
from stagewright.state.policy import Policy, parse_policy
from stagewright.state.records import Limits, Verdict
from stagewright.state.refusals import Refusal
from stagewright.state.spec import GoalSpec, parse_spec
from stagewright.state.stop_criteria import recommend

SPEC = """
objective: What separates?
data: {path: a.h5ad, patient: p, label: {column: c, positive: x, negative: y}}
stages: [plan0, report]
stop: {success: [{metric: s.auc, at_least: 0.8}, {metric: s.n, above: 3}], failure: [{metric: s.auc, below: 0.55}]}
approvals: [C]
"""


@pytest.fixture
def spec() -> GoalSpec:
    """Return a study with criteria."""
    return parse_spec(SPEC)


def test_no_policy_means_safe_defaults() -> None:
    """No data roots, no commands, and caps."""
    policy = parse_policy("", Path("/root"))
    assert policy == Policy()
    assert (policy.data_roots, policy.commands, policy.caps.runtime) == ((), {}, 7 * 86400.0)


def test_a_policy_is_read_whole(tmp_path: Path) -> None:
    """Relative data roots are the policy file's neighbours, with links resolved."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    text = """
data_roots = ["link", "/elsewhere"]
[caps]
runtime = "2h"
memory = "8GiB"
workers = 3
retries = 1
runs = 7
[commands.report]
argv = ["{python}", "report.py", "{output_dir}"]
why = "a table for the clinic"
"""
    policy = parse_policy(text, tmp_path)
    assert policy.data_roots == ((tmp_path / "real").resolve(), Path("/elsewhere"))
    assert (policy.caps.runtime, policy.caps.memory, policy.caps.workers) == (7200.0, 2**33, 3)
    assert policy.commands["report"].argv[1] == "report.py"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("caps = ", "is not TOML"),
        ("data_root = []", "data_root: unknown key. Did you mean 'data_roots'?"),
        ('[caps]\nruntim = "2h"', "caps.runtim: unknown key. Did you mean 'runtime'?"),
        ("[caps]\nruntime = 2", "caps.runtime: got 2; write a duration with its unit"),
        ("[commands.x]\nargv = []", "commands.x.argv: got []"),
        ('[commands.x]\nargv = ["a"]\nshell = true', "commands.x.shell: unknown key"),
        ('[executor]\nkind = "dask"', "needs scheduler = 'tcp://host:port'"),
        ('[executor]\nkind = "slurm"', "executor.kind: got 'slurm'"),
        ('[executor]\nscheduler = "tcp://a:1"', "are for kind = 'dask'"),
        ('[executor]\nkind = "dask"\nscheduler = "a:1"', "executor.scheduler: got 'a:1'"),
        ('[executor]\nkind = "dask"\nscheduler = "tls://a:1"', "needs the table [executor.tls]"),
        ('[commands."Bad Name"]\nargv = ["a"]', "match pattern"),
    ],
)
def test_a_wrong_policy_is_refused_with_its_place(text: str, says: str) -> None:
    """An operator's slip must not become a default."""
    with pytest.raises(Refusal) as caught:
        parse_policy(text, Path("/root"))
    assert says in str(caught.value)


def test_the_operator_chooses_the_executor(tmp_path: Path) -> None:
    """Local without a word; a cluster by its address, with paths from the policy's folder; and a request keeps it."""
    assert parse_policy("", tmp_path).executor.said == "local"
    text = """
[executor]
kind = "dask"
scheduler = "tls://head:8786"
scratch = "scratch"
wait = "10min"
[executor.tls]
ca = "tls/ca.pem"
certificate = "tls/cert.pem"
key = "/secret/key.pem"
"""
    choice = parse_policy(text, tmp_path).executor
    assert choice.said == "dask at tls://head:8786"
    assert (choice.scratch, choice.wait) == (tmp_path / "scratch", 600.0)
    assert choice.tls is not None
    assert (choice.tls.ca, choice.tls.key) == (tmp_path / "tls/ca.pem", Path("/secret/key.pem"))
    assert ExecutorChoice.model_validate_json(choice.model_dump_json()) == choice


def test_an_agent_cannot_choose_the_executor() -> None:
    """A spec has no such key."""
    with pytest.raises(Refusal, match="executor: unknown key"):
        parse_spec(SPEC + "executor: {kind: dask}")


def test_the_steps_of_a_study(spec: GoalSpec) -> None:
    """Every stage at A, then B, then C."""
    assert plan_steps(spec) == ("A/plan0", "A/report", "B/plan0", "B/report", "C/plan0", "C/report")


def test_the_plan_tells_a_person_what_will_run(spec: GoalSpec) -> None:
    """Objective, budget, scale of each checkpoint, units of each step, criteria, approvals, warnings."""
    limits = Limits(runtime_s=7200, memory_bytes=2**33, retries=2)
    units = dict.fromkeys(plan_steps(spec), 4)
    text = plan_document("the_run", spec, limits, units, ["p3 has one class"])
    for said in (
        "# Plan of the_run",
        "What separates?",
        "2h of run time, 8 GiB of memory, 2 retries",
        "## Checkpoint A - smoke",
        "at most 100 cells per patient",
        "pca K 20, 40; fa K 20, 40",
        "## Checkpoint C",
        "all cells",
        "| C/report | 4 |",
        "Success, judged from checkpoint B on: s.auc >= 0.8",
        "Failure, judged from checkpoint B on: s.auc < 0.55",
        "A person approves before checkpoint C",
        "- p3 has one class",
    ):
        assert said in text, said


@pytest.mark.parametrize(
    ("checkpoint", "verdict", "metrics", "decision", "why"),
    [
        ("B", "pass", {"s.auc": 0.7}, "continue", "leads to the next step"),
        ("B", "warn", {}, "continue", "verdict is warn"),
        ("B", "pass", {"s.auc": 0.54}, "stop", "failure criterion met: s.auc < 0.55 (measured 0.54)"),
        ("A", "pass", {"s.auc": 0.54}, "continue", "leads to the next step"),
        ("B", "pass", {"s.auc": 0.55}, "continue", "leads to the next step"),
        ("B", "fail", {"s.auc": 0.54}, "adjust", "continue is refused"),
        ("B", "error", {}, "adjust", "continue is refused"),
        ("C", "pass", {"s.auc": 0.8, "s.n": 4}, "continue", "every success criterion holds"),
        ("C", "pass", {"s.auc": 0.8, "s.n": 3}, "continue", "leads to the next step"),
        ("C", "pass", {"s.auc": 0.9}, "continue", "leads to the next step"),
    ],
)
def test_what_code_recommends(
    spec: GoalSpec, checkpoint: str, verdict: Verdict, metrics: dict[str, float], decision: str, why: str
) -> None:
    """Failure criteria stop from B on; a fail is adjusted; success needs every criterion measured and met."""
    said = recommend(spec.stop, metrics, verdict, checkpoint=checkpoint, last_step=False)
    assert said[0] == decision
    assert why in said[1]


def test_the_last_step_completes_the_run(spec: GoalSpec) -> None:
    """The recommendation says where continue leads."""
    assert "completes the run" in recommend(spec.stop, {}, "pass", checkpoint="C", last_step=True)[1]
