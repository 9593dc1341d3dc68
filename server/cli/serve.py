"""``stagewright serve``: the MCP server over stdio. The only command that loads the protocol."""

import argparse
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["serve"]


def serve(arguments: Sequence[str]) -> int:
    """Serve the five tools over standard input and output until the client closes them.

    Returns
    -------
    The exit status: 0 when the client went, 3 when the root or the policy is refused; 2 for a wrong option.
    """
    asked = _parser().parse_args(arguments)
    gc.disable()  # importing makes a million objects that all stay: collecting among them is a tenth of the start
    from stagewright.server.app import make_server
    from stagewright.server.config import open_workspace
    from stagewright.state.refusals import Refusal

    try:
        server = make_server(open_workspace(asked.root, asked.policy))
    except Refusal as refusal:
        sys.stderr.write(f"{refusal}\n")
        return 3
    gc.freeze()
    gc.enable()
    server.run()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stagewright serve",
        description="Serve the five tools to an MCP client over standard input and output.",
        epilog="An MCP client starts this by itself; see .mcp.json in examples/.",
        allow_abbrev=False,
    )
    parser.add_argument("--root", type=Path, default=Path(), help="the folder that holds experiments/ (default: here)")
    parser.add_argument("--policy", type=Path, help="the operator's policy (default: stagewright.toml of the root)")
    return parser
