"""Names of the moments at which a process changes the disk.

A name has four parts: the role of the process, the operation, the role of the file and, counted within those three, an
ordinal: ``supervisor:pwrite:logs/agent_run.log:2``. What differs from run to run (pids, digests, random names, the
number of an attempt) is left out of it, and a file that is written as often as time allows shifts no other's ordinals.
"""

import os
import re
from collections.abc import Sequence

__all__ = ["role_of_file", "role_of_process"]

CHILDREN = {"supervise": "supervisor", "work": "worker", "survey": "survey", "suggest": "suggest"}
MODULES = {"stagewright.gates": "gates", "stagewright.server": "driver", "git": "git"}
KNOWN_NAME = re.compile(r"\.?(?P<name>\w+\.[a-z][a-z0-9]*)(?P<rest>.*)")
KEPT_WORDS = ("tmp", "torn", "part")
CHECKPOINTS = ("A", "B", "C")


def role_of_process(argv: Sequence[str]) -> str:
    """Return which process of the tree a command line belongs to.

    >>> role_of_process(["python", "-P", "-m", "stagewright.stages", "work", "attempts/0001_A_plan0"])
    'worker'
    """
    words = [str(word) for word in argv]
    for at, word in enumerate(words):
        if word == "stagewright.stages" and at + 1 < len(words):
            return CHILDREN.get(words[at + 1], words[at + 1])
        if os.path.basename(word) in MODULES:
            return MODULES[os.path.basename(word)]
    return "other"


def role_of_file(relative: str) -> str:
    """Return what a path, relative to the root, is in a run.

    >>> role_of_file("experiments/20261122_134156_x_0a1b2c3d/attempts/0002_A_plan0/staging/A/analysis/plan0/x.npy")
    'attempt/staging/*.npy'
    >>> role_of_file("experiments/20261122_134156_x_0a1b2c3d/.RUN_STATE.json.4711.tmp")
    'RUN_STATE.json.tmp'
    """
    parts = relative.split("/")
    if parts[:1] != ["experiments"] or len(parts) < 2:
        return relative
    new = ""
    parts = parts[1:]
    if parts[0].startswith(".new-"):
        new, parts = "new/", parts[1:] or [""]
    elif not parts[0][:1].isdigit():
        return f"experiments/{_name(parts[0])}"
    return new + (_in_run(parts[1:]) if len(parts) > 1 else "run")


def _in_run(inside: list[str]) -> str:
    if inside[0] in CHECKPOINTS:
        return f"results/{_kind(inside[-1])}"
    if inside[0] == "attempts":
        return _in_attempt(inside[1:])
    if len(inside) > 1 and inside[0] != "logs":
        return f"{inside[0]}/{_kind(inside[-1])}"
    return "/".join([*inside[:-1], _name(inside[-1])])


def _in_attempt(inside: list[str]) -> str:
    if len(inside) < 2:
        return "attempt" if inside else "attempts"
    if len(inside) > 2:
        return f"attempt/{inside[1]}/{_kind(inside[-1])}"
    return f"attempt/{_name(inside[1])}"


def _kind(name: str) -> str:
    stem, _, suffix = name.rpartition(".")
    return f"*.{suffix}" if stem and suffix.isalnum() and not suffix.isdigit() else "folder"


def _name(name: str) -> str:
    found = KNOWN_NAME.fullmatch(name)
    if found is None:
        return name
    words = [word for word in re.split(r"\W", found["rest"]) if word in KEPT_WORDS]
    return ".".join([found["name"], *words])
