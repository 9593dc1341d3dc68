"""The command stage: run an argv that the operator registered, so that any existing script can be a stage.

No shell reads it. In each part of the argv these are filled in: ``{run_dir}``, ``{output_dir}`` (write results there),
``{data}``, ``{spec}``, ``{request}``, ``{checkpoint}``, ``{stage}``, ``{step}``. What the command leaves in
`output_dir` are the step's artifacts; a file ``metrics.json`` there, an object of numbers, becomes its metrics.
"""

import json
import math
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path, PurePosixPath

from pydantic import JsonValue, TypeAdapter

from stagewright.stages.cohort.sealed_file import check_sealed
from stagewright.stages.protocol import Killed, StageContext, StageResult, Unit, UnitFailed
from stagewright.stages.unit_cache import UnitInputs
from stagewright.state.artifacts import ArtifactFormat, ArtifactWriter
from stagewright.state.attempts import REQUEST
from stagewright.state.canonical import digest_file
from stagewright.state.fill_argv import fill_argv
from stagewright.state.layout import command_output
from stagewright.state.run_directory import RunDirectory

__all__ = ["CommandFailed", "run"]

FORMATS: dict[str, ArtifactFormat] = {
    ".npy": "npy",
    ".csv": "csv",
    ".parquet": "parquet",
    ".h5ad": "h5ad",
    ".json": "json",
}
SEALED_PARTS = ("{data}", "{spec}", "{request}", "{output_dir}")
_METRICS: TypeAdapter[dict[str, float]] = TypeAdapter(dict[str, float])


class CommandFailed(ValueError):  # noqa: N818 - names what happened
    """The command ended with another status than 0, or left no usable result."""


def run(context: StageContext) -> StageResult:
    """Run the registered command and record what it wrote.

    Raises
    ------
    UnitFailed
        With `CommandFailed` as its cause, when the command fails or its results are not usable.
    """
    request = context.request
    folder = command_output(request.checkpoint, request.stage)
    unit = Unit(request.stage)
    if request.command is None:
        raise UnitFailed(unit) from CommandFailed(
            f"no command is registered for the stage {request.stage!r}; the operator adds it to stagewright.toml "
            f"under [commands.{request.stage}]",
        )
    argv = request.command.argv
    check_sealed(request.data)  # the command gets the whole file, and nobody looks at what it reads of it
    with context.unit(unit, _inputs(context, argv)) as work:
        if not work.reused:
            output = work.folder
            output.mkdir(parents=True)
            _run_argv(_filled(context, argv, output), output)
            work.write(partial(_record_all, output))
            metrics: dict[str, JsonValue] = {**_metrics(output / "metrics.json", request.stage)}
            work.value = metrics
        work.put_into(context.artifacts, folder)
        return StageResult(metrics=_METRICS.validate_python(work.value))


def _inputs(context: StageContext, argv: tuple[str, ...]) -> UnitInputs:
    """Return what a command's result depends on: a decision first, because nobody knows what else a command reads.

    So a command runs again after every decision, and not when an attempt died between its end and the commit.
    """
    request = context.request
    return UnitInputs(
        "command",
        {
            "decisions": request.decisions,
            "step": request.step,
            "argv": [*argv],
            "files": _named_files(context, argv),
            "data": request.data.sha256,
            "scope": request.scope.model_dump(mode="json", exclude={"path"}),
            "study": request.study.model_dump(mode="json", exclude={"workers"}),
            "k_by_method": {**request.k_by_method},
            "upstream": {step: sealed.outcome_sha256 for step, sealed in request.upstream.items()},
        },
    )


def _named_files(context: StageContext, argv: tuple[str, ...]) -> dict[str, JsonValue]:
    """Return the digest of each file that an argv names, scripts and settings; data and spec are sealed elsewhere."""
    named = tuple(part for part in argv if not any(sealed in part for sealed in SEALED_PARTS))
    paths = _filled(context, named, context.run)
    paths[:1] = [shutil.which(path) or path for path in paths[:1]]
    found = zip(named, paths, strict=True)
    return {part: digest_file(Path(path)) for part, path in found if Path(path).is_absolute() and _is_file(path)}


def _is_file(path: str) -> bool:
    """Return whether a part of an argv, which may as well be a whole script, names a file."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False  # too long for a name, or with a null byte


def _filled(context: StageContext, argv: tuple[str, ...], output: Path) -> list[str]:
    request, run = context.request, RunDirectory(context.run)
    attempt = run.attempt(request.attempt, request.step)
    values = {
        "run_dir": str(context.run),
        "output_dir": str(output),
        "data": request.data.path,
        "spec": str(run.spec),
        "request": str(attempt / REQUEST),
        "checkpoint": request.checkpoint,
        "stage": request.stage,
        "step": request.step,
        "python": sys.executable,
    }
    return fill_argv(argv, values)


def _run_argv(argv: list[str], output: Path) -> None:
    try:
        done = subprocess.run(argv, cwd=output, stdin=subprocess.DEVNULL, check=False)  # noqa: S603 - the operator's
    except OSError as error:
        raise CommandFailed(f"the command {argv[0]!r} could not be started: {error}") from error
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise Killed(f"the command {argv[0]!r} was ended by {name}; worker.log has its output")
    if done.returncode != 0:
        raise CommandFailed(f"the command {argv[0]!r} ended with status {done.returncode}; worker.log has its output")


def _record_all(output: Path, writer: ArtifactWriter) -> None:
    found = [path for path in sorted(output.rglob("*")) if not path.is_dir()]
    if not found:
        raise CommandFailed("the command wrote no file into its {output_dir}, so there is no result to judge")
    for path in found:
        if path.is_symlink() or not path.is_file():
            raise CommandFailed(f"the command left {path.name!r}, which is no regular file")
        writer.record(PurePosixPath(path.relative_to(output)), FORMATS.get(path.suffix, "other"))


def _metrics(path: Path, stage: str) -> dict[str, float]:
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        numbers = {str(name): float(value) for name, value in values.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise CommandFailed(f"metrics.json is not an object of numbers: {error}") from error
    return {f"{stage}.{name}": value for name, value in numbers.items() if math.isfinite(value)}
