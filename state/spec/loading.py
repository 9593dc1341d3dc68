"""Read a goal spec from YAML or JSON text, and say of every fault where it is and what is allowed there."""

import json
from collections.abc import Hashable
from pathlib import Path

import yaml
from pydantic import JsonValue, ValidationError

from stagewright.state.refusals import Refusal
from stagewright.state.spec.faults import describe_faults, list_faults
from stagewright.state.spec.goal import GoalSpec

__all__ = ["load_spec", "parse_spec", "read_spec_text"]

MAX_BYTES = 1 << 20
MAX_DEPTH = 30
MAX_NODES = 50_000


class _PlainLoader(yaml.SafeLoader):
    """Plain YAML data: no aliases (a few hundred bytes of them can unfold to gigabytes), no key twice, bounded."""

    depth = 0
    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one node, unless it is an alias or beyond the bounds."""
        event = self.peek_event()  # type: ignore[no-untyped-call]  # untyped in the stubs
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError(f"a spec has no YAML aliases{_line_of(event)}")
        self.depth += 1
        self.nodes += 1
        if self.depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise yaml.YAMLError(f"a spec is not nested or long like this{_line_of(event)}")
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:  # noqa: FBT001, FBT002 - yaml's signature
        """Construct a mapping, unless a key is written twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is a plain word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} is written twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def load_spec(path: Path) -> GoalSpec:
    """Return the goal spec that a YAML or JSON file holds.

    Raises
    ------
    Refusal
        `invalid_spec`, with every fault, its place and what is allowed there.
    """
    return parse_spec(read_spec_text(path))


def read_spec_text(path: Path) -> str:
    """Return the text of a spec file.

    Raises
    ------
    Refusal
        `invalid_spec` when there is no such file, or it is not UTF-8 text of at most 1 MiB.
    """
    try:
        if not path.is_file():
            raise Refusal("invalid_spec", f"there is no spec file at {path}; give the path of a YAML or JSON file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise Refusal("invalid_spec", f"{path} is larger than 1 MiB; a goal spec is a page of YAML or JSON")
        return raw.decode("utf-8")
    except (OSError, ValueError) as error:
        raise Refusal("invalid_spec", f"{path} cannot be read as UTF-8 text: {error}") from error


def parse_spec(source: str | dict[str, JsonValue]) -> GoalSpec:
    """Return the goal spec that a text (YAML or JSON) or an object declares.

    Raises
    ------
    Refusal
        `invalid_spec`, with every fault, its place and what is allowed there.
    """
    declared = _parse_text(source) if isinstance(source, str) else source
    if not isinstance(declared, dict):
        kind = "empty" if declared is None else f"a {type(declared).__name__}"
        raise Refusal("invalid_spec", f"the spec is {kind}; it must be a mapping with at least objective and data")
    try:
        return GoalSpec.model_validate(declared)
    except ValidationError as error:
        faults = describe_faults(error, GoalSpec)
        heading = f"the goal spec has {len(faults)} fault{'s' if len(faults) > 1 else ''}:"
        raise Refusal("invalid_spec", f"{heading}\n{list_faults(faults)}") from error


def _parse_text(text: str) -> object:
    if len(text) > MAX_BYTES:
        raise Refusal("invalid_spec", "the spec is larger than 1 MiB; a goal spec is a page of YAML or JSON")
    try:
        if text.lstrip().startswith("{"):
            return json.loads(text, object_pairs_hook=_each_key_once)
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader, with fewer features
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
        raise Refusal("invalid_spec", f"the spec is not plain YAML{place}: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Refusal("invalid_spec", f"the spec is not plain YAML or JSON: {error}") from error


def _line_of(event: yaml.Event) -> str:
    return "" if event.start_mark is None else f" (line {event.start_mark.line + 1})"


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON object, unless a key is written twice."""
    seen = dict(pairs)
    if len(seen) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise ValueError(f"{twice!r} is written twice")
    return seen
