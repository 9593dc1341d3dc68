"""Gates of the operator and of other packages: run, blamed when they do not judge, missed when they are gone."""

import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from stagewright.gates.__main__ import main, run_gates
from stagewright.gates.catalogue import GATES
from stagewright.gates.code_digest import built_in_digest
from stagewright.gates.list_gates import GateList, GatesWanted, list_gates
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.registered import registered_names
from stagewright.gates.verdict import tally
from stagewright.state.custom_gate import CommandGate, SealedGate

StepOf = Callable[[str], GateContext]

PACKAGE = """
from stagewright.gates.protocol import Finding


class Answer:
    stages = ("my_command",)
    purpose = "the answer is 42"

    def __call__(self, context):
        text = (context.run / "B/analysis/my_command/answer.json").read_text()
        found = "pass" if "42" in text else "fail"
        yield Finding(gate="answer", subject="x", severity=found, measured=text.strip(), threshold="42", reason="so")


class Silent(Answer):
    def __call__(self, context):
        return iter(())


class Babbling(Answer):
    def __call__(self, context):
        yield "all is well"


class Posing(Answer):
    def __call__(self, context):
        yield Finding(gate="budget", subject="x", severity="pass", measured="1", threshold="2", reason="so")


class Crashing(Answer):
    def __call__(self, context):
        raise KeyError("cells")


class NoPurpose:
    stages = ()

    def __call__(self, context):
        yield from ()
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that installs a distribution with gates, as pip leaves one, and gives its module's file."""

    def installed(**gates: str) -> Path:
        place = tmp_path / "site"
        info = place / "gates_of_ours-1.0.dist-info"
        info.mkdir(parents=True)
        module = place / f"gates_of_ours_{abs(hash(str(tmp_path)))}.py"
        module.write_text(PACKAGE, encoding="utf-8")
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gates-of-ours\nVersion: 1.0\n", encoding="utf-8")
        points = "".join(f"{name} = {module.stem}:{thing}\n" for name, thing in gates.items())
        (info / "entry_points.txt").write_text(f"[stagewright.gates]\n{points}", encoding="utf-8")
        monkeypatch.syspath_prepend(place)
        return module

    return installed


def _judged(step: GateContext, **commands: CommandGate) -> list[Finding]:
    """Return what the gates that are registered now, and sealed as they are now, find on a step."""
    found = list_gates(GatesWanted(commands=commands))
    assert found.faults == ()
    asked = step.asked.model_copy(update={"sealed": found.gates, "commands": commands})
    names = {gate.name for gate in found.gates}
    return [finding for finding in run_gates(asked) if finding.gate in names]


def _python(code: str, **fields: object) -> CommandGate:
    argv = ("{python}", "-I", "-S", "-c", textwrap.dedent(code))
    return CommandGate.model_validate({"argv": argv, "why": "we want to know"} | fields)


def test_every_finding_has_the_digest_of_its_gates_code(step_of: StepOf) -> None:
    """A built-in gate is its module and what of this room it imports; another gate is another digest."""
    modules = {entry.name: entry.module for entry in GATES}
    findings = run_gates(step_of("my_command").asked)
    assert {finding.code_sha256 for finding in findings} == {built_in_digest(modules[item.gate]) for item in findings}
    assert len({built_in_digest(module) for module in modules.values()}) == len(modules)


@pytest.mark.parametrize(
    ("code", "expected", "measured"),
    [
        ("pass", ["pass"], "exit status 0"),
        ("print('3 cells'); raise SystemExit(1)", ["fail"], "exit status 1: 3 cells"),
        ("print('no R here'); raise SystemExit(3)", ["error"], "ended with exit status 3: no R here"),
        ("import os; os.kill(os.getpid(), 9)", ["error"], "signal SIGKILL"),
        ("""print('{"measured": "7", "threshold": "at most 9"}')""", ["pass"], "7"),
        ("""print('[{"measured": "7", "severity": "warn"}, {"measured": "1"}]')""", ["warn", "pass"], "7"),
        ("""print('{"measured": "7", "severity": "fail"}')""", ["fail"], "7"),
        ("""print('{"measured": "7", "severity": "pass"}'); raise SystemExit(1)""", ["fail", "pass"], "exit status 1"),
        ("""print('{"measured": 7}')""", ["error"], "cannot be read"),
        ("""print('{"measured": "7", "severity": "fine"}')""", ["error"], "cannot be read"),
        ("""print('{"measured": "7", "gate": "budget"}')""", ["error"], "in the name of budget"),
        ("print('{')", ["error"], "cannot be read"),
    ],
)
def test_a_command_judges_by_its_status_and_its_findings(
    step_of: StepOf, code: str, expected: list[str], measured: str
) -> None:
    """0 is a pass, 1 a fail, anything else an error; findings make it worse, never better; nonsense is an error."""
    found = _judged(step_of("my_command"), ours=_python(code))
    assert [finding.severity for finding in found] == expected
    assert measured in found[0].measured
    assert all(finding.code_sha256 is not None for finding in found)


def test_what_a_command_is_told(step_of: StepOf) -> None:
    """Its placeholders lead to the step's files; it works in a folder of its own that is gone afterwards."""
    step = step_of("my_command")
    code = """
        import json, pathlib, sys
        outcome, findings, where = json.loads(pathlib.Path(sys.argv[1]).read_text()), sys.argv[2], sys.argv[3:]
        files = [pathlib.Path(where[0], item["path"]).is_file() for item in outcome["artifacts"]]
        said = {"subject": "files", "measured": json.dumps([all(files), str(pathlib.Path.cwd()), *where[1:]])}
        pathlib.Path(findings).write_text(json.dumps(said))
    """
    gate = _python(code)
    gate = gate.model_copy(
        update={"argv": (*gate.argv, "{outcome}", "{findings}", "{run_dir}", "{output_dir}", "{step}", "{stage}")}
    )
    (found,) = _judged(step, ours=gate)
    ok, folder, output, name, stage = json.loads(found.measured)
    assert (found.subject, ok, name, stage) == ("files", True, "B/my_command", "my_command")
    assert folder == output
    assert not Path(output).exists()


