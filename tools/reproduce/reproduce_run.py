"""Execute the sealed spec and the recorded decisions of a run once more, and say what differs."""

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from stagewright.state.file_comparison import FilePair, FilesAnswer, FilesQuestion
from stagewright.state.manifest import read_manifest
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.children import ChildFailed, ask_child
from stagewright.tools.replies import Tick
from stagewright.tools.reproduce.compare_steps import ArtifactDifference, StepDifference
from stagewright.tools.reproduce.fresh_study import data_of, spec_for
from stagewright.tools.reproduce.reenact import Reenactment
from stagewright.tools.reproduce.script import Act, Execution, Script, read_script
from stagewright.tools.workspace import Workspace

__all__ = ["Reproduction", "reproduce_run"]

COMPARE_TIMEOUT_S = 900.0
MOST_COMPARED = 60
SUPERSEDED = "superseded"


class Reproduction(BaseModel):
    """What came of a reproduction.

    Attributes
    ----------
    steps
        The steps that were executed again, with what differs in each.
    left
        Why it ended before the record did; None when all of it was done again.
    notes
        What a reader has to know of the comparison.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    reproduced_as: str
    root: str
    steps: tuple[StepDifference, ...]
    left: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether anything does, or something could not be done again."""
        return self.left is not None or any(step.differs for step in self.steps)


def reproduce_run(
    run: RunDirectory,
    workspace: Workspace,
    *,
    data: Path | None = None,
    workers: int | None = None,
    upto: str | None = None,
) -> Iterator[Tick | Reproduction]:
    """Execute a run once more under a fresh root and yield signs of life, then what differs.

    Parameters
    ----------
    workspace
        A person's, with a fresh root, under the operator's policy that the run was made under.
    data
        Where the data lie now, if not where they lay.
    workers
        Units side by side, if not as recorded. No result depends on it.
    upto
        The last step to execute, ``B/plan0``, or the last checkpoint, ``B``; the record's last without it.

    Raises
    ------
    Refusal
        When the data are not there or changed, when the run was played back, or `upto` is no step of it.
    LedgerCorrupt
        When the record does not hold together.
    """
    script = read_script(run)
    acts = _up_to(script, upto)
    place = data_of(run, script.planned, data)
    spec = spec_for(run, script.state, script.planned, place, workspace.root, workers=workers)
    # The other runs that the record counts are not under the fresh root: their trials are carried over.
    again = Reenactment(run, replace(workspace, tried_elsewhere=script.state.tried_before))
    yield from again.plan(spec)
    left = yield from _follow(again, acts)
    steps = [*again.steps.values()]
    if any(step.artifacts for step in steps):
        steps = yield from _with_amounts(again, steps)
    yield Reproduction(
        run_id=run.run_id,
        reproduced_as=again.run_id,
        root=str(workspace.root),
        steps=tuple(steps),
        left=left,
        notes=tuple(_notes(script, again, left is not None or any(step.differs for step in steps))),
    )


def _follow(again: Reenactment, acts: tuple[Act, ...]) -> Generator[Tick, None, str | None]:
    for act in acts:
        left = yield from again.do(act)
        if left is not None:
            return left
    return None


def _up_to(script: Script, upto: str | None) -> tuple[Act, ...]:
    """Return the acts up to and with the last judgement of a step or checkpoint."""
    if upto is None:
        return script.acts
    last = [
        number
        for number, act in enumerate(script.acts)
        if not hasattr(act, "checkpoint") and (act.step == upto or act.step.startswith(f"{upto}/"))
    ]
    if not last:
        steps = ", ".join(dict.fromkeys(act.step for act in script.acts if isinstance(act, Execution))) or "none"
        raise Refusal("invalid_argument", f"--upto {upto}: no such step was executed in this run; it has: {steps}")
    return script.acts[: last[-1] + 1]


def _with_amounts(again: Reenactment, steps: list[StepDifference]) -> Generator[Tick, None, list[StepDifference]]:
    """Return the steps with the amounts by which their files differ, as a child reads them."""
    pairs: dict[str, FilePair] = {}
    for step in steps:
        for item in step.artifacts:
            one, other = again.recorded.path / item.path, again.run.path / item.path
            # Of a step that was executed again later, the files of the first time are no longer in their places.
            if item.recorded_sha256 and item.reproduced_sha256 and one.is_file() and other.is_file():
                pairs[item.path] = FilePair(name=item.path, one=str(one), other=str(other))
    question = FilesQuestion(pairs=tuple(pairs.values())[:MOST_COMPARED])
    said: dict[str, str] = {}
    try:
        for answer in ask_child("stagewright.stages", "compare", question, FilesAnswer, COMPARE_TIMEOUT_S):
            if isinstance(answer, Tick):
                yield answer
            else:
                said = answer.differences
    except ChildFailed as error:
        said = dict.fromkeys(pairs, f"could not be compared: {error.last_line}")
    return [
        step.model_copy(update={"artifacts": tuple(_told(item, said) for item in step.artifacts)}) for step in steps
    ]


def _told(item: ArtifactDifference, said: dict[str, str]) -> ArtifactDifference:
    return item.model_copy(update={"what": said.get(item.path, item.what)})


def _notes(script: Script, again: Reenactment, differs: bool) -> Iterator[str]:  # noqa: FBT001 - a fact of the result
    if script.state.tried_before:
        yield "the trials of other runs that the record counts were carried over as they stood at its end"
    if script.planned.holdout is not None:
        yield "the hold-out was drawn anew: the other cells are the same ones only if the same patients were drawn"
    if differs:
        changed = list(_changed_environment(again.recorded, again.run))
        yield f"what changed since: {'; '.join(changed)}" if changed else "machine and versions are those of the record"


def _changed_environment(recorded: RunDirectory, reproduced: RunDirectory) -> Iterator[str]:
    one, other = dict(_facts(recorded)), dict(_facts(reproduced))
    for name in dict.fromkeys([*one, *other]):
        if one.get(name) != other.get(name):
            yield f"{name} {one.get(name)} is {other.get(name)} now"


def _facts(run: RunDirectory) -> Iterator[tuple[str, object]]:
    manifest = read_manifest(run.manifest.read_text(encoding="utf-8")) if run.manifest.is_file() else {}
    code, environment = manifest.get("code"), manifest.get("environment")
    packages = code.get("packages") if isinstance(code, dict) else None
    yield from packages.items() if isinstance(packages, dict) else ()
    yield from environment.items() if isinstance(environment, dict) else ()
