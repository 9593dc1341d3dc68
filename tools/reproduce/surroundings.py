"""How what a reproduction ran on differs from what the record says of the run: versions, machine, executor, gates."""

from collections.abc import Iterator

from pydantic import JsonValue

from stagewright.state.events import RunPlanned
from stagewright.state.manifest import read_manifest
from stagewright.state.run_directory import RunDirectory

__all__ = ["surroundings"]

PARTS = (("code", "packages"), ("environment",))


def surroundings(
    run: RunDirectory, planned: RunPlanned, again: RunDirectory, planned_again: RunPlanned
) -> Iterator[str]:
    """Yield a line for each difference, e.g. ``numpy: 2.3.1 -> 2.4.0``."""
    before, after = (_manifest(one) for one in (run, again))
    if not before:
        yield f"{run.manifest.name} is gone or unreadable: nobody can tell which versions the run had"
    else:
        for place in PARTS:
            yield from _differences(_at(before, place), _at(after, place), "")
        yield from dict.fromkeys(_of_executors(_at(before, ("executors",)), _at(after, ("executors",))))
    gates = [{gate.name: gate.code_sha256 for gate in one.gates} for one in (planned, planned_again)]
    for name in dict.fromkeys([*gates[0], *gates[1]]):
        if name not in gates[1]:
            yield f"gate {name}: judged the run, and is not there now"
        elif name not in gates[0]:
            yield f"gate {name}: is new"
        elif gates[0][name] != gates[1][name]:
            yield f"gate {name}: its code is another"


def _manifest(run: RunDirectory) -> dict[str, JsonValue]:
    try:
        return read_manifest(run.manifest.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return {}


def _at(manifest: dict[str, JsonValue], place: tuple[str, ...]) -> JsonValue:
    found: JsonValue = manifest
    for key in place:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _of_executors(before: JsonValue, after: JsonValue) -> Iterator[str]:
    """Yield what differs at any step, without the step: it is the same at most of them."""
    if isinstance(before, dict) and isinstance(after, dict):
        for step in before.keys() & after.keys():
            yield from _differences(before[step], after[step], "executor")


def _differences(before: JsonValue, after: JsonValue, place: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before:  # what the record does not say cannot differ from it
            if key in after:
                yield from _differences(before[key], after[key], f"{place}.{key}" if place else key)
    elif before != after and before is not None:
        yield f"{place}: {before} -> {after}"
