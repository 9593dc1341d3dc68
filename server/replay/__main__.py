"""``python -m stagewright.server.replay CASSETTE ROOT``: a server over stdio whose stages are played back."""

import sys
from pathlib import Path

from stagewright.server.app import make_server
from stagewright.server.replay.replay_cassette import recorded_workspace
from stagewright.tools.replay.cassette_file import read_cassette

if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:3]]
    make_server(recorded_workspace(read_cassette(given[0]), given[1].resolve())).run()
