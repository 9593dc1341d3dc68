"""``stagewright demo``: the whole loop on the built-in cohort."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from stagewright.server.cli.options import AsJson, PolicyFile
from stagewright.server.cli.run import drive_spec
from stagewright.server.cli.session import Session, open_session
from stagewright.server.cli.wait_for import wait_until_done
from stagewright.state.refusals import Refusal
from stagewright.state.snapshot import write_atomically
from stagewright.tools.built_in_cohort import COHORT_FILE, write_cohort
from stagewright.tools.children import ChildFailed, run_child

__all__ = ["DEMO_SPEC", "demo", "demo_spec_text"]

DEMO_SPEC = "builtin_cohort.yaml"
CHILD_TIMEOUT_S = 300.0


def demo(
    *,
    root: Annotated[
        Path, typer.Option("--root", file_okay=False, help="The folder to work in; it is made when missing.")
    ] = Path("demo"),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Write the built-in cohort and its goal spec, and run the study from checkpoint A to C."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{root} cannot be made: {error}", param_hint="--root") from error
    with open_session(root, policy, as_json=as_json) as session:
        spec = root / DEMO_SPEC
        _write_inputs(session, root / COHORT_FILE, spec)
        drive_spec(session, spec, resume=False)


def demo_spec_text() -> str:
    """Return the goal spec of the demo."""
    return files("stagewright.server.cli").joinpath("demo_spec.yaml").read_text(encoding="utf-8")


def _write_inputs(session: Session, data: Path, spec: Path) -> None:
    try:
        if not data.is_file():
            work = write_cohort(data.resolve())
            wait_until_done(session, work, "simulating the built-in cohort")
            if not session.as_json:
                session.say(f"Wrote the built-in cohort, {data}.")
        # Compiled once for this machine; here, so that no step seems to take ten seconds longer than it does.
        wait_until_done(session, run_child(["warm"], CHILD_TIMEOUT_S), "compiling the numerical kernels (once)")
        write_atomically(spec, demo_spec_text())
    except (OSError, ChildFailed) as error:
        raise Refusal("storage", f"the demo could not be set up in {data.parent}: {error}") from error
