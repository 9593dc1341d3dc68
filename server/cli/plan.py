"""``stagewright plan``: validate a goal spec and its data, seal them, and make the run directory."""

from pathlib import Path
from typing import Annotated

import typer

from stagewright.server.cli.options import AsJson, PolicyFile, Root
from stagewright.server.cli.session import open_session
from stagewright.tools.replies import Reply

__all__ = ["plan", "with_spec"]


def plan(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="A goal spec in YAML or JSON.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, write no run.")] = False,
    parent: Annotated[str | None, typer.Option("--parent", help="The run that this one varies.")] = None,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Validate a goal spec and its data, seal them, and make the run directory. Executes nothing."""
    with open_session(root, policy, as_json=as_json) as session:
        reply = session.call("plan_run", {"spec": spec, "dry_run": dry_run or None, "parent_run_id": parent})
        session.show(with_spec(reply, spec))


def with_spec(reply: Reply, spec: str) -> Reply:
    """Return the reply to a dry run with the spec's path in its next call: the tool does not know how it was named."""
    if reply.next is None or reply.next.tool != "plan_run":
        return reply
    return reply.model_copy(update={"next": reply.next.model_copy(update={"arguments": {"spec": spec}})})
