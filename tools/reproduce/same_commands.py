"""Whether the operator's policy still registers the commands that a run had as stages, with the same argv."""

from stagewright.state.attempts import REQUEST
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import split_step
from stagewright.state.step_request import StepRequest
from stagewright.tools.reproduce.record import Record
from stagewright.tools.workspace import Workspace

__all__ = ["check_commands"]


def check_commands(workspace: Workspace, run: RunDirectory, record: Record) -> None:
    """Compare the command of each executed step with the policy's.

    Raises
    ------
    Refusal
        `unavailable` when one is gone or another; the request of the attempt has what it was.
    """
    for step, sealed in record.state.sealed.items():
        path = run.attempt(sealed.attempt, step) / REQUEST
        try:
            then = StepRequest.model_validate_json(path.read_bytes()).command
        except (OSError, ValueError):
            continue  # `verify` names it; a built-in stage needs no command
        stage = split_step(step)[1]
        now = workspace.policy.commands.get(stage)
        if then is not None and (now is None or now.argv != then.argv):
            found = "none" if now is None else f"{list(now.argv)}"
            raise Refusal(
                "unavailable",
                f"the stage {stage} was the command {list(then.argv)}; the operator's policy has {found} under that "
                f"name. Give the policy of that time with --policy FILE, or put this into it as commands.{stage}.",
                run_id=run.run_id,
            )
