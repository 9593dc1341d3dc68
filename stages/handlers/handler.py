"""What an error handler is: a function that looks at a failed case and yields what could be done, smallest first."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from stagewright.stages.handlers.case import FailedCase
from stagewright.state.records import Proposal

__all__ = ["Handler"]

Handler: TypeAlias = Callable[[FailedCase], Iterator[Proposal]]
