"""``stagewright verify``: say whether the record of a run holds together, and where it does not."""

from pathlib import Path
from typing import Annotated

import typer

from stagewright.server.cli.exit_status import ExitStatus
from stagewright.server.cli.options import AsJson, PolicyFile, Root
from stagewright.server.cli.session import Session, open_session
from stagewright.server.cli.verified import Verified
from stagewright.state.run_directory import EXPERIMENTS, RunDirectory, list_runs
from stagewright.tools.check_receipt import check_receipt
from stagewright.tools.privacy.raw_ids import privacy_note
from stagewright.tools.verify_root import verify_root_log
from stagewright.tools.verify_run import check_run

__all__ = ["verify"]

PROVES = (
    "What holds was not changed since it was written, as far as its own record can tell. A directory that was "
    "rewritten as a whole, with every log, head and digest made anew, holds together too: keep what "
    "`stagewright receipt` prints somewhere else, and verify against it with --receipt."
)


def verify(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN|ROOT",
            help="A run: its id, a unique prefix of it, or its directory; or a folder with experiments/",
        ),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every run under the root, and the root's own log.")] = False,
    receipt: Annotated[
        Path | None,
        typer.Option("--receipt", exists=True, dir_okay=False, help="A receipt of the run that was kept elsewhere."),
    ] = None,
    allowed_signers: Annotated[
        Path | None,
        typer.Option("--allowed-signers", exists=True, dir_okay=False, help="Who may have signed it (ssh-keygen(1))."),
    ] = None,
    signer: Annotated[str | None, typer.Option("--signer", help="Who must have signed it, of these.")] = None,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Verify logs, snapshot, sealed files and artifacts; name every problem with file and line. 1 if there is one."""
    if (run is None) != every:
        raise typer.BadParameter("name one run, or give --all", param_hint="RUN")
    if run is not None and (Path(run) / EXPERIMENTS).is_dir():
        root, run = Path(run), None
    _check_options(run, receipt, allowed_signers, signer)
    with open_session(root, policy, as_json=as_json) as session:
        found: list[Verified] = []
        for one in list_runs(session.workspace.root) if run is None else [_named(session, run)]:
            checked = check_run(one)
            compared = None
            if receipt is not None:
                compared = receipt, check_receipt(receipt, one, checked, allowed_signers, signer)
            notes = [*checked.notes, *_privacy(session, one)]
            found.append(Verified(one.run_id, one.path, checked.problems, notes, compared))
            _say(session, found[-1])
        if run is None and (of_root := verify_root_log(session.workspace.root)) is not None:
            found.append(Verified(EXPERIMENTS, session.workspace.root / EXPERIMENTS, of_root))
            _say(session, found[-1])
        _conclude(session, found)


def _check_options(run: str | None, receipt: Path | None, allowed_signers: Path | None, signer: str | None) -> None:
    if receipt is None and (allowed_signers is not None or signer is not None):
        raise typer.BadParameter("signatures are those of receipts: give --receipt FILE", param_hint="--receipt")
    if signer is not None and allowed_signers is None:
        raise typer.BadParameter("--signer needs --allowed-signers FILE", param_hint="--signer")
    if receipt is not None and run is None:
        raise typer.BadParameter("a receipt is one of a run: name that run", param_hint="RUN")


def _named(session: Session, run: str) -> RunDirectory:
    """Return the run that is meant; a directory whose ledger is gone can still be named by its path."""
    folder = Path(run)
    return RunDirectory(folder.resolve()) if (folder / "logs").is_dir() else session.workspace.run(run)


def _privacy(session: Session, run: RunDirectory) -> list[str]:
    note = privacy_note(session.workspace, run)
    return [] if note is None else [note.said()]


def _say(session: Session, one: Verified) -> None:
    if not session.as_json:
        one.say(session)


def _conclude(session: Session, found: list[Verified]) -> None:
    """Say once what it proves that all holds, and end with status 1 where it does not."""
    held = all(one.holds for one in found)
    compared = any(one.receipt is not None for one in found)
    if session.as_json:
        proves = PROVES if found and held and not compared else None
        session.write_json({"runs": [one.as_json() for one in found], "proves": proves})
    elif not found:
        session.say("There is no run under this root.")
    elif held and not compared:
        session.say(PROVES)
    if not held:
        raise typer.Exit(ExitStatus.FAILED)
