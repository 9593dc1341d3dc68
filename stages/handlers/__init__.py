"""Error handlers: what could be done about a step that cannot go on, as minimal changes that `decide` can apply."""

from stagewright.stages.handlers.case import FailedCase
from stagewright.stages.handlers.propose import propose

__all__ = ["FailedCase", "propose"]
