"""Warn, before a run is worked with that does not hold together, of what is wrong with it."""

from stagewright.server.cli.session import Session
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.verify_run import verify_run

__all__ = ["warn_of_damage"]


def warn_of_damage(session: Session, run: RunDirectory, consequence: str) -> None:
    """Say on standard error what `verify` finds first, and that the command goes on with what is there.

    Parameters
    ----------
    consequence
        What follows for the command, e.g. ``the cassette is made of what is there``.
    """
    problems = verify_run(run)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        names = session.typed.line(["verify", str(run.path)])
        said = f"{run.run_id} does not hold together, and {consequence}: {problems[0]}{more}"
        session.err.print(f"{said}. {names} says more.", style="yellow")
