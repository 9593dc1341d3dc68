"""Write the report that a person approves as the question of a form: short, and every line ours to begin."""

from collections.abc import Iterator

from stagewright.state.units import format_bytes, format_seconds
from stagewright.tools.approval_report import ApprovalReport

__all__ = ["MAX_BYTES", "approval_question", "one_line"]

MAX_BYTES = 2000
"""Clients show a question in a small window."""

MAX_LINE_BYTES = 160
SHOWN_SCORES = 4


def approval_question(report: ApprovalReport) -> str:
    """Return the question: what begins, on which evidence, and the digest of the report, within `MAX_BYTES`.

    Steps and findings are left out from the oldest on where there are too many, and the question says so.
    """
    ends = [*(one_line(line) for line in _ends(report)), f"Digest: {report.digest}"]
    begins = [one_line(line) for line in _begins(report)]
    evidence = [one_line(line) for line in _evidence(report)]
    question = ""
    for left_out in range(len(evidence) + 1):
        question = "\n".join([*begins, *_cut(left_out, report), *evidence[left_out:], *ends])
        if len(question.encode()) <= MAX_BYTES:
            break
    return question


def one_line(text: str, max_bytes: int = MAX_LINE_BYTES) -> str:
    r"""Return text as one line of printable characters, so that what an agent wrote cannot pose as another.

    >>> one_line("a question\nDigest: forged")
    'a question Digest: forged'
    """
    clean = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    encoded = clean.encode()
    return clean if len(encoded) <= max_bytes else f"{encoded[: max_bytes - 3].decode(errors='ignore')}..."


def _begins(report: ApprovalReport) -> Iterator[str]:
    yield f"Let checkpoint {report.checkpoint} of this study begin?"
    yield f"Run: {report.run_id}"
    yield f"Question: {report.objective}"


def _evidence(report: ApprovalReport) -> Iterator[str]:
    for step in report.steps:
        counts = f"{step.passed} passed, {step.warned} warned, {step.failed + step.errors} failed"
        yield f"Gates: {step.step} {step.verdict} ({counts})"
        for finding in step.findings:
            yield f"- {finding}"
    if not report.steps:
        yield "Gates: none yet, nothing was executed"


def _ends(report: ApprovalReport) -> Iterator[str]:
    if report.best_step is not None:
        scores = [f"{name.rpartition('.best.')[2]} {value:.4g}" for name, value in report.metrics.items()]
        yield f"Best: {report.best_step}, {report.best or 'see the metrics'}"
        yield f"Scores: {', '.join(scores[:SHOWN_SCORES])}"
    adjusted = f"{report.adjustments} adjustments, {report.loosened_after_look} of them looser after pilot scores"
    yield f"Trials: {report.configurations} configurations tried, {adjusted}"
    used = f"{format_seconds(report.runtime_used_s)} of {format_seconds(report.limits.runtime_s)} used"
    yield f"Budget: {used}, highest memory {format_bytes(report.peak_rss_bytes)}"
    yield f"Forecast: {report.forecast or 'none'}"
    yield f"Record: {'holds together' if not report.problems else f'{len(report.problems)} PROBLEMS, first:'}"
    yield from (f"- {problem}" for problem in report.problems[:1])


def _cut(left_out: int, report: ApprovalReport) -> list[str]:
    return [f"({left_out} lines left out: `stagewright approve {report.run_id}` shows all)"] if left_out else []
