"""Verify the verdicts of the ledger against the findings in validation.log that they were counted from."""

from collections import Counter
from collections.abc import Iterator

from stagewright.state.chain import ChainedLog, Entry, Problem
from stagewright.state.events import StepValidated
from stagewright.state.records import FindingSummary
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.verification.fold import LEDGER, FoldedLedger, Recorded

__all__ = ["verdict_problems"]

WORST_FIRST = ("error", "fail", "warn", "pass")


def verdict_problems(run: RunDirectory, folded: FoldedLedger) -> list[Problem]:
    """Compare what each verdict of the ledger counts with the findings that were written for it.

    Both are chained, and each chain can be made anew by whoever writes the directory: then only this tells that they
    do not say the same. A validation.log that is missing or broken was named already, and so was an anchor without
    its entry.
    """
    log = ChainedLog(run.log("validation"))
    if not log.path.is_file() or log.problems():
        return []
    entries = list(log.entries())
    judged = [(item, item.event) for item in folded.recorded if isinstance(item.event, StepValidated)]
    found: list[Problem] = []
    for item, event in judged:
        findings = _findings(entries, item)
        if findings is not None:
            found += [Problem(LEDGER, item.line, fault) for fault in _faults(event, findings)]
    return found


def _findings(entries: list[Entry], item: Recorded) -> list[Entry] | None:
    """Return the findings that were written in the act of a verdict; None where its anchor does not hold.

    One act has one time. What a judge wrote who died before the verdict has another, and counts for none.
    """
    anchors = item.entry.get("anchors")
    anchor = anchors.get("validation") if isinstance(anchors, dict) else None
    seq = anchor.get("seq") if isinstance(anchor, dict) else None
    if not isinstance(anchor, dict) or not isinstance(seq, int) or not 0 <= seq <= len(entries):
        return None
    if seq > 0 and entries[seq - 1].get("hash") != anchor.get("hash"):
        return None
    of_act = ("finding", item.entry.get("at"), item.entry.get("step"), item.entry.get("attempt"))
    return [one for one in entries[:seq] if tuple(one.get(key) for key in ("event", "at", "step", "attempt")) == of_act]


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
