"""Every file that a step owes exists, opens, and has the promised shape and columns."""

from collections.abc import Iterator
from functools import partial

from stagewright.gates.finding import bounded
from stagewright.gates.left_out import left_out
from stagewright.gates.open_artifact import ArtifactUnreadable, Opened, open_artifact
from stagewright.gates.promise import Promise
from stagewright.gates.promises import promises
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.artifacts import Artifact

__all__ = ["promised_files"]

_finding = partial(Finding, gate="promised_files")
WHY = "What a step owes follows from the request that it was given; later steps and readers count on it."
AGAIN = "To pass: adjust, so that the step is executed again; if it comes back, the stage itself is wrong."


def promised_files(context: GateContext) -> Iterator[Finding]:
    """Compare the step's files with what the request asks for, and with what the stage declared about each.

    Measured are, of each file, whether this step declared it, whether it opens as its format, and its shape, dtype,
    columns, keys, obs, obsm and varm; and whether lengths that must be one (the number of cells, of genes) are one in
    all files. A command stage owes at least one file; each that it wrote
    has to open as what its suffix says (a csv of a command that is not a plain table is a warning).

    Notes
    -----
    The threshold is equality for shapes, and inclusion for names: a stage may write more than it owes.
    """
    declared = {artifact.path: artifact for artifact in context.outcome.artifacts}
    owed = {promise.path: promise for promise in promises(context.request, left_out(context))}
    faults = [
        _fail(path, "not written by this step", f"a {owed[path].format}") for path in owed if path not in declared
    ]
    lengths: dict[str, dict[int, str]] = {}
    for path, artifact in declared.items():
        try:
            opened = open_artifact(context.run / path, artifact.format)
        except ArtifactUnreadable as error:
            fault = _fail(path, str(error), f"a readable {artifact.format}")
            # A command owes nobody a table, and its csv may have comment lines, other separators, other encodings.
            lenient = artifact.format == "csv" and not owed
            faults.append(fault.model_copy(update={"severity": "warn"}) if lenient else fault)
            continue
        faults += _against_declaration(artifact, opened)
        if path in owed:
            faults += _against_promise(owed[path], artifact, opened)
            _note_lengths(lengths, owed[path], opened)
    faults += _disagreements(lengths, context.outcome.n_cells)
    if not declared and not owed:
        faults.append(_fail(f"{context.request.step}", "no file", "at least one file"))
    yield from bounded(faults)
    if not faults:
        agreed = ", ".join(f"{next(iter(found))} {axis}" for axis, found in lengths.items() if "of" not in axis)
        yield _finding(
            subject=context.request.step,
            severity="pass",
            measured=f"{len(declared)} files open, {len(owed)} of them owed{agreed and f'; {agreed} throughout'}",
            threshold="every owed file, whole and of the promised shape",
            reason=WHY,
        )


def _against_declaration(artifact: Artifact, opened: Opened) -> Iterator[Finding]:
    if artifact.shape is not None and opened.shape and artifact.shape != opened.shape:
        yield _fail(artifact.path, f"shape {list(opened.shape)}", f"shape {list(artifact.shape)}, as declared")
    if artifact.columns is not None and opened.columns and artifact.columns != opened.columns:
        yield _fail(
            artifact.path, f"columns {_shown(opened.columns)}", f"columns {_shown(artifact.columns)}, as declared"
        )
    if absent := [name for name in artifact.obs or () if name not in opened.obs]:
        yield _fail(artifact.path, f"no obs column {_shown(absent)}", "every declared obs column")
    for name, said, found in (("obsm", artifact.obsm, opened.obsm), ("varm", artifact.varm, opened.varm)):
        yield from _arrays(artifact.path, name, said, found, "as declared")


def _against_promise(promise: Promise, artifact: Artifact, opened: Opened) -> Iterator[Finding]:
    path = promise.path
    if artifact.format != promise.format:
        yield _fail(path, f"declared as {artifact.format}", promise.format)
        return
    if promise.axes and (
        len(promise.axes) != len(opened.shape)
        or any(
            isinstance(axis, int) and axis != length for axis, length in zip(promise.axes, opened.shape, strict=True)
        )
    ):
        yield _fail(path, f"shape {list(opened.shape)}", f"shape {_axes(promise)}")
    if promise.format == "npy" and not opened.dtype.startswith(promise.dtype or "float"):
        yield _fail(path, f"dtype {opened.dtype}", f"dtype {promise.dtype or 'float'}")
    for what, owed, found in (
        ("column", promise.columns, opened.columns),
        ("key", promise.keys, opened.keys),
        ("obs column", promise.obs, opened.obs),
    ):
        if absent := [name for name in owed if name not in found]:
            yield _fail(path, f"no {what} {_shown(absent)}", f"{what}s {_shown(owed)}")
    for name, owed_arrays, arrays in (("obsm", promise.obsm, opened.obsm), ("varm", promise.varm, opened.varm)):
        yield from _arrays(path, name, owed_arrays, arrays, "as asked for")


def _arrays(path: str, name: str, owed: dict[str, int], found: dict[str, int], whose: str) -> Iterator[Finding]:
    for key, width in owed.items():
        if found.get(key) != width:
            seen = f"{found[key]} columns" if key in found else "missing"
            yield _fail(f"{path} {name}[{key!r}]", seen, f"{width} columns, {whose}")


def _note_lengths(lengths: dict[str, dict[int, str]], promise: Promise, opened: Opened) -> None:
    for axis, length in zip(promise.axes, opened.shape, strict=False):
        if isinstance(axis, str):
            lengths.setdefault(axis, {}).setdefault(length, promise.path)


def _disagreements(lengths: dict[str, dict[int, str]], n_cells: int | None) -> Iterator[Finding]:
    for axis, found in lengths.items():
        if len(found) > 1:
            shown = "; ".join(f"{length} in {path}" for length, path in found.items())
            yield _fail(f"number of {axis}", shown, "one number in every file")
    cells = lengths.get("cells", {})
    if n_cells is not None and len(cells) == 1 and n_cells not in cells:
        yield _fail("number of cells", f"{next(iter(cells))} in the files", f"{n_cells}, as the outcome says")


def _axes(promise: Promise) -> str:
    return "[" + ", ".join("any" if axis is None else str(axis) for axis in promise.axes) + "]"


def _shown(names: tuple[str, ...] | list[str], most: int = 6) -> str:
    beyond = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + beyond


def _fail(subject: str, measured: str, threshold: str) -> Finding:
    return _finding(subject=subject, severity="fail", measured=measured, threshold=threshold, reason=f"{WHY} {AGAIN}")
