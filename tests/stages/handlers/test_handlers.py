"""What each failure is answered with: the smallest change first, in words that a person can act on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stagewright.stages.failure import Failure
from stagewright.stages.handlers import FailedCase, propose
from stagewright.state.attempts import WORKER_LOG
from stagewright.state.records import FailureKind, Limits, Proposal
from stagewright.state.spec import GoalSpec, parse_spec

MakeCase = Callable[..., FailedCase]
UNIT = Failure(error="LinAlgError: singular", kind="numerical", unit="fa/k_60/seed_1", method="fa", k=60)


def handlers(proposals: tuple[Proposal, ...]) -> list[str]:
    """Return who proposed, in the order shown."""
    return [one.handler for one in proposals]


def with_k(spec: GoalSpec, k: list[int]) -> GoalSpec:
    """Return a study with another K list."""
    plain = spec.model_dump(mode="json", exclude_unset=True)
    return parse_spec(plain | {"reduction": plain["reduction"] | {"k": k}})


def test_one_k_is_less_than_a_method(case: MakeCase) -> None:
    """A fit that fails for good: without its K, then without its method; as it is, it would fail again."""
    first, second = propose(case(UNIT))
    ks = [20, 40, 60]
    assert first.adjustments == {"k": {"pca": ks, "fa": [20, 40], "nmf": ks}}
    assert first.what == "leave out K=60 for fa"
    assert second.adjustments == {"methods": ["pca", "nmf"]}


def test_a_k_above_the_rank_is_lowered_to_what_the_error_names(case: MakeCase) -> None:
    """On the smoke test's few cells K=40 does not exist: half of 33 is safe, and K=60 is left to later checkpoints."""
    error = "ValueError: K = 40 principal components do not exist in this matrix; the largest allowed K is 33."
    failure = Failure(error=error, kind="spec", unit="pca/k_20", method="pca", k=20)  # one decomposition for both K
    first, second, *_ = propose(case(failure, "A/plan0"))
    assert first.adjustments["k"] == {"pca": [16, 20, 60], "fa": [20, 40, 60], "nmf": [20, 40, 60]}
    assert first.what == (
        "lower K=40 for pca to 16, half of the largest (33) that the cells and genes of checkpoint A carry"
    )
    # Without 40 the two smallest would be 20 and 60, so 60 has to go with it.
    assert second.adjustments["k"] == {"pca": [20], "fa": [20, 40, 60], "nmf": [20, 40, 60]}
    assert second.what == "leave out K=40, 60 for pca"


def test_no_k_is_proposed_that_the_data_cannot_have(case: MakeCase) -> None:
    """Where fewer than three components exist, no K can be lowered, and another K would fail in the same way."""
    error = "ValueError: k is 20; NMF of 1 cells and 1 genes takes 1 to 1."
    failure = Failure(error=error, kind="spec", unit="nmf/k_20", method="nmf", k=20)
    assert handlers(propose(case(failure, "A/plan0"))) == ["leave_out_method"]


def test_plan1_takes_another_k_of_the_shortlist(case: MakeCase) -> None:
    """Later stages have the K that Plan 0 chose: a shorter list would change nothing there, another choice does."""
    failure = UNIT.model_copy(update={"k": 20, "preprocess": "hvg_2000"})
    first, second, third = propose(case(failure, "B/plan1a"))
    assert (first.adjustments, first.k_by_method) == ({}, {"fa": 40})
    assert second.what == "leave out the preprocess hvg_2000"
    assert third.what == "leave out fa"
    assert "leave_out_k" not in handlers(propose(case(failure, "B/plan1b")))


def test_a_preprocess_that_plan0_stood_on_leaves_its_reference(case: MakeCase) -> None:
    """Leaving out the first preprocess at Plan 1 is accepted although an unsaid reference is that very one."""
    declared = case(UNIT).spec.model_copy(update={"reference": None})
    failure = Failure(error="ValueError: x", kind="spec", unit="hvg_2000", preprocess="hvg_2000")
    assert handlers(propose(case(failure, "B/plan1a", declared))) == ["leave_out_preprocess"]


