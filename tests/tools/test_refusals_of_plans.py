"""Studies that cannot be planned: every fault is told, and no run directory is made."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stagewright.state.policy import parse_policy
from stagewright.state.refusals import Refusal
from stagewright.tools import Workspace

pytestmark = pytest.mark.usefixtures("look_here")

Refused = Callable[..., Refusal]
Declare = Callable[..., dict[str, Any]]
COHORT = {"path": "cohort.h5ad", "patient": "patient"}
LABEL = {"column": "label", "positive": "malignant", "negative": "normal"}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"patient": "patients"}, "patients"),
        ({"label": LABEL | {"column": "labl"}}, "labl"),
        ({"filters": [{"column": "tech", "keep": ["x"]}]}, "tech"),
        ({"label": LABEL | {"positive": "malign"}}, "malign"),
    ],
    ids=str,
)
def test_an_unknown_column_or_level(refused: Refused, declare: Declare, data: dict[str, Any], says: str) -> None:
    """The name that is not there is given with what is there."""
    refusal = refused("invalid_data", "plan_run", spec=declare("ok", data=COHORT | {"label": LABEL} | data))
    assert repr(says) in refusal.message
    known = "malignant" if says == "malign" else "patient"
    assert known in refusal.message


def test_an_unknown_column_names_the_nearest(refused: Refused, declare: Declare) -> None:
    """A slip of the pen is answered with the word that was meant."""
    data = COHORT | {"patient": "patients", "label": LABEL}
    assert "did you mean 'patient'" in refused("invalid_data", "plan_run", spec=declare("ok", data=data)).message


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"filters": [{"column": "label", "keep": ["normal"]}]}, "every cell is 'normal' and none is 'malignant'"),
        ({"filters": [{"column": "label", "drop": ["normal"]}]}, "every cell is 'malignant' and none is 'normal'"),
        ({"filters": [{"column": "label", "drop": ["normal", "malignant"]}]}, "no cell of the 120 in the file is left"),
        (
            {"label": {"column": "by_patient", "positive": "level0", "negative": "level1"}},
            "no patient has cells of both classes (p0: 30 positive, 0 negative",
        ),
    ],
    ids=str,
)
def test_labels_that_nothing_can_be_learnt_from(
    refused: Refused, declare: Declare, data: dict[str, Any], says: str
) -> None:
    """One class, none, or never both in one patient."""
    data = COHORT | {"label": LABEL} | data
    assert says in refused("invalid_data", "plan_run", spec=declare("ok", data=data)).message


@pytest.mark.parametrize(
    ("cv", "code", "says"),
    [
        ({"folds": 5, "group": "patient"}, "invalid_data", "there are 4; the largest feasible number of folds is 4"),
        ({"folds": 4, "group": "patient"}, "invalid_spec", "Group by a column that varies within a patient"),
        (
            {"folds": 16},
            "invalid_data",
            "no patient has 16 cells of each class; the largest feasible number of folds is 15",
        ),
    ],
    ids=str,
)
def test_folds_that_cannot_be_made(
    refused: Refused, declare: Declare, cv: dict[str, Any], code: str, says: str
) -> None:
    """The largest number that is feasible is given."""
    spec = declare("plan0", "plan1b", classifier={"cv": cv})
    assert says in refused(code, "plan_run", spec=spec).message


def test_files_that_are_no_cohort(refused: Refused, declare: Declare, workspace: Workspace) -> None:
    """Missing, cut short, not HDF5, a folder, without what the spec names."""
    root = workspace.root
    whole = (root / "cohort.h5ad").read_bytes()
    (root / "cut.h5ad").write_bytes(whole[: len(whole) // 2])
    (root / "text.h5ad").write_text("not an h5ad file")
    (root / "empty.h5ad").touch()
    (root / "folder.h5ad").mkdir()
    for name, says in {
        "missing.h5ad": "no such file",
        "cut.h5ad": "cut short",
        "text.h5ad": "not an HDF5 file",
        "empty.h5ad": "not an HDF5 file",
        "folder.h5ad": "is a folder",
    }.items():
        data = {"path": name, "patient": "patient", "label": LABEL}
        refusal = refused("invalid_data", "plan_run", spec=declare("ok", data=data))
        assert name in refusal.message
        assert says in refusal.message, name
    data = COHORT | {"label": LABEL, "counts": "layers/counts"}
    assert (
        "the file has no layers/counts; it has X"
        in refused("invalid_data", "plan_run", spec=declare("ok", data=data)).message
    )


def test_paths_outside_the_root(refused: Refused, declare: Declare, workspace: Workspace, small_cohort: Path) -> None:
    """Absolute, by .., by a link, for the spec and for the data; nothing of such a file is told."""
    root = workspace.root
    outside = root.parent / "outside.yaml"
    outside.write_text("secret: 1")
    (root / "link.yaml").symlink_to(outside)
    (root / "link.h5ad").symlink_to(small_cohort)
    (root / "folder").symlink_to(root.parent)
    for spec in ("../outside.yaml", str(outside), "link.yaml", "folder/outside.yaml", "/etc/passwd", "a/../../x.yaml"):
        refusal = refused("outside_root", "plan_run", spec=spec)
        assert "secret" not in str(refusal)
        assert f"allowed: paths under {root}" in refusal.message
    for path in (str(small_cohort), "link.h5ad", "../x.h5ad", "/etc/passwd", "folder/x.h5ad"):
        data = {"path": path, "patient": "patient", "label": LABEL}
        refused("outside_root", "plan_run", spec=declare("ok", data=data))
    (root / "loop").symlink_to(root / "loop")
    for path in ("loop", "loop/x.h5ad", "a\0b"):
        data = {"path": path, "patient": "patient", "label": LABEL}
        refused("invalid_argument", "plan_run", spec=declare("ok", data=data))
        refused("invalid_argument", "plan_run", spec=path)


def test_a_data_root_of_the_operator_is_allowed(
    call: Callable[..., dict[str, Any]], declare: Declare, workspace: Workspace, small_cohort: Path, policy_text: str
) -> None:
    """What the operator names may be read, and only that."""
    text = f"data_roots = [{str(small_cohort.parent)!r}]\n{policy_text}"
    within = Workspace(root=workspace.root, policy=parse_policy(text, workspace.root))
    data = {"path": str(small_cohort), "patient": "patient", "label": LABEL}
    assert call("plan_run", within=within, spec=declare("ok", data=data), dry_run=True)["n_cells"] == 120


def test_an_executor_whose_package_is_missing_is_said_at_planning(
    refused: Callable[..., Refusal],
    declare: Declare,
    workspace: Workspace,
    policy_text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before any time is spent, naming the extra."""
    text = policy_text + '\n[executor]\nkind = "dask"\nscheduler = "tcp://head:8786"\n'
    within = Workspace(root=workspace.root, policy=parse_policy(text, workspace.root))
    monkeypatch.setattr("stagewright.state.executor.find_spec", lambda _: None)
    refusal = refused("unavailable", "plan_run", within=within, spec=declare("ok"))
    assert "pip install 'stagewright[dask]'" in refusal.message


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"stages": ["oks"]}, "unavailable", "stages[0]: no stage 'oks'; did you mean 'ok'?"),
        ({"stages": ["plan1a"]}, "unavailable", "put plan0 before it"),
        ({"gates": {"budgt": {"at_least": 1}}}, "unavailable", "no such gate; did you mean 'budget'?"),
        ({"gates": {"stability_floor": {"at_most": 1}}}, "unavailable", "no such bound"),
        ({"holdout": {"patients": 0.2}}, "unavailable", "holdout: the command stage ok is given the whole data file"),
        ({"reduction": {"methods": ["umap"]}}, "unavailable", "umap is not built into this version"),
        ({"budget": {"runtime": "8d"}}, "over_cap", "budget.runtime: 8d asked, 7d allowed"),
        ({"budget": {"memory": "2TiB"}}, "over_cap", "budget.memory: 2 TiB asked, 1 TiB allowed"),
        ({"budget": {"retries": 6}}, "over_cap", "budget.retries: 6 asked, 5 allowed"),
        ({"budget": {"workers": 1000}}, "over_cap", "budget.workers: 1000 asked"),
        ({"budget": {"runtime": "9" * 400 + "h"}}, "invalid_spec", "budget.runtime: got"),
        ({"stop": {"failure": [{"metric": "a.b", "below": float("nan")}]}}, "invalid_argument", "finite numbers"),
        ({"checkpoints": {"A": {"cells_per_patient": 10**30}}}, "invalid_argument", "integers below 2**53"),
        ({"objective": "\ud800"}, "invalid_argument", "lone surrogates"),
        ({"objective": "x" * 3000}, "invalid_spec", "allowed: have at most 2000 characters"),
        ({"budgt": {}}, "invalid_spec", "budgt: unknown key. Did you mean 'budget'?"),
    ],
    ids=range(16),
)
def test_specs_that_this_server_does_not_run(
    refused: Refused, declare: Declare, changes: dict[str, Any], code: str, says: str
) -> None:
    """What is asked beyond the version, the caps or the language is told before anything is looked into."""
    assert says in refused(code, "plan_run", spec=declare("ok", **changes)).message


