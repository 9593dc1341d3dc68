"""``stagewright prove-gates``: spoil copies of a finished run and show that each fault is seen by its own gate."""

from pathlib import Path
from typing import Annotated

import typer

from stagewright.server.cli.exit_status import ExitStatus
from stagewright.server.cli.fault_matrix import matrix_lines, summary_lines
from stagewright.server.cli.options import AsJson, PolicyFile, Root, RunName
from stagewright.server.cli.session import Session, open_session
from stagewright.server.cli.step_display import StepDisplay
from stagewright.state.spec.goal import CHECKPOINTS, Checkpoint
from stagewright.tools.prove_gates import Proof
from stagewright.tools.prove_gates import prove_gates as proving
from stagewright.tools.replies import Tick

__all__ = ["prove_gates"]


def prove_gates(
    run: RunName,
    *,
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", help="Whose steps are spoilt: A, B or C.", show_default="the last judged one"),
    ] = None,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Spoil copies of a finished run, one fault at a time: its gate must fire, and none on a clean copy. Else 1."""
    chosen: Checkpoint | None = next((letter for letter in CHECKPOINTS if letter == checkpoint), None)
    if checkpoint is not None and chosen is None:
        raise typer.BadParameter(f"{checkpoint!r} is none of {', '.join(CHECKPOINTS)}", param_hint="--checkpoint")
    with open_session(root, policy, as_json=as_json) as session:
        proof = _proof(session, run, chosen)
        if session.as_json:
            session.write_json(proof.model_dump(mode="json") | {"holds": proof.holds})
        else:
            for text, style in (*matrix_lines(proof), *summary_lines(proof)):
                session.say(text, style)
        if not proof.holds:
            raise typer.Exit(ExitStatus.FAILED)


def _proof(session: Session, run: str, checkpoint: Checkpoint | None) -> Proof:
    with StepDisplay(session.err) as display:
        for item in proving(session.workspace.run(run), session.workspace.policy.gates, checkpoint):
            if not isinstance(item, Tick):
                return item
            display.tick(item)
    raise RuntimeError("the work ended without a proof")
