"""The search-wide permutation of the demo's grid against Plan 1B itself: 200 permutations, in one run of the stage.

The demo's study is run on the built-in cohort, and checkpoint C's Plan 1B gives both times: those of the units of the
search, and of all other units (cross-validation and null twin). About a minute a run.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = 3
GOAL = 1.0


def main() -> list[dict[str, object]]:
    """Return the ratio of the search's time to that of the rest of Plan 1B, median of several runs."""
    found = [_demo() for _ in range(RUNS)]
    ratio = statistics.median(search / rest for search, rest in found)
    return [
        {
            "name": "search-wide permutation, demo grid: search / Plan 1B",
            "value": round(ratio, 2),
            "goal": f"<= {GOAL:g}",
            "holds": ratio <= GOAL,
        },
        _fact("search-wide permutation: seconds", round(statistics.median(search for search, _ in found), 2)),
        _fact("search-wide permutation: seconds of Plan 1B without", round(statistics.median(b for _, b in found), 2)),
    ]


def _demo() -> tuple[float, float]:
    """Return the seconds of the search's units, and of the rest of the step."""
    with tempfile.TemporaryDirectory(prefix="stagewright-search-") as folder:
        command = [sys.executable, "-m", "stagewright.server", "demo", "--root", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        (outcome,) = Path(folder).rglob("attempts/*_C_plan1b/outcome.json")
        units = json.loads(outcome.read_text(encoding="utf-8"))["units"]
        took = {name: sum(one["elapsed_s"] for one in units if one["name"].endswith(name)) for name in ("/search", "")}
        return took["/search"], took[""] - took["/search"]


def _fact(name: str, value: float) -> dict[str, object]:
    return {"name": name, "value": value, "goal": None, "holds": None}


if __name__ == "__main__":
    for row in main():
        print(row)
