"""What several rooms' tests share: a tiny cohort, a workspace with registered commands, calls as a client makes them.

The commands are the simulator: real processes behind the real interface, each of which ends in its own way. Every one
of them appends its step to ``ran.txt`` in the root first, so that a test can count how often it truly ran.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from stagewright.state.canonical import digest_json
from stagewright.state.policy import parse_policy
from stagewright.state.survey import SurveyRequest
from stagewright.tools import Caller, Workspace, call_tool, child_processes, complete

BEGIN = "import json, os, pathlib, signal, subprocess, sys, time; root = pathlib.Path(r'{run_dir}').parent.parent\n"
RAN = "with (root / 'ran.txt').open('a') as ran: ran.write('{step}\\n')\n"
WELL = "pathlib.Path('result.json').write_text('[1]'); pathlib.Path('metrics.json').write_text('{\"best.auc\": 0.9}')\n"
PID = "(root / 'pid.part').write_text(str(os.getpid())); (root / 'pid.part').rename(root / 'pid')\n"

COMMANDS = {
    "ok": WELL,
    "second": WELL,
    "poor": "pathlib.Path('metrics.json').write_text('{\"best.auc\": 0.1}')\n",
    "waits": PID + "while not (root / 'go').exists(): time.sleep(0.02)\n" + WELL,
    "sleeps": PID + "time.sleep(600)\n",
    "crashes": "print('x' * 5000); print('about to fail'); sys.exit('there is no such gene')\n",
    "killed": "os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)\n",
    "flaky": (
        "first = not (root / 'tried').exists(); (root / 'tried').touch()\n"
        "if first: os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)\n" + WELL
    ),
    "hungry": PID + "held = bytearray(os.urandom(1 << 20) * 400); time.sleep(600)\n",
    "stubborn": "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + PID + "time.sleep(600)\n",
    "escapes": (
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "(root / 'pid').write_text(str(child.pid)); time.sleep(600)\n"
    ),
    "silent": "",
}


@pytest.fixture(scope="session")
def small_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 120 cells x 60 genes of four patients, each with malignant and normal cells in equal numbers."""
    import anndata  # noqa: PLC0415 - most tests need no numerical library
    import numpy as np  # noqa: PLC0415 - as above
    import pandas as pd  # noqa: PLC0415 - as above
    from scipy import sparse  # noqa: PLC0415 - as above

    cells = range(120)
    obs = pd.DataFrame(
        {
            "patient": pd.Categorical([f"p{cell % 4}" for cell in cells]),
            "label": pd.Categorical(["malignant" if cell // 4 % 2 else "normal" for cell in cells]),
            "one_level": pd.Categorical(["only"] * len(cells)),
            "by_patient": pd.Categorical([f"level{cell % 4 // 2}" for cell in cells]),
        },
        index=[f"cell{cell}" for cell in cells],
    )
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(1.0, (len(cells), 60)).astype(np.float32))
    path = tmp_path_factory.mktemp("cohort") / "cohort.h5ad"
    var = pd.DataFrame(index=[f"gene{gene}" for gene in range(60)])
    anndata.AnnData(X=counts, obs=obs, var=var).write_h5ad(path)
    return path


@pytest.hookimpl(tryfirst=True)  # before xdist hands the tests out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what another commit tries: with `STAGEWRIGHT_PART=1/4`, three of four of the tests marked `parted`."""
    part = os.environ.get("STAGEWRIGHT_PART")
    if part is None:
        return
    place, parts = (int(number) for number in part.split("/"))
    seen: Counter[str] = Counter()
    left_out: list[pytest.Item] = []
    for item in items:
        if item.get_closest_marker("parted") is not None:
            name = getattr(item, "originalname", item.name)
            seen[name] += 1
            if seen[name] % parts != place % parts:
                left_out.append(item)
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture
def policy_text() -> str:
    """Return the operator's policy as TOML: every command of the simulator."""
    tables = [
        f"[commands.{name}]\nargv = {json.dumps(['{python}', '-I', '-S', '-c', BEGIN + RAN + code])}\n"
        for name, code in COMMANDS.items()
    ]
    return "\n".join(tables)


@pytest.fixture
def workspace(tmp_path: Path, small_cohort: Path, policy_text: str) -> Workspace:
    """Make a root with the cohort and the operator's policy in it."""
    root = (tmp_path / "root").resolve()
    root.mkdir()
    shutil.copy(small_cohort, root / "cohort.h5ad")
    (root / "stagewright.toml").write_text(policy_text, encoding="utf-8")
    return Workspace(root=root, policy=parse_policy(policy_text, root))


@pytest.fixture
def declare() -> Callable[..., dict[str, Any]]:
    """Return a function that gives a goal spec of some stages, with changes to its keys."""

    def declared(*stages: str, **changes: object) -> dict[str, Any]:
        data = {
            "path": "cohort.h5ad",
            "patient": "patient",
            "label": {"column": "label", "positive": "malignant", "negative": "normal"},
        }
        return {"objective": "Does the loop hold?", "data": data, "stages": [*stages]} | changes

    return declared


@pytest.fixture
def call(workspace: Workspace) -> Callable[..., dict[str, Any]]:
    """Return a function that makes one call and gives the reply's facts, as a client gets them."""

    def called(tool: str, *, within: Workspace = workspace, **arguments: object) -> dict[str, Any]:
        reply = complete(call_tool(within, tool, arguments, Caller(client="tests")))
        return reply.model_dump(mode="json", exclude_none=True)

    return called


@pytest.fixture
def look_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let planning look into the data file in this process: the same survey without the second that its child takes."""
    asked = child_processes.ask_child

    def answered(module: str, child: str | None, question: BaseModel, *others: Any) -> Iterator[Any]:  # noqa: ANN401
        from stagewright.stages.survey import survey  # noqa: PLC0415 - loads pandas

        if isinstance(question, SurveyRequest):
            yield survey(question)
        else:
            yield from asked(module, child, question, *others)

    monkeypatch.setattr(child_processes, "ask_child", answered)


@pytest.fixture(scope="session")
def planned_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder that keeps a copy of each study planned so far: planning one takes a second."""
    return tmp_path_factory.mktemp("planned")


@pytest.fixture
def plan(
    call: Callable[..., dict[str, Any]],
    declare: Callable[..., dict[str, Any]],
    workspace: Workspace,
    planned_before: Path,
) -> Callable[..., str]:
    """Return a function that plans a study of some stages and gives its run's id."""

    def planned(*stages: str, **changes: object) -> str:
        spec = declare(*stages, **changes)
        kept = planned_before / digest_json(spec)
        if not kept.exists():
            run_id = str(call("plan_run", spec=spec)["run_id"])
            shutil.copytree(workspace.run(run_id).path, kept / run_id)
            return run_id
        run_id = next(kept.iterdir()).name
        shutil.copytree(kept / run_id, workspace.root / "experiments" / run_id, dirs_exist_ok=True)
        return run_id

    return planned
