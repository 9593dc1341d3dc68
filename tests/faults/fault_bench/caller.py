"""Make calls of the tools in processes that may be killed."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fault_bench.case import Case

__all__ = ["BENCH", "INJECTION", "Call", "PreparedCaller", "armed_environment"]

BENCH = Path(__file__).resolve().parent
INJECTION = BENCH.parent / "injection"

Call = tuple[str, dict[str, Any]]


def armed_environment(case: Case, plan: Path | None = None) -> dict[str, str]:
    """Return the environment of a process under test."""
    environment = os.environ | {"PYTHONPATH": str(INJECTION), "FAULT_CASE": str(case.folder)}
    return environment if plan is None else environment | {"FAULT_PLAN": str(plan)}


class PreparedCaller:
    """The process of `prepared_caller.py`.

    Parameters
    ----------
    survey
        The answer of planning's look into the data file, as JSON; None to look in earnest.
    """

    def __init__(self, survey: str | None) -> None:
        self._survey = survey
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(BENCH / "prepared_caller.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(INJECTION)},
        )

    def make(
        self, case: Case, calls: Sequence[Call], plan: Path | None = None, *, arm: bool = True
    ) -> list[dict[str, Any]] | None:
        """Make calls one after the other in one new process; return what came of each, or None if it was killed.

        With `arm` false, the plan is for the processes that the caller starts, not for itself.
        """
        answer = case.folder / "answer.json"
        answer.unlink(missing_ok=True)
        order = {
            "root": str(case.root),
            "calls": calls,
            "plan": None if plan is None else str(plan),
            "arm": arm,
            "case": str(case.folder),
            "answer": str(answer),
            "survey": self._survey,
        }
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        status = int(stdout.readline())
        assert status in (0, -9), f"the caller ended with {status}; its error is above"
        return list(json.loads(answer.read_text())) if status == 0 else None

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
