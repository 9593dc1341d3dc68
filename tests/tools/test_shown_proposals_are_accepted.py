"""Whatever failed, wherever: every proposal that is shown is one that `decide` takes."""

import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagewright.stages.failure import Failure
from stagewright.stages.failure_table import FAILURES
from stagewright.stages.handlers import FailedCase, propose
from stagewright.state.policy import Caps, Policy
from stagewright.state.records import (
    ArtifactSeal,
    Blocked,
    FailureKind,
    Limits,
    Proposal,
    Resources,
    SealedData,
)
from stagewright.state.run_state import RunState, SealedStep
from stagewright.state.spec import Adjustments, GoalSpec, parse_spec
from stagewright.state.spec.adjustments import compare
from stagewright.state.step_request import CommandStage
from stagewright.tools.blocked_view import shown_blocked
from stagewright.tools.decision_rules import Asked
from stagewright.tools.workspace import Workspace

SHA = "0" * 64
METHODS = ("pca", "fa", "nmf")
LEAVES_RESULTS = {"workers", "runtime", "memory", "retries"}
ENTRIES = (
    {"method": "hvg", "n_top_genes": 400},
    {"method": "hvg", "n_top_genes": 40},
    {"method": "all_filtered", "min_cells_fraction": 0.05},
    {"method": "all_filtered", "enrichment_ratio": 5},
)
ERRORS = (
    "ValueError: K = 40 principal components do not exist in this matrix; the largest allowed K is 12. Lower K.",
    "ValueError: k is 40; factor analysis of 9 cells and 12 varying genes takes 1 to 1.",
    "ModuleNotFoundError: No module named 'skmisc'",
    "CohortMismatch: column 'label' has no level 'a'; its levels are: b",
    "PermissionError: [Errno 13] Permission denied: '/data/cohort.h5ad'",
    "something else",
)


@st.composite
def studies(draw: st.DrawFn) -> GoalSpec:
    """Draw a goal spec: stages, grids, budget, scales, now and then a criterion that names a configuration."""
    methods = draw(st.lists(st.sampled_from(METHODS), min_size=1, unique=True))
    ks = st.lists(st.sampled_from([2, 5, 10, 20, 40, 60]), min_size=1, max_size=4, unique=True)
    preprocess = draw(st.lists(st.sampled_from(ENTRIES), min_size=1, unique_by=str))
    stages = draw(st.sampled_from([["plan0"], ["plan0", "plan1a"], ["plan0", "plan1b"], ["plan0", "plan1a", "plan1b"]]))
    spec: dict[str, Any] = {
        "objective": "x",
        "data": {"path": "x.h5ad", "patient": "p", "label": {"column": "l", "positive": "a", "negative": "b"}},
        "stages": [*stages, *draw(st.sampled_from([[], ["script"]]))],
        "preprocess": preprocess,
        "reduction": {"methods": methods, "k": draw(st.one_of(ks, st.fixed_dictionaries(dict.fromkeys(methods, ks))))},
        "budget": {"runtime": "1h", "memory": "4GiB", "workers": draw(st.sampled_from([1, 2, 4]))},
        "checkpoints": draw(st.sampled_from([{}, {"B": {"cells_per_patient": None}}, {"A": {"n_k": 1}}])),
    }
    spec["reduction"] = {**spec["reduction"], "seeds": draw(st.sampled_from([[1], [1, 2, 3], [1, 2, 3, 4, 5]]))}
    if draw(st.booleans()):
        spec["reference"] = draw(st.sampled_from(ENTRIES))
    if draw(st.booleans()):
        spec["stop"] = {"failure": [{"metric": f"plan0.{methods[0]}.explained", "below": 0.1}]}
    return parse_spec(spec)


