"""The five tools, as plain functions: each yields signs of life while it waits and then its reply.

`call_tool` is the door that the server and the command line use: it checks, runs and records a call.
"""

from stagewright.tools.call import TOOLS, Caller, call_tool, complete
from stagewright.tools.replies import Reply, Tick
from stagewright.tools.workspace import Workspace

__all__ = ["TOOLS", "Caller", "Reply", "Tick", "Workspace", "call_tool", "complete"]
