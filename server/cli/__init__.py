"""The command line, one command a file. `main` finds the command; each command loads only what it needs."""

import sys
from collections.abc import Sequence

__all__ = ["COMMANDS", "main"]

COMMANDS = (
    "serve",
    "init",
    "plan",
    "execute",
    "validate",
    "decide",
    "state",
    "run",
    "log",
    "verify",
    "receipt",
    "export-calls",
    "replay",
    "reproduce",
    "why",
    "export-crate",
    "pseudonyms",
    "prove-gates",
    "approve",
    "demo",
    "doctor",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0 done, 1 a gate or check failed, 2 usage, 3 refused, 4 blocked, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["serve"]:  # a client waits for the server: the libraries of the command line stay out of its way
        from stagewright.server.cli.serve import serve

        return serve(words[1:])
    from stagewright.server.cli.application import run_application

    return run_application(words)
