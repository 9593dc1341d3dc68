"""``stagewright doctor``: say whether this machine is fit to run a study, and what is to mend."""

from pathlib import Path
from typing import Annotated

import typer

from stagewright.server.cli.exit_status import ExitStatus
from stagewright.server.cli.health import examine
from stagewright.server.cli.options import AsJson, Root
from stagewright.server.cli.session import Session
from stagewright.tools.workspace import Workspace

__all__ = ["doctor"]

STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    *,
    root: Root = Path(),
    policy: Annotated[Path | None, typer.Option("--policy", help="The operator's policy.")] = None,
    as_json: AsJson = False,
) -> None:
    """Look at Python, packages, cores, memory, disk, file locks, the policy, the gates and the compiled kernels."""
    session = Session(Workspace(root=root.resolve()), as_json)  # without the policy: a wrong one is a finding here
    checks = []
    for check in examine(root.resolve(), policy):
        checks.append(check)
        if not as_json:
            session.say(f"{check.verdict:<5} {check.name:<12} {check.found}", STYLES[check.verdict])
            if check.mend:
                session.say(f"{'':<18} to mend: {check.mend}")
    failed = any(check.verdict == "fail" for check in checks)
    if as_json:
        fields = ("name", "verdict", "found", "mend")
        session.write_json(
            {"ok": not failed, "checks": [{name: getattr(item, name) for name in fields} for item in checks]}
        )
    elif not failed:
        session.say("Fit to run a study.")
    if failed:
        raise typer.Exit(ExitStatus.FAILED)
