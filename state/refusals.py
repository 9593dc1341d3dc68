"""Say no in a way the caller can act upon.

Whose fault an error is shows in its type. A `Refusal` is the caller's to mend: it changed nothing, and it names
what was wrong, what is allowed and the exact next call. `LedgerCorrupt` needs a person: the record does not hold
together. Anything else that is raised is a bug of ours.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

__all__ = ["LedgerCorrupt", "NextCall", "Refusal", "RefusalCode"]

RefusalCode = Literal[
    "unknown_argument",
    "invalid_argument",
    "invalid_spec",
    "invalid_data",
    "unavailable",
    "outside_root",
    "unknown_run",
    "not_allowed_now",
    "sealed",
    "run_locked",
    "over_cap",
    "no_gates",
    "damaged",
    "storage",
    "internal",
]


class NextCall(BaseModel):
    """The call that is allowed now: a tool's name, its arguments, and why it is the one to make."""

    model_config = ConfigDict(frozen=True)

    tool: str | None
    arguments: dict[str, JsonValue]
    why: str

    def __str__(self) -> str:
        """Return the call as an agent would write it, e.g. ``validate_stage(run_id="...")``."""
        if self.tool is None:
            return self.why
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.tool}({arguments}) - {self.why}"


class Refusal(Exception):  # noqa: N818 - a refusal is not an error of the program; the word is in the contract
    """A call that the rules do not allow now; nothing but `tool_calls.log` was changed by it.

    Parameters
    ----------
    code
        What kind of refusal this is, stable for programs to match.
    message
        What was wrong and what is allowed, for a person or a model to read.
    status
        The run's status at the time, where there is a run.
    run_id
        The run that was named, where there is one.
    next_call
        The call to make instead.
    """

    def __init__(
        self,
        code: RefusalCode,
        message: str,
        *,
        status: str | None = None,
        run_id: str | None = None,
        next_call: NextCall | None = None,
    ) -> None:
        super().__init__(message)
        self.code: RefusalCode = code
        self.message = message
        self.status = status
        self.run_id = run_id
        self.next_call = next_call

    def __str__(self) -> str:
        """Return every fact of the refusal as text: on an error a client shows its model nothing else."""
        lines = [f"Refused ({self.code}): {self.message}"]
        if self.run_id is not None:
            lines.append(f"Run: {self.run_id}")
        if self.status is not None:
            lines.append(f"Status: {self.status}")
        if self.next_call is not None:
            lines.append(f"Next: {self.next_call}")
        return "\n".join(lines)

    def facts(self) -> dict[str, JsonValue]:
        """Return the refusal as JSON, for logs and for `--json`."""
        return {
            "refused": self.code,
            "message": self.message,
            "run_id": self.run_id,
            "status": self.status,
            "next": None if self.next_call is None else self.next_call.model_dump(mode="json"),
        }


class LedgerCorrupt(Exception):  # noqa: N818 - names the condition a person has to look at
    """The record contradicts itself: a broken chain, an impossible transition, a log cut below its anchor."""
