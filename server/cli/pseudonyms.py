"""``stagewright pseudonyms``: say who is behind the pseudonyms of a run, to whoever may read its key and its data."""

from pathlib import Path

from stagewright.server.cli.options import AsJson, PolicyFile, Root, RunName
from stagewright.server.cli.session import open_session
from stagewright.tools.privacy.way_back import way_back
from stagewright.tools.replies import Tick

__all__ = ["pseudonyms"]


def pseudonyms(run: RunName, *, root: Root = Path(), policy: PolicyFile = None, as_json: AsJson = False) -> None:
    """List each patient's id in the data with its pseudonym in a run. Needs the key; is written into no log."""
    with open_session(root, policy, as_json=as_json) as session:
        names: dict[str, str] = {}
        for item in way_back(session.workspace, session.workspace.run(run)):
            if not isinstance(item, Tick):
                names = item
        if session.as_json:
            session.write_json({**names})
            return
        width = max(map(len, names), default=0)
        for raw, name in names.items():
            session.say(f"{raw:<{width}}  {name}")
