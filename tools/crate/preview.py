"""The page of a crate for people: what was asked, what came out, who decided what, and where the files are."""

import json
from collections.abc import Iterable, Iterator
from html import escape
from urllib.parse import quote

from pydantic import JsonValue

from stagewright.state.chain import Entry
from stagewright.state.events import Approved, Decided, StepValidated
from stagewright.state.records import FindingSummary
from stagewright.state.run_state import RunState
from stagewright.state.units import format_bytes, format_seconds
from stagewright.tools.best_result import BestResult
from stagewright.tools.crate.contents import CrateFile
from stagewright.tools.run_story import RunStory
from stagewright.tools.why.opening import changes_of

__all__ = ["PREVIEW", "preview_page"]

PREVIEW = "ro-crate-preview.html"
MOST_METADATA = 4_000_000
"""Characters of JSON-LD that the page repeats in its head; of more it only names the file."""

STYLE = """
:root { color-scheme: light }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
h1 { font-size: 1.5rem; line-height: 1.3; margin-bottom: .25rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid #d8dee4 }
th { font-weight: 600; white-space: nowrap }
code, .id { font: .85em ui-monospace, monospace; overflow-wrap: anywhere }
.id, .note { color: #57606a } .number { text-align: right; white-space: nowrap }
.best { border-left: 4px solid #1a7f37; background: #f0f8f2; padding: .6rem 1rem; margin: 1rem 0 }
.problem { border-left: 4px solid #b42318; background: #fdf2f1; padding: .6rem 1rem; margin: 1rem 0 }
.pass, .continue { color: #1a7f37 } .warn, .adjust { color: #8a5a00 } .fail, .error, .stop { color: #b42318 }
.doubted { border-left-color: #9a6700; background: #fdf8ec }
.best table { width: auto } .word { font-weight: 600 } details { margin: .2rem 0 } summary { cursor: pointer }
"""


def preview_page(
    story: RunStory,
    state: RunState,
    best: BestResult | None,
    files: Iterable[CrateFile],
    manifest: dict[str, JsonValue],
    findings: dict[int, list[Entry]],
    metadata: dict[str, JsonValue],
    head: str,
) -> str:
    """Return the page as HTML. Whatever comes from the run is escaped.

    Parameters
    ----------
    findings
        Those that were no pass, by the attempt that they judge.
    metadata
        The crate's JSON-LD.
    head
        The hash of the ledger's last entry.
    """
    parts = [
        *_beginning(story, state, best),
        *_decisions(story),
        *_steps(story, state, findings),
        *_made_with(state, manifest, head),
        *_files(files),
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(state.objective)}</title>",
            f"<style>{STYLE}</style>",
            _embedded(metadata),
            "</head><body>",
            *parts,
            "</body></html>\n",
        ]
    )


def _text(value: object) -> str:
    return escape(str(value), quote=True)


def _embedded(metadata: dict[str, JsonValue]) -> str:
    """Return the JSON-LD as a script element, which no text of it can close."""
    text = json.dumps(metadata, ensure_ascii=False)
    if len(text) > MOST_METADATA:
        return "<!-- the metadata are in ro-crate-metadata.json -->"
    for character, written in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(character, written)
    return f'<script type="application/ld+json">{text}</script>'


def _beginning(story: RunStory, state: RunState, best: BestResult | None) -> Iterator[str]:
    yield f"<h1>{_text(state.objective)}</h1>"
    began, ended = story.entries[0].at, story.entries[-1].at
    tried = f"{state.configurations_tried} configurations tried"
    yield f'<p><span class="word">{_text(state.status)}</span> at {_text(state.step)}, {_text(tried)}.'
    yield f"{_text(began)} to {_text(ended)}.<br>"
    yield f'<span class="id">{_text(state.run_id)}</span></p>'
    if state.blocked is not None:
        yield f'<p class="problem"><b>Blocked:</b> {_text(state.blocked.error)}</p>'
    if best is None:
        yield '<p class="note">No configuration was scored.</p>'
        return
    noted = "" if best.configuration is None else f": {_text(best.configuration)}"
    doubts = _doubts(story, best.step)
    yield f'<div class="best{" doubted" if doubts else ""}"><b>Best result</b>, by {_text(best.step)}{noted}'
    yield from (
        f"<p><b>{_text(doubt.severity)}</b> {_text(doubt.gate)}: {_text(doubt.measured)}</p>" for doubt in doubts
    )
    yield "<table>"
    for name, value in best.metrics.items():
        yield f'<tr><td><code>{_text(name)}</code></td><td class="number">{value:.4g}</td></tr>'
    yield "</table></div>"
    if state.holdout_score is not None:
        yield f"<p>Sealed hold-out: {_text(state.holdout_score.said())}</p>"


def _doubts(story: RunStory, step: str) -> tuple[FindingSummary, ...]:
    """Return what the gates found on a step at its last verdict, but for what passed: it belongs beside its result."""
    events = (entry.event for entry in reversed(story.entries))
    judged = next((event for event in events if isinstance(event, StepValidated) and event.step == step), None)
    return () if judged is None else judged.gates.worst


