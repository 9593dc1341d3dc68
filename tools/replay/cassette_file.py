"""The file form of a cassette: JSON Lines, shaped like the JSON-RPC frames that went over the wire.

The first line is the header. A request and its answer are two lines with one id. What is no call stands between them as
notifications ``stagewright/...``.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, JsonValue, TypeAdapter, ValidationError

from stagewright.state.refusals import Refusal
from stagewright.tools.replay.cassette import VERSION, CallFrame, Cassette, Frame, Header

__all__ = ["read_cassette", "write_cassette"]

_TOLD: TypeAdapter[Frame] = TypeAdapter(Annotated[Frame, Field(discriminator="kind")])


def write_cassette(cassette: Cassette) -> str:
    """Return a cassette as text."""
    lines: list[JsonValue] = [_plain(cassette.header)]
    for number, frame in enumerate(cassette.frames, start=1):
        if isinstance(frame, CallFrame):
            lines += _call_lines(number, frame)
        else:
            params = _plain(frame)
            lines.append({"jsonrpc": "2.0", "method": f"stagewright/{params.pop('kind')}", "params": params})
    return "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)


def _call_lines(number: int, frame: CallFrame) -> Iterator[JsonValue]:
    params: dict[str, JsonValue] = {"name": frame.tool, "arguments": frame.arguments}
    meta: dict[str, JsonValue] = {} if frame.person is None else {"stagewright/person": _plain(frame.person)}
    meta |= {"stagewright/files": {**frame.files}} if frame.files else {}
    params |= {"_meta": meta} if meta else {}
    yield {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    if frame.answer is not None:
        result: JsonValue = {"structuredContent": frame.answer, "isError": frame.refused}
        yield {"jsonrpc": "2.0", "id": number, "result": result}


def _plain(part: BaseModel) -> dict[str, JsonValue]:
    plain: dict[str, JsonValue] = part.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    always = {name: getattr(part, name) for name in ("kind", "cassette") if hasattr(part, name)}
    return always | plain


def read_cassette(path: Path) -> Cassette:
    """Return the cassette in a file.

    Raises
    ------
    Refusal
        `invalid_argument`, with file and line, when it is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal("invalid_argument", f"the cassette {path} cannot be read: {error}") from error
    frames: list[Frame] = []
    header: Header | None = None
    for number, line in enumerate(lines, start=1):
        try:
            value = json.loads(line)
            if header is None:
                header = Header.model_validate(value)
            else:
                _take(frames, value)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            said = _first(error) if isinstance(error, ValidationError) else str(error)
            what = f"{path}:{number} is no line of a cassette of version {VERSION}: {said}"
            raise Refusal("invalid_argument", f"{what}. `stagewright export-calls RUN` makes one.") from error
    if header is None:
        raise Refusal("invalid_argument", f"{path} is empty; `stagewright export-calls RUN` makes a cassette")
    return Cassette(header=header, frames=tuple(frames))


def _take(frames: list[Frame], value: dict[str, JsonValue]) -> None:
    params, method = value.get("params"), value.get("method")
    if method == "tools/call" and isinstance(params, dict):
        given = params.get("_meta")
        meta = given if isinstance(given, dict) else {}
        asked = {"tool": params["name"], "arguments": params.get("arguments", {}), "answer": None}
        told = {"person": meta.get("stagewright/person"), "files": meta.get("stagewright/files", {})}
        frames.append(CallFrame.model_validate(asked | told))
    elif isinstance(method, str) and isinstance(params, dict):
        frames.append(_TOLD.validate_python({"kind": method.removeprefix("stagewright/"), **params}))
    else:
        result, last = value["result"], frames[-1] if frames else None
        if not isinstance(last, CallFrame) or last.answer is not None or not isinstance(result, dict):
            raise ValueError("an answer without a call before it")
        answered = {"answer": result["structuredContent"], "refused": result.get("isError", False)}
        frames[-1] = CallFrame.model_validate(last.model_dump() | answered)


def _first(error: ValidationError) -> str:
    first: Iterable[object] = error.errors(include_url=False)[0]["loc"]
    return f"{'.'.join(map(str, first))}: {error.errors(include_url=False)[0]['msg']}"