@st.composite
def blocked(draw: st.DrawFn) -> tuple[Workspace, RunState, GoalSpec, FailedCase]:
    """Draw a step of a study that failed, in any way, under an operator's caps."""
    declared = draw(studies())
    steps = tuple(f"{checkpoint}/{stage}" for checkpoint in "ABC" for stage in declared.stages)
    position = draw(st.integers(0, len(steps) - 1))
    earlier = Adjustments.model_validate(
        draw(st.sampled_from([{}, {"seeds": [7, 8, 9]}, {"memory": "5GiB"}, {"cells_per_patient": {"C": 500}}]))
    )
    spec = earlier.applied_to(declared)
    kind = draw(st.sampled_from(get_args(FailureKind)))
    methods = spec.reduction.methods
    method = draw(st.sampled_from((None, *methods)))
    checkpoint, stage = steps[position].split("/")
    swept = f"{checkpoint}/plan0" in steps[:position]
    chosen = {name: draw(st.sampled_from(spec.reduction.ks(name))) for name in methods} if swept else {}
    k = None if method is None else chosen.get(method, draw(st.sampled_from(spec.reduction.ks(method))))
    known = [(60, 500, 9_000), (50_000, 20_000, 10**8), (900, 3_000, None), (0, 500, 0)]
    sizes = draw(st.sampled_from([(None, None, None), *known]))
    failure = Failure(
        error=draw(st.sampled_from(ERRORS)),
        kind=kind,
        unit=method and f"{method}/k_{k}",
        method=method,
        k=k,
        preprocess=None if stage == "plan0" else draw(st.sampled_from([None, *(one.tag for one in spec.preprocess)])),
        n_cells=sizes[0],
        n_genes=sizes[1],
        n_nonzero=sizes[2],
    )
    seal = ArtifactSeal(outcome="o", outcome_sha256=SHA, count=1, bytes=1)
    sealed = SealedStep(attempt=1, artifacts=seal, metrics={}, elapsed_s=1, peak_rss_bytes=1, verdict="pass")
    limits = Limits(runtime_s=declared.budget.runtime, memory_bytes=declared.budget.memory, retries=2)
    caps = Caps.model_validate(
        {
            "runtime": draw(st.sampled_from(["1h", "90min", "1d"])),
            "memory": draw(st.sampled_from(["5GiB", "1TiB"])),
            "workers": 4,
        }
    )
    state = RunState(
        run_id="run",
        objective="x",
        parent_run_id=None,
        spec_sha256=SHA,
        spec_digest=SHA,
        data=SealedData(path="/data/x.h5ad", bytes=1, sha256=SHA),
        limits=limits,
        approvals=(),
        steps=steps,
        position=position,
        status="running",
        attempt=position + 1,
        adjustments=earlier,
        sealed=dict.fromkeys(steps[:position], sealed),
        k_by_method=chosen,
        k_shortlist={name: spec.reduction.ks(name)[:3] for name in methods if name in chosen},
        runtime_used_s=draw(st.sampled_from([0.0, 3_000.0])),
    )
    used = Resources(
        elapsed_s=draw(st.sampled_from([10.0, 599.0, 700.0])),
        peak_rss_bytes=draw(st.sampled_from([2**28, 4 * 2**30 + 1])),
        runtime_left_s=600,
        memory_limit_bytes=4 * 2**30,
        memory_available_bytes=draw(st.sampled_from([2**30, 2**40])),
        disk_free_bytes=2**20,
    )
    case = FailedCase(
        failure=failure,
        state=state,
        spec=spec,
        workers=draw(st.sampled_from([1, 2, 4])),
        limits=state.effective_limits,
        caps=Limits(runtime_s=caps.runtime, memory_bytes=caps.memory, retries=caps.retries),
        resources=draw(st.sampled_from([None, used])),
    )
    commands = {"script": CommandStage(argv=("true",))}
    return Workspace(root=Path("/nowhere"), policy=Policy(caps=caps, commands=commands)), state, declared, case


@pytest.mark.slow
@given(blocked())
@settings(max_examples=400, deadline=None)
def test_every_shown_proposal_is_accepted(drawn: tuple[Workspace, RunState, GoalSpec, FailedCase]) -> None:
    """By the rules of `decide` itself; what is harmless comes first, what cannot help is left out, and all is short."""
    workspace, state, declared, case = drawn
    proposals = propose(case)
    assert len(proposals) <= 5
    shown = Blocked(error=case.failure.error, kind=case.failure.kind, proposals=proposals)
    at = state.model_copy(update={"status": "blocked", "blocked": shown})
    decide = sys.modules["stagewright.tools.decide"]
    for number, proposal in enumerate(proposals):
        asked = Asked("adjust", "because", None, number, None)
        event = decide._event(workspace, at, declared, asked, None)
        assert event.proposal == proposal
        assert event.k_by_method == proposal.k_by_method
        assert proposal.handler
    assert_order(case, proposals)
    assert_useful(case, proposals)
    assert len(shown_blocked(shown).model_dump_json(exclude_none=True)) < 3_000


def assert_order(case: FailedCase, proposals: tuple[Proposal, ...]) -> None:
    """Assert that nothing that changes results stands before something that does not."""
    changes = [changes_results(case.spec, one) for one in proposals if one.handler != "open_again"]
    assert changes == sorted(changes)


def changes_results(spec: GoalSpec, proposal: Proposal) -> bool:
    """Return whether more than workers and budgets differ with a proposal."""
    after = Adjustments.model_validate(proposal.adjustments).applied_to(spec)
    return bool(proposal.k_by_method) or not {item.field for item in compare(spec, after)} <= LEAVES_RESULTS


def assert_useful(case: FailedCase, proposals: tuple[Proposal, ...]) -> None:
    """Assert that a permanent failure is not simply tried again, and that a short budget is met."""
    kind = case.failure.kind
    same = [one for one in proposals if not one.adjustments and not one.k_by_method and one.first is None]
    assert not same or FAILURES[kind].transient
    if kind == "runtime_budget":
        assert all("runtime" in one.adjustments for one in proposals)
    elif kind != "memory_budget":
        assert proposals or case.runtime_used_s >= case.limits.runtime_s
    if kind in ("memory_budget", "out_of_memory"):
        for one in proposals:
            limit = Adjustments.model_validate(one.adjustments).memory or case.limits.memory_bytes
            assert one.estimated_memory_bytes is None or one.first or one.estimated_memory_bytes <= limit
