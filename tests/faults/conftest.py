"""What the fault suite shares: prepared callers, a cohort, the spec of a small study, and the count of kills."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_bench.caller import PreparedCaller
from fault_bench.commands import policy_text
from fault_bench.studies import Study, make_plans

from stagewright.state.spec.data import DataScope
from stagewright.state.survey import Survey, SurveyRequest
from stagewright.tools.children import ask_child

COUNTED = {
    "kill_points_fired": "crash matrix: {} kill points fired",
    "random_kills": "random kills: {} runs were hit by one",
    "contended_calls": "contention: {} calls made",
}


@pytest.fixture(scope="session")
def cohort_spec(small_cohort: Path) -> dict[str, Any]:
    """Return the part of a goal spec that names the data."""
    label = {"column": "label", "positive": "malignant", "negative": "normal"}
    return {"path": str(small_cohort), "patient": "patient", "label": label}


@pytest.fixture(scope="session")
def spec_of(cohort_spec: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Return a function that gives the goal spec of some stages, with changes to its keys."""

    def declared(*stages: str, **changes: object) -> dict[str, Any]:
        return {"objective": "Is anything lost?", "data": cohort_spec, "stages": [*stages]} | changes

    return declared


@pytest.fixture(scope="session")
def empty_root(tmp_path_factory: pytest.TempPathFactory, small_cohort: Path) -> Path:
    """Make a root with nothing in it but the operator's policy."""
    root = tmp_path_factory.mktemp("empty_root")
    (root / "stagewright.toml").write_text(policy_text(str(small_cohort.parent)))
    return root


@pytest.fixture(scope="session")
def caller(cohort_spec: dict[str, Any]) -> Iterator[PreparedCaller]:
    """Start a prepared caller that knows what planning finds in the cohort."""
    question = SurveyRequest(path=cohort_spec["path"], scope=DataScope.model_validate(cohort_spec))
    (found,) = [item for item in ask_child("stagewright.stages", "survey", question, Survey, 60.0) if _is_survey(item)]
    prepared = PreparedCaller(found.model_dump_json())
    yield prepared
    prepared.close()


@pytest.fixture(scope="session")
def planner() -> Iterator[PreparedCaller]:
    """Start a prepared caller that looks into data files in earnest."""
    prepared = PreparedCaller(None)
    yield prepared
    prepared.close()


@pytest.fixture(scope="session")
def tiny_cohort(small_cohort: Path) -> Path:
    """Write a cohort on which the built-in stages pass their gates, beside the small one."""
    from stagewright.stages.cohort.generate import generate_cohort  # noqa: PLC0415 - loads numerical libraries

    path = small_cohort.parent / "tiny.h5ad"
    generate_cohort(path, n_patients=8, cells_per_patient=40, n_genes=300)
    return path


@pytest.fixture(scope="session")
def plan_studies(
    tmp_path_factory: pytest.TempPathFactory, tiny_cohort: Path, planner: PreparedCaller
) -> dict[str, Study]:
    """Return the study of the built-in plans as it is before each of them."""
    return make_plans(tmp_path_factory.mktemp("plans"), tiny_cohort, planner)


@pytest.hookimpl(tryfirst=True)  # before xdist hands the tests out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the groups, which stay in one process: what they share is made once, and no process ends on them."""
    del config
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


def _is_survey(item: object) -> bool:
    return isinstance(item, Survey)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many kills came, over all processes of the test run."""
    for counted, said in COUNTED.items():
        if total := _total(terminalreporter, counted):
            terminalreporter.write_line(said.format(total))


def _total(reporter: pytest.TerminalReporter, counted: str) -> int:
    reports = [report for found in reporter.stats.values() for report in found if getattr(report, "when", "") == "call"]
    return sum(int(value) for report in reports for name, value in report.user_properties if name == counted)
