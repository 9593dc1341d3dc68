"""Make a root with a completed, a blocked and a planned run, and export each as a crate: crate_runs.py SCRATCH."""

import sys
from pathlib import Path

from stagewright.server.cli import main
from stagewright.stages.cohort.generate import generate_cohort
from stagewright.state.ledger import Ledger
from stagewright.state.run_directory import list_runs

COMMANDS = """
[commands.broken]
argv = ["{python}", "-c", "raise SystemExit('there is no such gene')"]
"""
SPEC = """
objective: "What does the crate of a <%s> run say?"
data:
  path: cohort.h5ad
  patient: patient
  label: {column: CN.label, positive: cancer, negative: normal}
stages: [%s]
preprocess: [{method: all_filtered, min_cells_fraction: 0.02}]
reduction: {methods: [pca], k: [5], seeds: [1, 2]}
"""
RUNS = {"completed": ("plan0", "run", 0), "blocked": ("broken", "run", 4), "planned": ("plan0", "plan", 0)}
"""Of each status: the stages, the command that leads there, and its exit status."""


def _command(*words: str, root: Path, status: int) -> None:
    found = main([*words, "--root", str(root)])
    if found != status:
        sys.exit(f"crate_runs: `stagewright {' '.join(words)}` ended with status {found}, not {status}")


def _make(scratch: Path) -> None:
    for status, (stages, verb, left_with) in RUNS.items():
        root = scratch / "roots" / status
        root.mkdir(parents=True)
        (root / "stagewright.toml").write_text(COMMANDS, encoding="utf-8")
        (root / "spec.yaml").write_text(SPEC % (status, stages), encoding="utf-8")
        generate_cohort(root / "cohort.h5ad")
        _command(verb, str(root / "spec.yaml"), root=root, status=left_with)
        (run,) = list_runs(root)
        if (found := Ledger(run).read().status) != status:
            sys.exit(f"crate_runs: the run of {root} is {found}")
        words = ["export-crate", run.run_id, "--out", str(scratch / "crates" / status), "--license", "CC-BY-4.0"]
        _command(*words, "--up-to", "10kB", "--author", "Ada Lovelace <0000-0002-1825-0097>", root=root, status=0)


_make(Path(sys.argv[1]))
