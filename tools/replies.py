"""What the tools answer. Every reply has the run, its step and status, one sentence, and the next call."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from stagewright.state.holdout import HoldoutScore
from stagewright.state.records import Blocked, FindingSummary, Verdict
from stagewright.state.refusals import NextCall

__all__ = [
    "Budget",
    "Call",
    "DecideReply",
    "ExecuteReply",
    "PlanReply",
    "ReadReply",
    "Reply",
    "StepPlan",
    "Tick",
    "ValidateReply",
    "reply_text",
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Tick(_Part):
    """A sign of life of a call that waits."""

    done: float
    total: float | None
    message: str


class Budget(_Part):
    """What the run has used and what is left; `note` says so in words when a limit is near."""

    runtime_used_s: float
    runtime_left_s: float
    memory_limit_bytes: int
    peak_rss_bytes: int
    failures: int
    retries_left_in_step: int
    note: str | None = None


class Reply(_Part):
    """What every reply holds. A reply without None fields is readable as YAML: `text` gives it."""

    run_id: str | None = None
    step: str | None = None
    status: str | None = None
    summary: str
    next: NextCall | None = None

    def text(self) -> str:
        """Return the reply as text for a person: the sentence first, the next call last, every fact between."""
        return reply_text(self.model_dump(mode="json", exclude_none=True))


def reply_text(facts: Mapping[str, JsonValue]) -> str:
    """Return the text of a reply with these facts."""
    shown = {name: value for name, value in facts.items() if name not in ("summary", "next") and value not in ([], {})}
    body = yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=120).rstrip() if shown else ""
    after = "" if facts.get("next") is None else f"Next: {NextCall.model_validate(facts['next'])}"
    return "\n".join(part for part in (str(facts["summary"]), body, after) if part)


class StepPlan(_Part):
    """One step of the plan."""

    step: str
    units: int


class PlanReply(Reply):
    """What `plan_run` answers."""

    run_dir: str | None = None
    parent_run_id: str | None = None
    configurations_tried: int | None = None
    dry_run: bool = False
    spec_digest: str | None = None
    steps: list[StepPlan] = Field(default_factory=list)
    n_cells: int = 0
    n_patients: int = 0
    n_patients_with_both_classes: int = 0
    forecast: str | None = None
    warnings: list[str] = Field(default_factory=list)


class ExecuteReply(Reply):
    """What `execute_stage` answers."""

    attempt: int
    done: int = 0
    total: int = 0
    unit: str | None = None
    elapsed_s: float | None = None
    left_s: float | None = None
    peak_rss_bytes: int | None = None
    n_artifacts: int | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    k_by_method: dict[str, int] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)
    blocked: Blocked | None = None
    budget: Budget | None = None


class ValidateReply(Reply):
    """What `validate_stage` answers."""

    attempt: int
    verdict: Verdict
    passed: int
    warned: int
    failed: int
    errors: int
    worst: list[FindingSummary] = Field(default_factory=list)
    forecast: str | None = None
    forecast_met: str | None = None
    would_pass: str | None = None
    recommended: str
    recommended_why: str
    metrics: dict[str, float] = Field(default_factory=dict)
    budget: Budget | None = None


class DecideReply(Reply):
    """What `decide` answers."""

    decision: str
    repeated: bool = False
    changes: list[str] = Field(default_factory=list)
    label: str | None = None
    before_first_look: bool = True
    k_by_method: dict[str, int] = Field(default_factory=dict)
    holdout: HoldoutScore | None = None
    budget: Budget | None = None


class ReadReply(Reply):
    """What `read_state` answers: the items of the view, and where to go on when there are more."""

    view: str
    items: list[JsonValue] = Field(default_factory=list)
    next_cursor: str | None = None
    budget: Budget | None = None


R_co = TypeVar("R_co", bound=Reply, covariant=True)

Call: TypeAlias = Iterator[Tick | R_co]
"""A tool call under way: signs of life while it waits, then, last, its reply."""
