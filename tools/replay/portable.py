"""Make what was recorded fit for another machine: names for ids and places, marks for what differs each time.

`Portable` takes out what belongs to one machine or must not travel: run ids, the root, other absolute paths, secrets.
`marked` replaces what differs from run to run by the name of its kind, in the record and in a replay alike; so equal
means equal but for those.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from stagewright.state.without_secrets import SECRET_NAME, text_without_secrets

__all__ = ["Portable", "marked", "marked_text"]

ROOT = "<root>"
ELSEWHERE = "/elsewhere/path-"
PATH = re.compile(r"(?<![\w.<>/:-])/(?:[\w.+@~-]+/)+[\w.+@~-]+")
HOME_PATH = re.compile(r"(?<![\w.<>/])~/[\w.+@~/-]+")

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
DURATION = re.compile(
    r"(?<![\w.])(?:\d+d\d*|(?:\d+d)?\d+h(?:\d+min)?(?:\d+s)?|(?:\d+d)?\d+min(?:\d+s)?|\d+(?:\.\d+)?(?:e[+-]\d+)? ?s)\b",
)
SIZE = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e\+\d+)? ?(?:[KMGT]i?B|kB|B)\b")
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
PATHS = re.compile(r"/elsewhere/path-\d+")
PID = re.compile(r"\bpid \d+")
SHARE = re.compile(r"(?<![\w.])\d+(?:\.\d+)? ?%")
SHARE_OF = re.compile(r"(<size>|<time>) \(\d+(?:\.\d+)?%\)")
PAGED = re.compile(r"\b\d+ of \d+( from \d+)?(?=\.$)")

KEPT_SIZES = frozenset({"memory_limit_bytes"})
TIMED = frozenset({"forecast", "forecast_met", "forecasts_met"})
CODED = frozenset({"code_sha256", "spec_digest"})
PROGRESS = frozenset({"done", "total", "unit", "elapsed_s", "left_s", "peak_rss_bytes", "summary", "progress", "notes"})


@dataclass(slots=True)
class Portable:
    """What stands for what on this machine.

    Attributes
    ----------
    root
        Absolute.
    names
        The placeholder of each run's id.
    places
        What stands for further paths, such as that of data outside the root.
    data
        For each run the path of its data as its spec has it, and what stands for that in a file of that spec.
    elsewhere
        What stands for paths that are nobody's business; they stay absolute, and outside of any root.
    """

    root: Path
    names: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    data: dict[str, tuple[str, str]] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)

    def out(self, value: JsonValue) -> JsonValue:
        """Return a value without ids, absolute paths and secrets."""
        match value:
            case str():
                return self._text(value)
            case list():
                return [self.out(item) for item in value]
            case dict():
                return {
                    self._text(key): "<secret>" if SECRET_NAME.search(key) and isinstance(item, str) else self.out(item)
                    for key, item in value.items()
                }
            case _:
                return value

    def back(self, value: JsonValue) -> JsonValue:
        """Return a value with the ids and the root of this machine where placeholders stand."""
        match value:
            case str():
                text = value.replace(ROOT, str(self.root))
                for name, placeholder in self.names.items():
                    text = text.replace(placeholder, name)
                return text
            case list():
                return [self.back(item) for item in value]
            case dict():
                return {key: self.back(item) for key, item in value.items()}
            case _:
                return value

    def _text(self, text: str) -> str:
        for name, placeholder in self.names.items():
            text = text.replace(name, placeholder)
        for place, placeholder in sorted(self.places.items(), key=lambda item: -len(item[0])):
            text = text.replace(place, placeholder)
        text = text.replace(str(self.root), ROOT)
        return PATH.sub(self._elsewhere, HOME_PATH.sub(self._elsewhere, text_without_secrets(text, "<secret>")))

    def _elsewhere(self, found: re.Match[str]) -> str:
        path = found.group()
        if path.startswith(ELSEWHERE):
            return path
        return self.elsewhere.setdefault(path, f"{ELSEWHERE}{len(self.elsewhere) + 1}")


def marked(answer: Mapping[str, JsonValue], volatile: tuple[str, ...] = ()) -> dict[str, JsonValue]:
    """Return an answer with what differs from run to run replaced by the name of its kind.

    Parameters
    ----------
    volatile
        Further keys whose values are not compared.
    """
    facts = dict(answer)
    if facts.get("status") == "running":  # where a step at work has got to is a matter of time
        facts = {key: value for key, value in facts.items() if key not in PROGRESS}
        if facts.get("view") == "summary":
            facts.pop("items", None)
    if facts.get("view") == "runs":  # there may have been others in the root
        items = facts.get("items")
        runs = [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []
        known: list[JsonValue] = [one for one in runs if str(one.get("run_id")).startswith("<run-")]
        facts |= {"items": known, "summary": "<runs>"}
    if "view" in facts:
        facts.pop("next_cursor", None)  # how much fits on a page depends on the length of names
    return {key: _marked(key, value, volatile) for key, value in facts.items()}


def _marked(key: str, value: JsonValue, volatile: tuple[str, ...]) -> JsonValue:
    if key in volatile or (key in TIMED | CODED and value is not None) or _is_measured(key, value):
        return "<volatile>"
    match value:
        case str():
            return marked_text(key, value)
        case list():
            return [_marked(key, item, volatile) for item in value]
        case dict():
            return {name: _marked(name, item, volatile) for name, item in value.items()}
        case _:
            return value


def _is_measured(key: str, value: JsonValue) -> bool:
    """Return whether a number is a time or a size that was measured."""
    measured = key.endswith("_s") or (key.endswith("_bytes") and key not in KEPT_SIZES)
    return measured and isinstance(value, int | float) and not isinstance(value, bool)


def marked_text(key: str, text: str) -> str:
    """Return the text of a field with times, sizes, paths and digests replaced by the names of their kinds."""
    text = MOMENT.sub("<moment>", text)
    text = SHARE_OF.sub(r"\1 (<share>)", DURATION.sub("<time>", SIZE.sub("<size>", text)))
    text = PID.sub("pid <n>", PATHS.sub("<path>", text))
    if key == "note":
        text = SHARE.sub("<share>", text)
    if key == "summary":
        text = PAGED.sub("<page>", text)
    return text if key == "sha256" else DIGEST.sub("<digest>", text)
