"""A gate that is the operator's command: run its argv, and make findings of its exit status and of what it writes.

No shell reads it. In each part of the argv these are filled in: ``{run_dir}``, ``{output_dir}`` (an empty folder that
it works in and may write to; it goes when the gate has ended), ``{findings}`` (a file in it), ``{outcome}`` (what the
step says it did, with the list of its artifacts), ``{request}``, ``{data}``, ``{spec}``, ``{checkpoint}``, ``{stage}``,
``{step}``, ``{attempt}``, ``{python}``.

Exit status 0 is a pass, 1 a fail, anything else an error. Findings, one object or a list of them, it may write as JSON
to ``{findings}`` or print. A finding says `measured`, and may say `subject`, `severity`, `threshold` and `reason`. The
worst of the exit status and the findings holds.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stagewright.gates.finding import bounded
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.custom_gate import CommandGate
from stagewright.state.fill_argv import fill_argv
from stagewright.state.records import Record, Verdict
from stagewright.state.run_directory import RunDirectory
from stagewright.state.units import format_seconds

__all__ = ["NoAnswer", "command_findings"]

FINDINGS = "findings.json"
MOST_OUTPUT = 2**24
"""Bytes that it may print: more is a runaway, not an answer."""
POLL_S = 0.02
SHOWN = 300
STATUS: dict[int, Verdict] = {0: "pass", 1: "fail"}


class NoAnswer(ValueError):  # noqa: N818 - names what happened
    """The command could not be run, took too long, or answered what is no finding."""


class _Answer(Record):
    """A finding as a command writes it."""

    measured: str
    gate: str | None = None
    subject: str | None = None
    severity: Verdict | None = None
    threshold: str = "what the command demands"
    reason: str | None = None


_ANSWERS: TypeAdapter[list[_Answer]] = TypeAdapter(list[_Answer])


def command_findings(name: str, gate: CommandGate, context: GateContext) -> Iterator[Finding]:
    """Run a command gate and yield its findings.

    Parameters
    ----------
    name
        The gate's name in the operator's policy.

    Raises
    ------
    NoAnswer
        When it did not judge; the text says why.
    """
    with tempfile.TemporaryDirectory(prefix="stagewright-gate-") as folder:
        output = Path(folder) / "output"
        output.mkdir()
        argv = _filled(gate.argv, context, output)
        status, printed, said = _run(argv, output, Path(folder), gate.timeout)
        if status not in STATUS:
            end = (said or printed)[-SHOWN:].strip()
            raise NoAnswer(f"{argv[0]!r} ended with {_ending(status)}" + (f": {end}" if end else ""))
        answers = _answers(name, output / FINDINGS, printed)
    by_status = STATUS[status]
    why = gate.why or f"the operator's command {name}"
    to_pass = f"{why}. To pass: the command has to end with status 0 and find nothing wrong"
    found = [
        Finding(
            gate=name,
            subject=answer.subject or context.asked.step,
            severity=answer.severity or by_status,
            measured=answer.measured,
            threshold=answer.threshold,
            reason=answer.reason or (why if (answer.severity or by_status) == "pass" else to_pass),
        )
        for answer in answers
    ]
    if not found or (by_status == "fail" and all(item.severity in ("pass", "warn") for item in found)):
        lines = [] if answers else (printed or said).strip().splitlines()
        yield Finding(
            gate=name,
            subject=context.asked.step,
            severity=by_status,
            measured=f"exit status {status}" + (f": {lines[-1][:SHOWN]}" if lines else ""),
            threshold="exit status 0",
            reason=why if by_status == "pass" else to_pass,
        )
    yield from bounded(found)


def _filled(argv: tuple[str, ...], context: GateContext, output: Path) -> list[str]:
    asked, request, run = context.asked, context.request, RunDirectory(context.run)
    values = {
        "run_dir": str(run.path),
        "output_dir": str(output),
        "findings": str(output / FINDINGS),
        "outcome": str(run.path / asked.artifacts.outcome),
        "request": str(run.path / asked.request),
        "data": request.data.path,
        "spec": str(run.spec),
        "checkpoint": request.checkpoint,
        "stage": request.stage,
        "step": request.step,
        "attempt": str(asked.attempt),
        "python": sys.executable,
    }
    return fill_argv(argv, values)


def _run(argv: list[str], output: Path, folder: Path, timeout_s: float) -> tuple[int, str, str]:
    """Run an argv and return its exit status, what it printed, and what it said on stderr."""
    printed, said = folder / "stdout", folder / "stderr"
    with printed.open("wb") as out, said.open("wb") as err:
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's
                argv, cwd=output, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )
        except OSError as error:
            raise NoAnswer(f"{argv[0]!r} could not be started: {error}") from error
        try:
            _wait(process, (printed, said), timeout_s)
        finally:
            with suppress(ProcessLookupError, PermissionError):  # what it started goes with it
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    texts = [path.read_bytes().decode("utf-8", errors="replace") for path in (printed, said)]
    return process.returncode, texts[0], texts[1]


def _wait(process: subprocess.Popen[bytes], files: tuple[Path, ...], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while process.poll() is None:
        if time.monotonic() >= deadline:
            raise NoAnswer(f"it was ended after its time limit of {format_seconds(timeout_s)}")
        if any(path.stat().st_size > MOST_OUTPUT for path in files):
            raise NoAnswer(f"it was ended after it had printed more than {MOST_OUTPUT} bytes")
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL_S)


def _answers(name: str, written: Path, printed: str) -> list[_Answer]:
    """Return what the command wrote as findings, or printed; plain text is none, and no fault either."""
    if written.is_file() and written.stat().st_size > MOST_OUTPUT:
        raise NoAnswer(f"its findings are more than {MOST_OUTPUT} bytes")
    text = written.read_text(encoding="utf-8", errors="replace") if written.is_file() else printed.strip()
    if not written.is_file() and not text.startswith(("{", "[")):
        return []
    try:
        content = json.loads(text)
        answers = _ANSWERS.validate_python(content if isinstance(content, list) else [content])
    except (ValueError, ValidationError) as error:
        raise NoAnswer(f"its findings cannot be read: {' '.join(str(error).split())[:SHOWN]}") from error
    others = sorted({answer.gate for answer in answers if answer.gate not in (None, name)} - {None})
    if others:
        raise NoAnswer(f"its findings are in the name of {', '.join(map(str, others))}")
    return answers


def _ending(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
