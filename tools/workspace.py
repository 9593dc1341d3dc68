"""Where a caller works: the root, what the operator allows there, and who the caller is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stagewright.state.ledger import Ledger
from stagewright.state.lockbox import LOCKBOX, Lockbox
from stagewright.state.policy import Policy
from stagewright.state.pseudonym_key import KEY_NAME
from stagewright.state.refusals import LedgerCorrupt, Refusal
from stagewright.state.run_directory import EXPERIMENTS, RunDirectory, find_run
from stagewright.state.run_state import RunState, next_call
from stagewright.state.tried import Tried
from stagewright.tools.child_processes import ChildProcesses, RealChildren

__all__ = ["Workspace", "damaged", "not_allowed"]


@dataclass(frozen=True, slots=True)
class Workspace:
    """The root under which runs lie, with the operator's policy.

    Attributes
    ----------
    root
        Absolute; ``experiments/`` lies under it.
    actor
        Who calls, for the ledger: an agent's client, or a person's name on the command line.
    trusted
        Whether the caller is a person on the command line, who may name a spec and data anywhere.
    children
        The processes that calls need.
    tried_elsewhere
        What runs that do not lie under the root tried on the same data and label: it counts like what those here tried.
    """

    root: Path
    policy: Policy = field(default_factory=Policy)
    actor: str = "agent"
    trusted: bool = False
    children: ChildProcesses = field(default_factory=RealChildren)
    tried_elsewhere: Mapping[str, Tried] = field(default_factory=dict)

    def run(self, named: str) -> RunDirectory:
        """Return the run that an id, a unique prefix of it, or (for a person) a path of its directory names.

        Raises
        ------
        Refusal
            `unknown_run`.
        """
        if self.trusted and (Path(named) / "logs" / "agent_run.log").is_file():
            return RunDirectory(Path(named).resolve())
        return find_run(self.root, named)

    def ledger(self, named: str) -> Ledger:
        """Return the ledger of a run."""
        return Ledger(self.run(named))

    @property
    def lockbox(self) -> Lockbox:
        """The lock-box of sealed hold-outs: in the operator's folder, or else in a hidden one of the root."""
        return Lockbox(self.policy.holdout.directory or self.root / LOCKBOX)

    @property
    def pseudonym_key(self) -> Path:
        """The key by which new runs name patients: the operator's file, or else a hidden one beside the runs."""
        return self.policy.privacy.key_file or self.root / EXPERIMENTS / KEY_NAME

    def contained(self, text: str, folder: Path, what: str) -> Path:
        """Return the absolute path that `text` means, links resolved, if the caller may name it.

        Parameters
        ----------
        text
            An absolute path, or one relative to `folder`.
        what
            What the path is of, for the refusal.

        Raises
        ------
        Refusal
            `outside_root` when it lies neither under the root nor under one of the operator's data roots, or when it
            lies in the lock-box or is the pseudonym key.
        """
        if "\0" in text:
            raise Refusal("invalid_argument", f"{what}: a path holds no NUL byte")
        try:
            path = (folder / Path(text).expanduser()).resolve() if self.trusted else (folder / text).resolve()
        except (OSError, RuntimeError) as error:  # a loop of links, an unknown home
            raise Refusal("invalid_argument", f"{what} {text!r} leads nowhere: {error}") from error
        if any(part.is_symlink() for part in (path, *path.parents)):  # Python 3.13 leaves a loop as it is
            raise Refusal("invalid_argument", f"{what} {text!r} leads nowhere: its links go round in a loop")
        if path.is_relative_to(self.lockbox.folder.resolve()):
            raise Refusal(
                "outside_root", f"{what} {text!r} lies in the lock-box of sealed hold-outs; name another file"
            )
        key = self.pseudonym_key
        if path.name == KEY_NAME or path == key.resolve() or (path.exists() and key.exists() and path.samefile(key)):
            raise Refusal(
                "outside_root", f"{what} {text!r} is the pseudonym key, which no tool reads; name another file"
            )
        allowed = [self.root.resolve(), *self.policy.data_roots]
        if self.trusted or any(path.is_relative_to(place) for place in allowed):
            return path
        places = ", ".join(str(place) for place in allowed)
        raise Refusal(
            "outside_root",
            f"{what} {text!r} lies outside what this server may read; allowed: paths under {places}. "
            "The operator can add data_roots in stagewright.toml.",
        )


def not_allowed(state: RunState, message: str) -> Refusal:
    """Return the refusal of a call that the run's status does not allow, with the call that it does."""
    return Refusal(
        "not_allowed_now",
        message,
        status=f"{state.status} at {state.step}",
        run_id=state.run_id,
        next_call=next_call(state),
    )


def damaged(run: RunDirectory | None, error: LedgerCorrupt) -> Refusal:
    """Return the refusal of any call on a run, or the root, whose record does not hold together."""
    if run is None:
        what = f"the log of this root's calls does not hold together: {error}. A person has to look."
        return Refusal("damaged", what)
    return Refusal(
        "damaged",
        f"the record of {run.run_id} does not hold together: {error}. Nothing was written. "
        f"A person has to look: `stagewright verify {run.run_id}` names every damaged line and file.",
        run_id=run.run_id,
    )
