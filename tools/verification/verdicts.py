"""Verify the verdicts of the ledger against the findings in validation.log that they were counted from."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TypeAlias

from stagewright.state.chain import Entry, Problem
from stagewright.state.events import StepValidated
from stagewright.state.records import FindingSummary
from stagewright.tools.verification.fold import LEDGER, Recorded
from stagewright.tools.verification.read_log import ReadLog
from stagewright.tools.verification.record import ReadRecord

__all__ = ["verdict_problems"]

_Act: TypeAlias = tuple[str, str, str]

WORST_FIRST = ("error", "fail", "warn", "pass")


def verdict_problems(record: ReadRecord) -> list[Problem]:
    """Compare what each verdict of the ledger counts with the findings that were written for it.

    Both are chained, and each chain can be made anew by whoever writes the directory: then only this tells that they
    do not say the same. A validation.log that is missing or broken was named already, and so was an anchor without
    its entry.
    """
    log = record.details["validation"]
    if log.missing or log.faults:
        return []
    by_act: defaultdict[_Act, list[tuple[int, Entry]]] = defaultdict(list)
    for seq, entry in enumerate(log.entries, start=1):
        if entry is not None and entry.get("event") == "finding":
            by_act[_act(entry)].append((seq, entry))
    found: list[Problem] = []
    for item in record.folded.recorded:
        if isinstance(item.event, StepValidated) and (anchored := _anchored(log, item)) is not None:
            findings = [entry for seq, entry in by_act[_act(item.entry)] if seq <= anchored]
            found += [
                Problem(LEDGER, item.line, fault, f"judged at {item.at}") for fault in _faults(item.event, findings)
            ]
    return found


def _act(entry: Entry) -> _Act:
    """Return what the findings of one judgement have in common with its verdict.

    One act has one time. What a judge wrote who died before the verdict has another, and counts for none.
    """
    return str(entry.get("at")), str(entry.get("step")), str(entry.get("attempt"))


def _anchored(log: ReadLog, item: Recorded) -> int | None:
    """Return the entry of validation.log that a verdict anchors; None where it does not have it."""
    anchors = item.entry.get("anchors")
    anchor = anchors.get("validation") if isinstance(anchors, dict) else None
    seq = anchor.get("seq") if isinstance(anchor, dict) else None
    if not isinstance(anchor, dict) or not isinstance(seq, int) or not 0 <= seq <= log.n_lines:
        return None
    return seq if seq == 0 or log.hashes[seq] == anchor.get("hash") else None


def _faults(event: StepValidated, findings: list[Entry]) -> Iterator[str]:
    written = Counter(str(finding.get("severity")) for finding in findings)
    gates = event.gates
    claimed = Counter({"error": gates.errors, "fail": gates.failed, "warn": gates.warned, "pass": gates.passed})
    # A gate that was not heard is an error without a finding; it may only make a verdict worse.
    unheard = claimed["error"] == written["error"] + 1 and event.verdict == "error"
    expected = written + Counter({"error": unheard})
    if claimed != expected:
        kinds = [kind for kind in claimed | expected if claimed[kind] != expected[kind]]
        said = ", ".join(f"{kind} {claimed[kind]} (validation.log: {expected[kind]})" for kind in kinds)
        yield f"counts other findings of {event.step} than validation.log has: {said}"
    worst = next((kind for kind in WORST_FIRST if expected[kind]), None)
    if event.verdict != worst:
        yield f"says that {event.step} was judged {event.verdict}; the worst of its findings is {worst or 'not there'}"
    shown = [{name: finding.get(name) for name in FindingSummary.model_fields} for finding in findings]
    strangers = [finding for finding in gates.worst if finding.model_dump(mode="json") not in shown]
    if strangers:
        yield f"shows a finding of {strangers[0].gate} on {event.step} that validation.log does not have"
