"""``stagewright receipt``: a short text that says what a run's record was, to be kept where the run is not."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from stagewright.server.cli.exit_status import ExitStatus
from stagewright.server.cli.options import AsJson, PolicyFile, Root, RunName
from stagewright.server.cli.session import open_session
from stagewright.state.refusals import Refusal
from stagewright.state.replace_file import write_atomically
from stagewright.tools.receipt import receipt_of
from stagewright.tools.signing import sign_sigstore, sign_ssh
from stagewright.tools.verify_run import check_run

__all__ = ["receipt"]


def receipt(
    run: RunName,
    *,
    out: Annotated[Path | None, typer.Option("--out", dir_okay=False, help="Write it to this file.")] = None,
    sign: Annotated[
        Literal["ssh", "sigstore"] | None, typer.Option("--sign", help="Sign it, with ssh-keygen or through Sigstore.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", exists=True, dir_okay=False, help="With --sign ssh: the private key, or an agent's."),
    ] = None,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Print a receipt of a run that holds together: for a commit message, a lab book, a signature. 1 if it does not."""
    if (sign == "ssh") != (key is not None):
        raise typer.BadParameter("--sign ssh and --key FILE go together", param_hint="--key")
    if sign == "sigstore" and out is None:
        raise typer.BadParameter("--sign sigstore signs a file: give --out FILE", param_hint="--sign")
    with open_session(root, policy, as_json=as_json) as session:
        named = session.workspace.run(run)
        checked = check_run(named)
        if checked.problems:
            count = f"{len(checked.problems)} problem{'s' if len(checked.problems) > 1 else ''}"
            names = session.typed.line(["verify", named.run_id])
            session.err.print(f"{named.run_id} does not hold together ({count}): no receipt. {names} names each.")
            raise typer.Exit(ExitStatus.FAILED)
        given = receipt_of(checked.record, checked.outcomes)
        signature = "" if key is None else sign_ssh(given.text(), key)
        written: list[Path] = []
        if out is not None:
            _check_free(out, given.text())
            write_atomically(out, given.text())
            written.append(out)
            if signature:
                write_atomically(out.with_name(f"{out.name}.sig"), signature)
                written.append(out.with_name(f"{out.name}.sig"))
            if sign == "sigstore":
                written.append(sign_sigstore(out))
        if session.as_json:
            session.write_json(
                {
                    "run_id": given.run_id,
                    "receipt": given.text(),
                    "signature": signature or None,
                    "written": [str(path) for path in written],
                }
            )
        else:
            session.say((given.text() + ("" if written else signature)).rstrip("\n"))
            if written:
                session.err.print(f"Written to {' and '.join(map(str, written))}.")


def _check_free(out: Path, text: str) -> None:
    """Refuse to write over a file that says something else: it may be the only copy of an older receipt."""
    if out.exists() and (not out.is_file() or out.read_bytes() != text.encode()):
        raise Refusal(
            "invalid_argument", f"--out {out}: something else lies there, perhaps an older receipt; name a new file"
        )