def test_the_cap_on_runs(
    call: Callable[..., dict[str, Any]],
    refused: Refused,
    plan: Callable[..., str],
    workspace: Workspace,
    declare: Declare,
) -> None:
    """One run more than the operator allows is refused; the run that there is can be planned again."""
    run_id = plan("ok")
    one = Workspace(root=workspace.root, policy=workspace.policy.model_copy(update={"caps": capped(workspace)}))
    refusal = refused("over_cap", "plan_run", within=one, spec=declare("second"))
    assert "there are 1 runs under the root" in refusal.message
    assert call("plan_run", within=one, spec=declare("ok"))["run_id"] == run_id


def capped(workspace: Workspace) -> object:
    """Return caps that allow one run."""
    return workspace.policy.caps.model_copy(update={"runs": 1})


def test_an_unknown_parent(refused: Refused, declare: Declare) -> None:
    """A run can only vary one that exists."""
    refused("unknown_run", "plan_run", spec=declare("ok"), parent_run_id="nothing")


def test_a_spec_file_is_refused_with_its_faults(refused: Refused, workspace: Workspace) -> None:
    """As an inline spec is; relative data paths are taken from the file's folder."""
    folder = workspace.root / "studies"
    folder.mkdir()
    (folder / "bad.yaml").write_text("objective: x\nobjective: y\n")
    assert "'objective' is written twice" in refused("invalid_spec", "plan_run", spec="studies/bad.yaml").message
    assert "there is no spec file at" in refused("invalid_spec", "plan_run", spec="studies/none.yaml").message
    assert "there is no spec file at" in refused("invalid_spec", "plan_run", spec="studies").message
    shutil.copy(workspace.root / "cohort.h5ad", folder / "here.h5ad")
    text = "objective: x\ndata: {path: here.h5ad, patient: nobody, label: {column: label, positive: a, negative: b}}\n"
    (folder / "good.yaml").write_text(text + "stages: [ok]\n")
    assert "nobody" in refused("invalid_data", "plan_run", spec="studies/good.yaml").message
