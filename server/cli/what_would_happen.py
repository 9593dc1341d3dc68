"""Say what `stagewright run` would do, and do nothing."""

from pathlib import Path

from stagewright.server.cli.next_command import next_command
from stagewright.server.cli.plan import with_spec
from stagewright.server.cli.resume import unfinished_run
from stagewright.server.cli.session import Session
from stagewright.state.ledger import Ledger
from stagewright.state.run_directory import RunDirectory
from stagewright.state.units import format_seconds
from stagewright.tools.attempt_view import is_lost
from stagewright.tools.replies import PlanReply, ReadReply
from stagewright.tools.step_requests import sealed_spec

__all__ = ["what_would_happen"]


def what_would_happen(session: Session, spec: Path, *, resume: bool) -> None:
    """Check the spec and the data, and say which run would be taken up where, or that a new one would be planned.

    Raises
    ------
    Refusal
        As the real call would: a faulty spec, or with `resume` one that was changed since its run was sealed.
    """
    reply = session.call("plan_run", {"spec": str(spec), "dry_run": True})
    digest = reply.spec_digest if isinstance(reply, PlanReply) else None
    found = unfinished_run(session, spec, digest) if resume else None
    if found is None:
        session.show(with_spec(reply, str(spec)))
        return
    _show_run(session, found)


def _show_run(session: Session, run: RunDirectory) -> None:
    state = Ledger(run).fold()
    sealed_spec(run, state)  # as the real call would, this refuses a run whose spec.yaml was changed
    reply = session.call("read_state", {"run_id": run.run_id})
    left_s = reply.budget.runtime_left_s if isinstance(reply, ReadReply) and reply.budget is not None else 0.0
    steps = [*state.steps[state.position :]]
    if session.as_json:
        session.write_json(
            {
                "dry_run": True,
                "takes_up": run.run_id,
                "step": state.step,
                "status": state.status,
                "next": None if reply.next is None else reply.next.model_dump(mode="json"),
                "steps_left": [*steps],
                "runtime_left_s": left_s,
            }
        )
        return
    lost = ", and its supervisor is gone" if is_lost(run, state) else ""
    session.say(f"Would take up {run.run_id}: {state.step} is {state.status}{lost}. Nothing is done (dry run).")
    session.say(f"Steps left: {', '.join(steps)}; {format_seconds(left_s)} of run time left.")
    if reply.next is not None:
        session.say(f"It would go on with: {next_command(reply.next, session.typed, reply.status)}")
