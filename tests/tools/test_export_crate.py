"""`stagewright export-crate`: a run in any status as an RO-Crate, whole and true to the files, or not at all."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from stagewright.server.cli import main
from stagewright.state.ledger import Ledger
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory, list_runs
from stagewright.tools import Workspace
from stagewright.tools.best_result import best_result
from stagewright.tools.export_crate import Author, Exported, export_crate, parse_author
from stagewright.tools.verify_run import verify_run

Call = Callable[..., dict[str, Any]]
Plan = Callable[..., str]
Export = Callable[..., Path]
Graph = dict[str, dict[str, Any]]

LARGE = 10**9
PROVENANCE = "https://w3id.org/ro/wfrun/provenance/0.5"


@pytest.fixture
def export(workspace: Workspace, tmp_path: Path) -> Export:
    """Return a function that exports a run and gives the crate's folder."""

    def exported(run_id: str, name: str = "crate", **said: Any) -> Path:  # noqa: ANN401 - of `export_crate`
        made = export_crate(workspace, run_id, tmp_path / name, **{"largest_bytes": LARGE, **said})
        assert isinstance(made, Exported)
        return made.place

    return exported


def graph_of(crate: Path) -> Graph:
    """Return the entities of a crate by their addresses."""
    document = json.loads((crate / "ro-crate-metadata.json").read_text(encoding="utf-8"))
    addresses = [entity["@id"] for entity in document["@graph"]]
    assert len(addresses) == len(set(addresses))
    return {entity["@id"]: entity for entity in document["@graph"]}


def references(value: object) -> Iterator[str]:
    """Yield every address that a part of an entity refers to."""
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        else:
            for part in value.values():
                yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def kinds(entity: dict[str, Any]) -> set[str]:
    """Return the types of an entity."""
    return {entity["@type"]} if isinstance(entity["@type"], str) else {*entity["@type"]}


def of_kind(graph: Graph, kind: str) -> list[dict[str, Any]]:
    """Return the entities of a type."""
    return [entity for entity in graph.values() if kind in kinds(entity)]


def check(crate: Path) -> Graph:
    """Check that every reference leads somewhere, and every file is what is said of it; return the entities."""
    graph = graph_of(crate)
    known = {*graph, "https://w3id.org/ro/crate/1.1"}
    for entity in graph.values():
        assert {*references({**entity, "@id": None})} <= known, entity["@id"]
    described = {unquote(address) for address, entity in graph.items() if "File" in kinds(entity)}
    present = {path.relative_to(crate).as_posix() for path in crate.rglob("*") if path.is_file()}
    assert {name for name in described if not name.startswith("ni:")} == present - {
        "ro-crate-metadata.json",
        "ro-crate-preview.html",
    }
    for address, entity in graph.items():
        if "File" in kinds(entity) and not address.startswith("ni:"):
            content = (crate / unquote(address)).read_bytes()
            assert entity["contentSize"] == str(len(content))
            assert entity["sha256"] == hashlib.sha256(content).hexdigest()
    assert {"@id": PROVENANCE} in graph["./"]["conformsTo"]
    return graph


def finish(call: Call, run_id: str, steps: int) -> None:
    """Take a run to its end."""
    for _ in range(steps):
        call("execute_stage", run_id=run_id)
        call("validate_stage", run_id=run_id)
        call("decide", run_id=run_id, decision="continue", rationale="the gates passed")


def test_a_finished_run(plan: Plan, call: Call, workspace: Workspace, export: Export) -> None:
    """Steps, attempts, verdicts and decisions are there, with whoever acted, when, and on what."""
    run_id = plan("ok")
    finish(call, run_id, 3)
    crate = export(run_id)
    graph = check(crate)
    assert {step["name"] for step in of_kind(graph, "HowToStep")} == {"A/ok", "B/ok", "C/ok"}
    attempt = graph["#attempt/2"]
    assert attempt["actionStatus"].endswith("CompletedActionStatus")
    assert {"@id": "B/analysis/ok/result.json"} in attempt["result"]
    assert {"@id": "#metric/2/ok.best.auc"} in attempt["result"]
    assert graph["#metric/2/ok.best.auc"]["value"] == 0.9
    assert attempt["instrument"] == {"@id": "#stage/ok"}
    assert graph["#control/2"]["object"] == {"@id": "#attempt/2"}
    assert graph["#organize"]["result"] == {"@id": "#run"}
    decided = of_kind(graph, "ChooseAction")
    assert [item["description"] for item in decided] == ["the gates passed"] * 3
    assert [item["actionOption"] for item in decided] == ["continue"] * 3
    assert decided[0]["agent"] == {"@id": "#agent/agent"}
    assert graph["#run"]["actionStatus"].endswith("CompletedActionStatus")
    # The crate is the run once more: what a reviewer unpacks can be verified like the original.
    place = crate.with_name("elsewhere") / run_id
    shutil.copytree(crate, place)
    assert verify_run(RunDirectory(place)) == []
    assert verify_run(workspace.run(run_id)) == []


