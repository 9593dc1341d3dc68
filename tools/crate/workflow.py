"""Say in a crate what was planned: the sealed spec as the workflow, its steps, the stages as tools, and the data."""

from pathlib import PurePosixPath
from urllib.parse import quote

from pydantic import JsonValue

from stagewright import __version__
from stagewright.stages.catalogue import STAGES
from stagewright.state.events import RunPlanned
from stagewright.state.records import SealedData
from stagewright.state.run_state import split_step
from stagewright.tools.crate.contents import name_by_content
from stagewright.tools.crate.graph import Entity, Graph, ref
from stagewright.tools.run_story import RunStory

__all__ = ["ENGINE", "GATES", "SPEC", "add_planning", "add_workflow", "agent_of", "step_address", "tool_address"]

SPEC = "spec.yaml"
ENGINE = "#stagewright"
GATES = "#gates"
PLANNER = "#plan_run"
DATA_INPUT = "#input/data"
PERSON = "person:"


def step_address(step: str) -> str:
    """Return the address of a step of the workflow."""
    return f"#step/{quote(step)}"


def tool_address(stage: str) -> str:
    """Return the address of a stage as a tool."""
    return f"#stage/{quote(stage)}"


def agent_of(graph: Graph, actor: str) -> dict[str, JsonValue]:
    """Return whoever acted, as the ledger names the actor: a person, an agent, or the server itself."""
    if actor.startswith("person"):
        name = actor.removeprefix(PERSON)
        return graph.add(f"#person/{quote(name)}", "Person", name=name, description=f"In the ledger: {actor}")
    if actor in ("supervisor", "stagewright"):
        return ref(ENGINE)
    what = "A program that called the tools; the ledger names it as its actor, tool_calls.log its client."
    return graph.add(f"#agent/{quote(actor)}", "SoftwareApplication", name=actor, description=what)


def add_workflow(graph: Graph, story: RunStory, code_sha256: str | None, packages: dict[str, str]) -> Entity:
    """Add the workflow with its steps and tools, and return the reference to the data that it works on.

    Parameters
    ----------
    code_sha256, packages
        Of the product and of what it ran with, where the manifest tells.
    """
    planned = story.planned
    _add_engine(graph, code_sha256, packages)
    executed = {split_step(attempt.step)[1] for attempt in story.attempts.values()}
    stages = dict.fromkeys(split_step(step)[1] for step in planned.steps)
    for stage in stages:
        purpose = STAGES[stage].purpose if stage in STAGES else "a command that the operator registered as a stage"
        graph.add(
            tool_address(stage), "SoftwareApplication", name=stage, description=purpose, softwareVersion=__version__
        )
    for position, step in enumerate(planned.steps, start=1):
        checkpoint, stage = split_step(step)
        graph.add(
            step_address(step),
            "HowToStep",
            name=step,
            description=f"{stage} at checkpoint {checkpoint}",
            position=str(position),
            workExample=ref(tool_address(stage)),
        )
    data = _add_data(graph, planned.data)
    graph.add(
        DATA_INPUT,
        "FormalParameter",
        name="data",
        additionalType="Dataset" if _is_folder(planned.data) else "File",
        valueRequired=True,
        workExample=data,
    )
    graph.add("#language", "ComputerLanguage", name="Stagewright goal spec", description="YAML or JSON", version="1")
    workflow: Entity = {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": f"Goal spec: {planned.objective}",
        "description": "The declaration of the study, sealed at planning; its stages at each checkpoint are steps.",
        "version": planned.spec_digest,
        "programmingLanguage": ref("#language"),
        "input": ref(DATA_INPUT),
        "step": [ref(step_address(step)) for step in planned.steps],
        "hasPart": [ref(PLANNER), *(ref(tool_address(stage)) for stage in stages if stage in executed)],
    }
    graph.describe(SPEC, workflow)
    return data


def add_planning(graph: Graph, planned: RunPlanned, at: str, data: Entity) -> None:
    """Add the act of planning: the spec and the data were looked at and sealed."""
    graph.mention(
        graph.add(
            "#planning",
            "CreateAction",
            name="plan_run",
            description=planned.message,
            instrument=ref(PLANNER),
            agent=agent_of(graph, planned.actor),
            object=[graph.file(SPEC), data],
            result=graph.files(["PLAN.md"]),
            startTime=at,
            endTime=at,
            actionStatus="http://schema.org/CompletedActionStatus",
        )
    )


def _add_engine(graph: Graph, code_sha256: str | None, packages: dict[str, str]) -> None:
    required: list[JsonValue] = [
        graph.add(f"#package/{quote(name)}", "SoftwareApplication", name=name, softwareVersion=version)
        for name, version in packages.items()
    ]
    digest = None if code_sha256 is None else graph.value("#code", "sha256 of the Python files", code_sha256)
    graph.add(
        ENGINE,
        "SoftwareApplication",
        name="Stagewright",
        description="Runs a long single-cell study one checked step at a time",
        softwareVersion=packages.get("stagewright") or __version__,
        softwareRequirements=required,
        identifier=digest,
    )
    graph.add(
        PLANNER, "SoftwareApplication", name="plan_run", description="validates and seals", softwareVersion=__version__
    )
    graph.add(
        GATES, "SoftwareApplication", name="gates", description="judge a step's artifacts", softwareVersion=__version__
    )


def _is_folder(data: SealedData) -> bool:
    return data.path.rstrip("/").endswith(".zarr")


def _add_data(graph: Graph, data: SealedData) -> Entity:
    """Add the data: never in the crate, so that the address is what they are and not where they lay."""
    folder = _is_folder(data)
    return graph.add_data(
        f"urn:stagewright:folder:{data.sha256}" if folder else name_by_content(data.sha256),
        "Dataset" if folder else "File",
        name=PurePosixPath(data.path).name,
        description="The data of the study, as sealed at planning. Not in the crate; the address is the sha256.",
        contentSize=str(data.bytes),
        sha256=data.sha256,
        encodingFormat="application/vnd.zarr" if folder else "application/x-hdf5",
        exampleOfWork=ref(DATA_INPUT),
    )
