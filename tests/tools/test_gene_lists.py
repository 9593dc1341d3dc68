"""Gene lists of a spec: looked into at planning, sealed with the run, and never read from elsewhere again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stagewright.state.canonical import digest_file
from stagewright.state.refusals import Refusal
from stagewright.tools import Workspace
from stagewright.tools.verify_run import verify_run

pytestmark = pytest.mark.usefixtures("look_here")

Call = Callable[..., dict[str, Any]]
Refused = Callable[..., Refusal]
Declare = Callable[..., dict[str, Any]]
LIST = {"method": "gene_list", "path": "sets.gmt"}
GMT = "one\tna\tgene1\tgene2\tGATA1\ntwo\tna\tgene5\nelse\tna\tENSG1\n"


def _written(workspace: Workspace, content: str = GMT) -> Path:
    path = workspace.root / "sets.gmt"
    path.write_text(content, encoding="utf-8")
    return path


def test_a_list_is_sealed_with_its_content(workspace: Workspace, call: Call, declare: Declare) -> None:
    """The run keeps a copy, the manifest its digest; genes that the data lack are warned of; verify looks."""
    path = _written(workspace)
    reply = call("plan_run", spec=declare("plan0", preprocess=[LIST]))
    assert any("the data have 3 of the 5 genes of the list" in warning for warning in reply["warnings"])
    run = Path(reply["run_dir"])
    digest = digest_file(path)
    copy = run / "gene_lists" / f"{digest}.gmt"
    assert copy.read_text() == GMT
    manifest = yaml.safe_load((run / "run_manifest.yaml").read_text())
    assert manifest["data"]["gene_lists"] == {"sets.gmt": digest}
    assert manifest["params"]["normalisation"] == {"method": "log1p", "target_sum": 10000.0}
    assert verify_run(workspace.run(reply["run_id"])) == []
    copy.write_text(GMT + "three\tna\tgene9\n")
    (problem,) = verify_run(workspace.run(reply["run_id"]))
    assert problem.file == f"gene_lists/{digest}.gmt"


def test_another_content_is_another_study(workspace: Workspace, call: Call, declare: Declare) -> None:
    """The same spec is the same run as long as its list is; a changed list is a new one."""
    _written(workspace)
    spec = declare("plan0", preprocess=[LIST])
    first = call("plan_run", spec=spec)
    assert call("plan_run", spec=spec)["run_id"] == first["run_id"]
    _written(workspace, GMT + "three\tna\tgene9\n")
    assert call("plan_run", spec=spec)["spec_digest"] != first["spec_digest"]


@pytest.mark.parametrize(
    ("entry", "content", "says"),
    [
        (LIST, None, "preprocess[0]: sets.gmt cannot be used as a gene list: No such file"),
        (LIST, "gene1\ngene2\n", "line 1 of the GMT file has no gene"),
        (LIST | {"sets": ["three"]}, GMT, "no set 'three' in the file; it has 3: one, two, else"),
        (LIST | {"sets": ["else"]}, GMT, "the data have none of the 1 genes of sets.gmt (e.g. ENSG1)"),
    ],
    ids=["no file", "no GMT", "no such set", "no gene of the data"],
)
def test_a_list_that_cannot_be_used_is_refused(
    workspace: Workspace, refused: Refused, declare: Declare, entry: dict[str, Any], content: str | None, says: str
) -> None:
    """Before any time is spent, with the place in the spec."""
    if content is not None:
        _written(workspace, content)
    assert says in refused("invalid_data", "plan_run", spec=declare("plan0", preprocess=[entry])).message


def test_a_list_elsewhere_is_not_read(refused: Refused, declare: Declare, tmp_path: Path) -> None:
    """An agent's spec reads under the root and the operator's data roots only, links resolved."""
    outside = tmp_path / "outside.gmt"
    outside.write_text(GMT)
    spec = declare("plan0", preprocess=[LIST | {"path": str(outside)}])
    assert "preprocess[0].path" in refused("outside_root", "plan_run", spec=spec).message


def test_no_list_comes_in_by_an_adjustment(
    workspace: Workspace, call: Call, refused: Refused, declare: Declare
) -> None:
    """What was not sealed at planning is a new run."""
    _written(workspace)
    (workspace.root / "other.gmt").write_text(GMT)
    run_id = call("plan_run", spec=declare("plan0", preprocess=[LIST]))["run_id"]
    change = {"preprocess": [LIST | {"path": "other.gmt"}]}
    refusal = refused(
        "not_allowed_now", "decide", run_id=run_id, decision="adjust", rationale="another list", adjustments=change
    )
    assert "other.gmt was not sealed when the run was planned" in refusal.message


def test_methods_that_take_no_negative_values_do_not_go_with_residuals(refused: Refused, declare: Declare) -> None:
    """The reason and both ways out are told when the run is planned."""
    spec = declare("plan0", normalisation={"method": "pearson_residuals"}, reduction={"methods": ["pca", "nmf"]})
    message = refused("unavailable", "plan_run", spec=spec).message
    assert "reduction.methods: nmf takes no negative values, and Pearson residuals have them" in message
    assert "normalisation: {method: log1p}" in message