@pytest.mark.parametrize("status", ["planned", "executed", "stopped", "blocked"])
def test_a_run_that_is_not_completed(status: str, plan: Plan, call: Call, export: Export) -> None:
    """Its crate says how far it came, and why no further."""
    run_id = plan("crashes" if status == "blocked" else "ok")
    if status in ("executed", "blocked"):
        call("execute_stage", run_id=run_id)
    if status == "stopped":
        call("decide", run_id=run_id, decision="stop", rationale="the cohort was replaced")
    graph = check(export(run_id))
    run = graph["#run"]
    assert status in run["description"]
    if status in ("stopped", "blocked"):
        assert run["actionStatus"].endswith("FailedActionStatus")
        assert ("the cohort was replaced" if status == "stopped" else "ended with status 1") in run["error"]
    else:
        assert "actionStatus" not in run
    if status == "blocked":
        assert "ended with status 1" in graph["#attempt/1"]["error"]
        assert {"@id": "attempts/0001_A_crashes/traceback.txt"} in [*_listed(graph["#attempt/1"]["result"])]
    if status in ("planned", "stopped"):
        assert "#organize" not in graph


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - JSON
    return value if isinstance(value, list) else [value]


def test_a_retry_and_an_adjusted_step(plan: Plan, call: Call, export: Export) -> None:
    """Each attempt is an act of its own; results that a later attempt replaced are not said to be in the crate."""
    run_id = plan("flaky")
    call("execute_stage", run_id=run_id)
    call("validate_stage", run_id=run_id)
    call("decide", run_id=run_id, decision="adjust", rationale="once more, with one worker", adjustments={"workers": 1})
    call("execute_stage", run_id=run_id)
    graph = check(export(run_id))
    ended = [graph[f"#attempt/{number}"]["actionStatus"].rpartition("/")[2] for number in (1, 2, 3)]
    assert ended == ["FailedActionStatus", "CompletedActionStatus", "CompletedActionStatus"]
    assert graph["#attempt/2"]["agent"] == {"@id": "#stagewright"}
    assert "once more, with one worker" in graph["#attempt/3"]["description"]
    result = {"@id": "A/analysis/flaky/result.json"}
    assert result not in _listed(graph["#attempt/2"]["result"])
    assert result in _listed(graph["#attempt/3"]["result"])
    (adjusted,) = of_kind(graph, "ChooseAction")
    changes = [graph[item["@id"]] for item in adjusted["result"] if item["@id"].startswith("#")]
    assert [(item["name"], item["value"]) for item in changes] == [("workers", "1")]


def test_large_files_are_named_and_not_copied(plan: Plan, call: Call, export: Export) -> None:
    """By the digest that was sealed; the record is whole all the same."""
    run_id = plan("ok")
    call("execute_stage", run_id=run_id)
    crate = export(run_id, largest_bytes=1)
    graph = check(crate)
    assert not (crate / "A").exists()
    outcome = json.loads((crate / "attempts/0001_A_ok/outcome.json").read_text(encoding="utf-8"))
    named = {entity["sha256"]: entity for entity in of_kind(graph, "File") if entity["@id"].startswith("ni:")}
    for item in outcome["artifacts"]:
        entity = named[item["sha256"]]
        assert item["path"] in (entity["name"], *_listed(entity.get("alternateName", [])))
        assert {"@id": entity["@id"]} in graph["#attempt/1"]["result"]


def test_the_data_are_named_by_their_digest(plan: Plan, workspace: Workspace, export: Export) -> None:
    """They are never in the crate, and neither is the path at which they lay in the page or the metadata."""
    crate = export(plan("ok"))
    graph = check(crate)
    digest = hashlib.sha256((workspace.root / "cohort.h5ad").read_bytes()).hexdigest()
    (data,) = [entity for entity in of_kind(graph, "File") if entity["sha256"] == digest]
    assert data["@id"].startswith("ni:///sha-256;")
    assert data in [graph[address] for address in references(graph["#run"]["object"])]
    for name in ("ro-crate-metadata.json", "ro-crate-preview.html"):
        assert str(workspace.root) not in (crate / name).read_text(encoding="utf-8")


class Page(HTMLParser):
    """Collects the scripts and the text of a page, and where it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element."""
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href" and value]

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.text.append(data)


def test_the_page_says_what_a_person_looks_for(plan: Plan, call: Call, export: Export) -> None:
    """Objective, best result, verdicts, decisions with why and who, and links that lead to files."""
    run_id = plan("ok")
    finish(call, run_id, 3)
    crate = export(run_id)
    page = Page()
    page.feed((crate / "ro-crate-preview.html").read_text(encoding="utf-8"))
    text = " ".join(page.text)
    for wanted in ("Does the loop hold?", "completed", "ok.best.auc", "0.9", "the gates passed", "continue", "pass"):
        assert wanted in text
    assert "spec.yaml" in page.links
    assert all((crate / unquote(link)).is_file() for link in page.links)


