"""What a run with pseudonyms cannot keep from the operator's commands, and so from what they write."""

from stagewright.state.policy import Policy
from stagewright.state.spec import GoalSpec

__all__ = ["command_warnings"]


def command_warnings(spec: GoalSpec, policy: Policy) -> list[str]:
    """Return a warning where commands read the data file themselves."""
    if spec.privacy == "none":
        return []
    named = [*(stage for stage in spec.stages if stage in policy.commands), *policy.gates]
    if not named:
        return []
    what = "a command reads the data file itself, sees the ids as they are, and what it writes or prints is kept"
    return [f"privacy: {', '.join(named)}: {what}"]
