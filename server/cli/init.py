"""``stagewright init``: look into a data file and write a first goal spec with its guesses."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from stagewright.server.cli.options import AsJson, PolicyFile, Root
from stagewright.server.cli.session import open_session
from stagewright.server.cli.spec_text import FILL_IN, spec_text
from stagewright.server.cli.wait_for import wait_for
from stagewright.state.refusals import Refusal
from stagewright.state.snapshot import write_atomically
from stagewright.tools.suggest_spec import suggest_spec

__all__ = ["init"]


def init(
    data: Annotated[Path, typer.Argument(metavar="DATA.h5ad", help="The data file (or .zarr store) to look into.")],
    *,
    out: Annotated[Path, typer.Option("--out", help="Where to write the spec.")] = Path("spec.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Look into a data file and write a commented goal spec with guesses for a person to correct."""
    with open_session(root, policy, as_json=as_json) as session:
        if not (data.is_file() or data.is_dir()):
            what = "is no file" if data.exists() else "does not exist"
            raise Refusal("invalid_data", f"the data file {data} {what}; name an .h5ad file or .zarr store")
        if out.exists() and not force:
            raise Refusal("invalid_argument", f"{out} is there already; name another with --out, or give --force")
        facts, guesses = wait_for(session, suggest_spec(data.resolve()))
        path = os.path.relpath(data.resolve(), out.resolve().parent)
        text = spec_text(Path(path).as_posix(), facts, guesses)
        try:
            out.resolve().parent.mkdir(parents=True, exist_ok=True)
            write_atomically(out, text)
        except OSError as error:
            raise Refusal("storage", f"{out} could not be written: {error}") from error
        marked = [number for number, line in enumerate(text.splitlines(), start=1) if FILL_IN in line]
        if session.as_json:
            session.write_json({"spec": str(out), "fill_in": [*marked], "warnings": [*guesses["warnings"]]})
            return
        session.say(f"Wrote {out}: {facts['n_obs']} cells, {facts['n_vars']} genes.")
        for warning in guesses["warnings"]:
            session.say(f"  attention: {warning}", "yellow")
        if marked:
            session.say(f"Fill in line {', '.join(map(str, marked))}: nothing in the file looked like it.", "yellow")
        session.say(
            f"Next: read and correct it, then {session.typed.line(['plan', shlex.quote(str(out)), '--dry-run'])}"
        )