@pytest.mark.parametrize("kind", ["memory_budget", "out_of_memory"])
def test_memory_first_by_what_changes_no_result(case: MakeCase, kind: FailureKind) -> None:
    """Fewer workers, then more memory; then less of the study."""
    proposals = propose(case(Failure(error="x", kind=kind)))
    assert handlers(proposals)[:3] == ["fewer_workers", "fewer_workers", "more_memory"]
    assert [one.adjustments for one in proposals[:3]] == [{"workers": 3}, {"workers": 2}, {"memory": f"{16 * 2**30}B"}]
    assert set(handlers(proposals)[3:]) == {"smaller_sweep", "fewer_cells"}


def test_memory_that_would_not_be_enough_is_not_shown(case: MakeCase) -> None:
    """With known sizes three workers still need too much, and two are enough; the estimate is told."""
    failure = Failure(error="x", kind="memory_budget", n_cells=60_000, n_genes=25_000, n_nonzero=10**8)
    first = propose(case(failure))[0]
    assert first.adjustments == {"workers": 2}
    assert first.estimated_memory_bytes is not None
    assert first.estimated_memory_bytes < 0.9 * 8 * 2**30
    assert "GiB at its peak" in first.what


def test_no_more_memory_than_there_is(case: MakeCase) -> None:
    """Neither above the operator's cap nor above what the machine has free."""
    caps = Limits(runtime_s=9e9, memory_bytes=10 * 2**30, retries=5)
    failure = Failure(error="x", kind="memory_budget")
    capped = [one.adjustments for one in propose(case(failure, caps=caps, workers=1)) if one.handler == "more_memory"]
    assert capped == [{"memory": f"{10 * 2**30}B"}]
    full = propose(case(failure, workers=1, memory_available_bytes=2**30))
    assert "more_memory" not in handlers(full)


def test_an_operators_command_is_one_unit(case: MakeCase) -> None:
    """How many of our units run side by side changes nothing for it: more memory comes first."""
    plain = case(UNIT).spec.model_dump(mode="json", exclude_unset=True)
    declared = parse_spec({**plain, "stages": ["script"]})
    failure = Failure(error="x", kind="memory_budget", unit="script")
    assert handlers(propose(case(failure, "A/script", declared))) == ["more_memory"]


def test_cells_change_only_before_a_checkpoint_has_begun(case: MakeCase) -> None:
    """At Plan 1 its Plan 0 is sealed on the cells as they are."""
    failure = Failure(error="x", kind="memory_budget")
    at_plan0 = [one.adjustments for one in propose(case(failure, "B/plan0", workers=1))]
    assert {"cells_per_patient": {"B": 500}} in at_plan0
    assert "fewer_cells" not in handlers(propose(case(failure, "B/plan1a", workers=1)))


def test_cells_stay_enough_for_the_folds(case: MakeCase) -> None:
    """A quarter of a draw may be the smaller class, and every fold needs one of it: 25 cells and 5 folds do not go."""
    proposals = propose(case(Failure(error="x", kind="memory_budget"), "A/plan0", workers=1))
    cells = [one.adjustments["cells_per_patient"] for one in proposals if one.handler == "fewer_cells"]
    assert cells == [{"A": 50}, {"A": 25}]
    plain = case(UNIT).spec.model_dump(mode="json", exclude_unset=True)
    ten = parse_spec({**plain, "classifier": {"cv": {"folds": 10}}})
    proposals = propose(case(Failure(error="x", kind="memory_budget"), "A/plan0", ten, workers=1))
    assert [one.adjustments["cells_per_patient"] for one in proposals if one.handler == "fewer_cells"] == [{"A": 50}]


def test_run_time_that_is_used_up(case: MakeCase) -> None:
    """More time, within the cap; with less to do it asks for less of it, and for none it asks in vain."""
    failure = Failure(error="x", kind="runtime_budget")
    proposals = propose(case(failure, elapsed_s=3600.5))
    assert proposals[0].adjustments == {"runtime": "7260s"}
    assert {"seeds": [1, 2, 3], "runtime": "5460s"} in [one.adjustments for one in proposals]
    assert all("runtime" in one.adjustments for one in proposals)
    caps = Limits(runtime_s=3600, memory_bytes=2**40, retries=5)
    assert propose(case(failure, elapsed_s=3600.5, caps=caps)) == ()


