"""``python -m stagewright.server``: the same as the command ``stagewright``."""

import sys

from stagewright.server.cli import main

if __name__ == "__main__":
    sys.exit(main())