def test_what_comes_from_the_run_is_text_on_the_page(plan: Plan, call: Call, export: Export) -> None:
    """An objective or a rationale may hold what a browser would run."""
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    run_id = plan("ok", objective=f"Does it hold? {evil}")
    call("decide", run_id=run_id, decision="stop", rationale=f"enough {evil}")
    crate = export(run_id)
    check(crate)
    page = Page()
    source = (crate / "ro-crate-preview.html").read_text(encoding="utf-8")
    page.feed(source)
    assert page.tags.count("script") == 1  # the JSON-LD, which is data
    assert "img" not in page.tags
    assert evil in "".join(page.text)
    embedded = source.partition('<script type="application/ld+json">')[2].partition("</script>")[0]
    assert json.loads(embedded) == json.loads((crate / "ro-crate-metadata.json").read_text(encoding="utf-8"))


def test_licence_and_authors(plan: Plan, export: Export) -> None:
    """A repository asks for them; without a licence the crate says that none was stated."""
    run_id = plan("ok")
    graph = check(export(run_id, licence="CC-BY-4.0", authors=(parse_author("Ada <0000-0002-1825-0097>"),)))
    assert graph["./"]["license"] == {"@id": "https://spdx.org/licenses/CC-BY-4.0"}
    assert graph["https://orcid.org/0000-0002-1825-0097"]["name"] == "Ada"
    bare = graph_of(export(run_id, "bare"))
    assert "No licence was stated" in bare["./"]["license"]
    assert parse_author("Ada Lovelace") == Author("Ada Lovelace")
    with pytest.raises(ValueError, match="ORCID"):
        parse_author("Ada <ada@example.org>")


def test_a_zip_file_holds_the_same(plan: Plan, export: Export) -> None:
    """A name that ends in .zip makes one."""
    run_id = plan("ok")
    folder, archive = export(run_id), export(run_id, "crate.zip")
    inside = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    with zipfile.ZipFile(archive) as opened:
        assert {*opened.namelist()} == inside
        assert opened.testzip() is None


def test_refused_is_what_would_be_no_true_crate(plan: Plan, call: Call, workspace: Workspace, export: Export) -> None:
    """A run that does not verify, one at work, and a place where something lies; nothing is left behind."""
    run_id = plan("ok")
    taken = export(run_id)
    with pytest.raises(Refusal, match="is there already"):
        export(run_id)
    call("execute_stage", run_id=run_id)
    result = workspace.run(run_id).path / "A/analysis/ok/result.json"
    content = result.read_bytes()
    result.write_bytes(b"[2]")
    with pytest.raises(Refusal, match=r"does not hold together(.|\n)*A/analysis/ok/result.json"):
        export(run_id, "other")
    result.write_bytes(content)
    running = plan("sleeps")
    call("execute_stage", run_id=running, wait_s=0)
    with pytest.raises(Refusal, match="is running"):
        export(running, "other")
    call("decide", run_id=running, decision="stop", rationale="enough")
    assert {path.name for path in taken.parent.iterdir()} == {"crate", "root"}


def test_without_the_extra_it_says_what_to_install(plan: Plan, export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it looks at the run."""
    monkeypatch.setattr("stagewright.tools.crate.write_metadata.find_spec", lambda _: None)
    with pytest.raises(Refusal, match=r"pip install 'stagewright\[crate\]'"):
        export(plan("ok"))


@pytest.mark.slow
def test_a_real_study(tmp_path: Path, workspace: Workspace) -> None:
    """The demo: its best configuration is on the page, its embeddings with what made and what used them."""
    root = tmp_path / "demo"
    assert main(["demo", "--root", str(root)]) == 0
    (run,) = list_runs(root)
    made = export_crate(replace(workspace, root=root), run.run_id, tmp_path / "crate", largest_bytes=LARGE)
    graph = check(made.place)
    state = Ledger(run).read()
    best = best_result(run, state)
    assert best is not None
    assert best.configuration is not None
    assert best.configuration in graph["./"]["description"]
    assert escape(best.configuration) in (made.place / "ro-crate-preview.html").read_text(encoding="utf-8")
    embedded = "C/analysis/preprocess_cache/hvg_1000/adata_with_dr.h5ad"
    made_by = state.sealed["C/plan1a"].attempt
    assert {"@id": embedded} in graph[f"#attempt/{made_by}"]["result"]
    used_by = state.sealed["C/plan1b"].attempt
    assert {"@id": embedded} in graph[f"#attempt/{used_by}"]["object"]
