"""Run time that may still be asked for, for a step that used up what it had."""

import math
from dataclasses import dataclass, field

from pydantic import JsonValue

from stagewright.stages.handlers.case import FailedCase
from stagewright.state.units import format_seconds

__all__ = ["MoreTime", "less_work_in", "more_time_for"]

NOTICEABLE = 1.01
"""More time by less than this is none."""
ROUNDED_FROM_S = 600.0
"""From ten minutes on a budget is written in whole minutes."""


@dataclass(frozen=True, slots=True)
class MoreTime:
    """The adjustment that asks for more time, and how a proposal says it; both empty where none is needed."""

    said: str = ""
    adjustments: dict[str, JsonValue] = field(default_factory=dict)


def more_time_for(case: FailedCase, growth: float) -> MoreTime | None:
    """Return a run time `growth` times what was used or allowed, within the cap; None when the cap gives no more."""
    whole_s = min(max(case.limits.runtime_s, case.runtime_used_s) * growth, case.caps.runtime_s)
    if whole_s < NOTICEABLE * case.runtime_used_s:
        return None
    if whole_s > ROUNDED_FROM_S:
        whole_s = min(math.ceil(whole_s / 60) * 60, case.caps.runtime_s)
    written = f"{math.floor(whole_s * 1000) / 1000:.3f}".rstrip("0").rstrip(".")
    return MoreTime(f", with the run time raised to {format_seconds(whole_s)}", {"runtime": f"{written}s"})


def less_work_in(case: FailedCase) -> MoreTime | None:
    """Return the time that less work needs: the budget is used up, so none of it can be done in no time.

    None when there is no more time to be had; nothing is asked for where time was not short.
    """
    return more_time_for(case, 1.5) if case.failure.kind == "runtime_budget" else MoreTime()
