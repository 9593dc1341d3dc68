"""Find and load the operator's policy, and make the workspace that a door serves."""

from pathlib import Path

from stagewright.state.policy import Policy, parse_policy
from stagewright.state.refusals import Refusal
from stagewright.tools.workspace import Workspace

__all__ = ["POLICY_NAME", "find_policy", "load_policy", "open_workspace"]

POLICY_NAME = "stagewright.toml"


def find_policy(root: Path, given: Path | None = None) -> Path | None:
    """Return the operator's policy file: the one that is given, else `stagewright.toml` of the root, else None.

    Raises
    ------
    Refusal
        `invalid_argument` when a file is given and does not exist: falling back to defaults would drop its caps.
    """
    if given is not None:
        if not given.is_file():
            raise Refusal("invalid_argument", f"--policy {given}: there is no such file; give the operator's TOML file")
        return given
    standard = root / POLICY_NAME
    return standard if standard.is_file() else None


def load_policy(root: Path, given: Path | None = None) -> Policy:
    """Return the operator's policy, or the defaults where there is no file.

    Raises
    ------
    Refusal
        `invalid_argument`, with every fault, when the file is missing, unreadable or wrong.
    """
    path = find_policy(root, given)
    if path is None:
        return Policy()
    try:
        return parse_policy(path.read_text(encoding="utf-8"), path.resolve().parent)
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal("invalid_argument", f"the operator's policy {path} cannot be read: {error}") from error
    except Refusal as refusal:
        raise Refusal("invalid_argument", f"{path}: {refusal.message}") from refusal


def open_workspace(root: Path, policy: Path | None = None, *, actor: str = "agent", trusted: bool = False) -> Workspace:
    """Return the workspace of a root folder under its operator's policy.

    Parameters
    ----------
    root
        An existing folder; ``experiments/`` lies or will lie under it.
    policy
        The operator's policy file, where it is not ``stagewright.toml`` of the root.
    actor, trusted
        Who calls, and whether that is a person on the command line; see `Workspace`.

    Raises
    ------
    Refusal
        `invalid_argument` when the root is no folder or the policy has faults.
    """
    if not root.is_dir():
        raise Refusal("invalid_argument", f"--root {root}: there is no such folder; make it, or name another")
    place = root.resolve()
    return Workspace(root=place, policy=load_policy(place, policy), actor=actor, trusted=trusted)