def test_a_command_that_does_not_end_is_ended(step_of: StepOf) -> None:
    """With what it started, after its time limit; a command that is not there is an error too."""
    step = step_of("my_command")
    (found,) = _judged(step, ours=_python("import time; time.sleep(60)", timeout="1s"))
    assert (found.severity, "time limit of 1s" in found.measured) == ("error", True)
    (found,) = _judged(step, ours=CommandGate(argv=("/no/such/program",)))
    assert (found.severity, "could not be started" in found.measured) == ("error", True)


def test_a_gate_of_another_stage_is_not_asked(step_of: StepOf) -> None:
    """A gate says which stages it judges; without any it judges all."""
    step = step_of("my_command")
    assert _judged(step, ours=_python("raise SystemExit(1)", stages=["plan0"])) == []
    assert [item.severity for item in _judged(step, ours=_python("raise SystemExit(1)", stages=["my_command"]))] == [
        "fail"
    ]


def test_a_gate_of_a_package_judges(step_of: StepOf, package: Callable[..., Path]) -> None:
    """It is found by its entry point, and runs like a built-in one."""
    package(answer="Answer")
    assert registered_names() == ["answer"]
    step = step_of("my_command")
    assert [(item.gate, item.severity) for item in _judged(step)] == [("answer", "pass")]


@pytest.mark.parametrize(
    ("gate", "said"),
    [("Silent", "nothing"), ("Babbling", "all is well"), ("Posing", "budget"), ("Crashing", "KeyError")],
)
def test_a_gate_of_a_package_that_answers_nonsense_is_an_error(
    step_of: StepOf, package: Callable[..., Path], gate: str, said: str
) -> None:
    """Whatever it answers instead of findings of its own, it has not passed."""
    package(ours=gate)
    (found,) = _judged(step_of("my_command"))
    assert found.severity == "error"
    assert said in found.measured


def test_a_gate_that_cannot_be_loaded_is_said_and_is_an_error(step_of: StepOf, package: Callable[..., Path]) -> None:
    """Planning and the doctor are told; a run that was sealed with it gets an error that names it."""
    package(missing="Nowhere", purposeless="NoPurpose", budget="Answer")
    faults = list_gates(GatesWanted(commands={})).faults
    assert len(faults) == 3
    assert any("'missing'" in fault and "gates-of-ours" in fault for fault in faults)
    assert any("lacks purpose" in fault for fault in faults)
    assert any("name of a built-in one" in fault for fault in faults)
    asked = step_of("my_command").asked.model_copy(update={"sealed": (SealedGate(name="missing", kind="package"),)})
    (found,) = [finding for finding in run_gates(asked) if finding.gate == "missing"]
    assert (found.severity, "cannot be loaded" in found.measured) == ("error", True)


def test_a_sealed_gate_that_is_gone_or_changed_is_missed(
    step_of: StepOf, package: Callable[..., Path], tmp_path: Path
) -> None:
    """The verdict is an error that names it: built in, of a package or a command; so is changed code."""
    script = tmp_path / "check.py"
    script.write_text("raise SystemExit(0)\n")
    commands = {"ours": CommandGate(argv=("{python}", str(script)))}
    module = package(answer="Answer")
    sealed = list_gates(GatesWanted(commands=commands)).gates
    step = step_of("my_command")

    def errors(*gates: SealedGate, **now: CommandGate) -> dict[str, str]:
        findings = run_gates(step.asked.model_copy(update={"sealed": gates, "commands": now}))
        assert tally(findings, n_gates=1)[0] == (
            "error" if any(item.severity == "error" for item in findings) else "pass"
        )
        return {item.gate: item.measured for item in findings if item.severity == "error"}

    assert errors(*sealed, **commands) == {}
    assert "no [gates.ours] any more" not in str(errors(sealed[0], **commands))
    assert "no [gates.ours] any more" in errors(*sealed)["ours"]
    assert "changed" in errors(*sealed, ours=CommandGate(argv=("true",)))["ours"]
    script.write_text("raise SystemExit(0)  # whatever it was\n")
    assert "changed" in errors(*sealed, **commands)["ours"]
    gone = SealedGate(name="of_old", kind="built_in")
    assert "no such gate" in errors(gone)["of_old"]
    uninstalled = SealedGate(name="uninstalled", kind="package", code_sha256="0" * 64)
    assert "no installed package" in errors(uninstalled)["uninstalled"]
    module.write_text(PACKAGE + "# edited\n")
    assert "changed" in errors(sealed[0])["answer"]


def test_the_child_lists_the_gates(tmp_path: Path) -> None:
    """What the server may not import, a child says."""
    asked, answer = tmp_path / "asked.json", tmp_path / "answer.json"
    asked.write_text(GatesWanted(commands={"ours": CommandGate(argv=("true",), why="so")}).model_dump_json())
    assert main(["list", str(asked), str(answer)]) == 0
    (gate,) = GateList.model_validate_json(answer.read_bytes()).gates
    assert (gate.name, gate.kind, gate.purpose) == ("ours", "command", "so")