@pytest.mark.parametrize("kind", ["killed", "lost", "storage", "environment"])
def test_what_may_pass_is_tried_again(case: MakeCase, kind: FailureKind) -> None:
    """As it is; and where another process may have been too many, with one worker less."""
    proposals = propose(case(Failure(error="x", kind=kind)))
    assert (proposals[0].handler, proposals[0].adjustments, proposals[0].first) == ("try_again", {}, None)
    assert ("fewer_workers" in handlers(proposals)) == (kind != "storage")


@pytest.mark.parametrize(
    ("kind", "error", "handler", "first"),
    [
        ("disk_full", "OSError: [Errno 28] No space left", "free_space", "run directory (3 MiB are free)"),
        ("permission", "PermissionError: [Errno 13] Permission denied: '/data/x'", "mend_permission", "write /data/x"),
        ("permission", "CohortUnreadable: /d/x.h5ad: may not be read", "mend_permission", "write /d/x.h5ad"),
        ("package", "ModuleNotFoundError: No module named 'skmisc'", "install_package", "pip install scikit-misc"),
        ("package", "ModuleNotFoundError: No module named 'hypothesis'", "install_package", "'stagewright[dev]'"),
        ("package", "ImportError: libx.so", "install_package", "repair the installation"),
        ("data", "CohortMismatch: obs has no column 'label'", "mend_data", "obs column 'label' of /data/cohort.h5ad"),
        ("data", "CohortMismatch: column 'label' has no level 'a'; its", "mend_data", "which has no level 'a'"),
        ("data", "CountsUnusable: 3 of 9 stored counts are not whole", "mend_data", "the counts in X of /data/cohort"),
        ("data", "CohortUnreadable: /data/cohort.h5ad: is cut short", "mend_data", "put back the file that was sealed"),
        ("scheduler_unreachable", "SchedulerUnreachable: x", "mend_cluster", "start the cluster's scheduler"),
        ("worker_lost", "WorkerLost: x", "mend_cluster", "workers with more memory each"),
        ("cluster_unfit", "ClusterUnfit: x", "mend_cluster", "the environment of this server"),
        ("output_limit", "it printed more", "print_less", "caps.output"),
        ("bug", "RuntimeError: never", "open_again", "report it with traceback.txt"),
        ("spec", "ValueError: no", "open_again", "mend what the error names"),
    ],
)
def test_what_a_person_has_to_do_first(case: MakeCase, kind: FailureKind, error: str, handler: str, first: str) -> None:
    """Nothing of the study changes, and the proposal names what to mend and where."""
    (only,) = propose(case(Failure(error=error, kind=kind), "A/plan1a"))
    assert (only.handler, only.adjustments) == (handler, {})
    assert only.first is not None
    assert first in only.first


def test_a_command_is_answered_with_its_last_line(case: MakeCase, tmp_path: Path) -> None:
    """Only its author knows what went wrong, and the last line says most of it."""
    (tmp_path / WORKER_LOG).write_text("reading\nthere is no such gene\n\n")
    (only,) = propose(case(Failure(error="x", kind="command"), folder=tmp_path))
    assert only.first == "have the command behind plan0 mended (its last line: there is no such gene)"


def test_patients_are_counted_in_what_plan0_listed(case: MakeCase, tmp_path: Path) -> None:
    """At C all cells are taken: half of them, by the patients that the smoke test has seen."""
    cells = tmp_path / "A" / "analysis" / "plan0"
    cells.mkdir(parents=True)
    (cells / "cells.csv").write_text("cell,patient\na,p1\nb,p2\nc,p1\n")
    folder = tmp_path / "attempts" / "0007_C_plan0"
    folder.mkdir(parents=True)
    failure = Failure(error="x", kind="memory_budget", n_cells=20_000, n_genes=5_000, n_nonzero=3 * 10**8)
    proposals = propose(case(failure, workers=1, folder=folder))
    (half,) = [one for one in proposals if one.adjustments == {"cells_per_patient": {"C": 5000}}]
    assert half.estimated_memory_bytes is not None
    assert half.estimated_memory_bytes < 0.7 * 8 * 2**30
