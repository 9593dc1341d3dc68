"""What the operator allows and an agent may not decide: the content of `stagewright.toml`."""

import os
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from stagewright.state.custom_gate import CommandGate, GateName
from stagewright.state.executor import ExecutorChoice
from stagewright.state.refusals import Refusal
from stagewright.state.spec.faults import describe_faults, list_faults
from stagewright.state.spec.goal import StageName
from stagewright.state.spec.strict import Strict
from stagewright.state.step_request import CommandStage
from stagewright.state.units import Bytes, Seconds

__all__ = ["Caps", "HoldoutPolicy", "Policy", "PrivacyPolicy", "parse_policy"]


class Caps(Strict):
    """Upper bounds on what any run may use, whatever its spec says; `output` is what one attempt may print."""

    runtime: Seconds = 7 * 86400.0
    memory: Bytes = 2**40
    output: Bytes = 256 * 2**20
    workers: Annotated[int, Field(ge=1)] = Field(default_factory=lambda: os.cpu_count() or 1)
    retries: Annotated[int, Field(ge=0, le=10)] = 5
    runs: Annotated[int, Field(ge=1)] = 10_000


class HoldoutPolicy(Strict):
    """Where the lock-box of sealed hold-outs lies, and the most queries that a spec may declare."""

    directory: Path | None = None
    queries: Annotated[int, Field(ge=1, le=100)] = 10


class PrivacyPolicy(Strict):
    """Where the key lies by which patients are named; None for one that is made beside the runs."""

    key_file: Path | None = None


class Policy(Strict):
    """The operator's policy. Without a file, these defaults.

    Attributes
    ----------
    data_roots
        Folders beside the root under which an agent's spec may name data.
    commands
        Argvs that a spec may name as stages.
    gates
        Argvs that judge every run which is planned under this policy, beside the built-in gates.
    executor
        Where the heavy calls of the built-in stages run.
    holdout
        The lock-box of sealed hold-outs.
    privacy
        The key of pseudonyms.
    """

    data_roots: tuple[Path, ...] = ()
    caps: Caps = Caps()
    commands: dict[StageName, CommandStage] = Field(default_factory=dict)
    gates: dict[GateName, CommandGate] = Field(default_factory=dict)
    executor: ExecutorChoice = ExecutorChoice()
    holdout: HoldoutPolicy = HoldoutPolicy()
    privacy: PrivacyPolicy = PrivacyPolicy()


def parse_policy(text: str, folder: Path) -> Policy:
    """Return the policy that a TOML text declares; relative data roots are taken from `folder`.

    Raises
    ------
    Refusal
        `invalid_argument`, with every fault and its place.
    """
    try:
        policy = Policy.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise Refusal("invalid_argument", f"the operator's policy is not TOML: {error}") from error
    except ValidationError as error:
        faults = list_faults(describe_faults(error, Policy))
        raise Refusal("invalid_argument", f"the operator's policy has faults:\n{faults}") from error
    roots = tuple((folder / root).resolve() for root in policy.data_roots)
    holdout = policy.holdout
    if holdout.directory is not None:
        holdout = holdout.model_copy(update={"directory": (folder / holdout.directory.expanduser()).resolve()})
    privacy = policy.privacy
    if privacy.key_file is not None:
        privacy = privacy.model_copy(update={"key_file": (folder / privacy.key_file.expanduser()).resolve()})
    update = {"data_roots": roots, "executor": policy.executor.under(folder), "holdout": holdout, "privacy": privacy}
    return policy.model_copy(update=update)