def _decisions(story: RunStory) -> Iterator[str]:
    yield "<h2>Decisions</h2>"
    told = [entry for entry in story.entries if isinstance(entry.event, Decided | Approved)]
    if not told:
        yield '<p class="note">Nothing was decided yet.</p>'
        return
    yield "<table><tr><th>Step</th><th>Decision</th><th>Why</th><th>Who</th><th>When (UTC)</th></tr>"
    for entry in told:
        event, word = entry.event, "approve"
        if isinstance(event, Decided):
            changes = changes_of(event.changes)
            why, word = event.rationale, str(event.decision)
        elif isinstance(event, Approved):
            changes = [] if event.report_sha256 is None else [f"on the report with sha256 {event.report_sha256}"]
            why = event.reason
        else:
            continue
        more = "".join(f'<br><span class="note">{_text(change)}</span>' for change in changes)
        yield (
            f'<tr><td>{_text(event.step or "")}</td><td class="word {word}">{word}</td><td>{_text(why)}{more}</td>'
            f"<td>{_text(event.actor)}</td><td>{_text(entry.at[:19].replace('T', ' '))}</td></tr>"
        )
    yield "</table>"


def _steps(story: RunStory, state: RunState, findings: dict[int, list[Entry]]) -> Iterator[str]:
    verdicts = {told.event.attempt: told.event for told in story.entries if isinstance(told.event, StepValidated)}
    yield "<h2>Steps</h2><table>"
    yield "<tr><th>Step</th><th>Attempt</th><th>Outcome</th><th>Verdict</th><th>Findings</th><th>Time</th></tr>"
    for step in story.planned.steps:
        attempts = story.attempts_at(step)
        if not attempts:
            yield f'<tr><td>{_text(step)}</td><td colspan="5" class="note">not reached</td></tr>'
        for attempt in attempts:
            verdict = verdicts.get(attempt.number)
            word = "" if verdict is None else verdict.verdict
            ended = attempt.finished
            took = "" if ended is None else format_seconds(ended.elapsed_s)
            said = [_failure(ended.message)] if ended and attempt.outcome == "failed" else []
            said += [_finding(entry) for entry in findings.get(attempt.number, ())]
            counts = "" if verdict is None else f"{verdict.gates.passed} passed"
            yield (
                f"<tr><td>{_text(step)}</td><td>{attempt.number}</td><td>{_text(attempt.outcome)}</td>"
                f'<td class="word {word}">{word}</td><td>{counts}{"".join(said)}</td>'
                f'<td class="number">{_text(took)}</td></tr>'
            )
    yield "</table>"
    if state.status not in ("completed", "stopped"):
        yield '<p class="note">The run was not over when this crate was made.</p>'


def _failure(message: str) -> str:
    return f'<div class="fail">{_text(message)}</div>'


def _finding(entry: Entry) -> str:
    severity, gate, subject = (str(entry.get(name, "")) for name in ("severity", "gate", "subject"))
    kind = severity if severity in ("warn", "fail", "error") else ""
    return (
        f'<details><summary><span class="word {kind}">{_text(severity)}</span> {_text(gate)}: {_text(subject)}: '
        f"{_text(entry.get('measured', ''))}</summary>"
        f'<p class="note">Threshold: {_text(entry.get("threshold", ""))}. {_text(entry.get("reason", ""))}</p>'
        "</details>"
    )


def _made_with(state: RunState, manifest: dict[str, JsonValue], head: str) -> Iterator[str]:
    code = manifest.get("code")
    said = code if isinstance(code, dict) else {}
    packages = said.get("packages")
    versions = packages if isinstance(packages, dict) else {}
    rows = {
        "Data": f"{state.data.path.rpartition('/')[2]}, {format_bytes(state.data.bytes)}",
        "Data sha256": state.data.sha256,
        "Spec sha256": state.spec_sha256,
        "Ledger's last hash": head,
        "Git commit": f"{said['git_commit']}{' with changes' if said.get('git_dirty') else ''}"
        if said.get("git_commit")
        else None,
        "Packages": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
    }
    yield "<h2>Made from</h2><table>"
    for name, value in rows.items():
        if value:
            yield f"<tr><th>{name}</th><td><code>{_text(value)}</code></td></tr>"
    yield "</table>"


def _files(files: Iterable[CrateFile]) -> Iterator[str]:
    yield "<h2>Files</h2>"
    folders: dict[str, list[CrateFile]] = {}
    for file in files:
        parts = file.path.split("/")
        folders.setdefault("/".join(parts[: min(3, len(parts) - 1)]) or ".", []).append(file)
    for folder, inside in folders.items():
        size = format_bytes(sum(file.bytes for file in inside))
        opened = " open" if folder in (".", "logs") else ""
        name = "The record" if folder == "." else folder
        yield f"<details{opened}><summary>{_text(name)} ({len(inside)} files, {size})</summary><table>"
        for file in inside:
            link = f'<a href="{_text(quote(file.path))}">{_text(file.path)}</a>' if file.copied else _text(file.path)
            where = "" if file.copied else ' <span class="note">not in the crate</span>'
            yield (
                f'<tr><td>{link}{where}</td><td class="number">{_text(format_bytes(file.bytes))}</td>'
                f'<td><span class="id" title="sha256">{file.sha256[:16]}</span></td></tr>'
            )
        yield "</table></details>"
