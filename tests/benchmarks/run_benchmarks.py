"""Run every benchmark beside this file, write benchmarks.json and print a table. Exit 1 when a goal is missed.

    python tests/benchmarks/run_benchmarks.py [NAME ...]    with names, those alone, such as plan1b

Rows are written and printed as they come: what was measured is kept when a later benchmark is cut off.
"""

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any


def main() -> int:
    """Run them, one after the other: they compare times."""
    asked = sys.argv[1:]
    found = {path.stem.removeprefix("bench_"): path for path in sorted(Path(__file__).parent.glob("bench_*.py"))}
    if unknown := [name for name in asked if name not in found]:
        sys.exit(f"no benchmark named {', '.join(unknown)}; there are {', '.join(found)}")
    results: list[dict[str, Any]] = []
    for name in asked or found:
        started = time.monotonic()
        rows = _run(found[name])
        results += rows
        Path("benchmarks.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        print(f"{name}, {time.monotonic() - started:.0f} s", flush=True)
        for row in rows:
            verdict = {True: "holds", False: "MISSED", None: ""}[row["holds"]]
            print(f"  {row['name']:<60} {row['value']!s:>12}  goal {row['goal'] or '-':<10} {verdict}", flush=True)
    return 0 if all(row["holds"] is not False for row in results) else 1


def _run(path: Path) -> list[dict[str, Any]]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows: list[dict[str, Any]] = module.main()
    return rows


if __name__ == "__main__":
    sys.exit(main())
