"""One line of the doctor's report."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Check"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what was found, and how to mend it where it is wrong."""

    name: str
    verdict: Literal["ok", "warn", "fail"]
    found: str
    mend: str = ""
