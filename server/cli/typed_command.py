"""Say commands so that they work as pasted: the program as it was invoked, with the root and policy that were given."""

import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["TypedCommand", "program"]

NAME = "stagewright"
IN_TEXT = re.compile(rf"`{NAME} ([^`]+)`")


def program() -> str:
    """Return how a person starts this program again from where they are.

    Its bare name only if PATH leads to this very installation; else the script as it was invoked, or the one beside
    the interpreter; without a script, the interpreter with the module.
    """
    invoked = Path(sys.argv[0])
    script = invoked if invoked.name == NAME else Path(sys.executable).with_name(NAME)
    if not script.is_file():
        return f"{shlex.quote(sys.executable)} -m stagewright.server"
    found = shutil.which(NAME)
    return NAME if found is not None and Path(found).resolve() == script.resolve() else shlex.quote(str(script))


@dataclass(frozen=True, slots=True)
class TypedCommand:
    """Writes commands for the same root and policy as the present one.

    Attributes
    ----------
    root, policy
        What was given with ``--root`` and ``--policy``; the current folder and None are the defaults.
    program
        The words that start the program.
    """

    root: Path = Path()
    policy: Path | None = None
    program: str = field(default_factory=program)

    def line(self, words: Sequence[str]) -> str:
        """Return a command line.

        Parameters
        ----------
        words
            The command and its arguments, each quoted for a shell already.

        >>> TypedCommand(Path("my study"), program="stagewright").line(["execute", "2026_x"])
        "stagewright execute 2026_x --root 'my study'"
        """
        return " ".join([self.program, *words, *self._options()])

    def in_text(self, text: str) -> str:
        """Return a sentence with each command in it, which stands in back quotes, as it works here.

        >>> TypedCommand(Path("x"), program="bin/stagewright").in_text("run `stagewright approve 2026 --reason ...`")
        'run `bin/stagewright approve 2026 --reason "..." --root x`'
        """

        def written(found: re.Match[str]) -> str:
            words = re.sub(r"(--reason|--rationale) \.\.\.", r'\1 "..."', found[1])
            return f"`{self.line([words])}`"

        return IN_TEXT.sub(written, text)

    def _options(self) -> list[str]:
        words = [] if self.root == Path() else ["--root", shlex.quote(str(self.root))]
        return words if self.policy is None else [*words, "--policy", shlex.quote(str(self.policy))]
