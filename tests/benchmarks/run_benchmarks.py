"""Run every benchmark beside this file, write benchmarks.json and print a table. Exit 1 when a goal is missed."""

import importlib.util
import json
import sys
from pathlib import Path


def main() -> int:
    """Run them all, one after the other: they compare times."""
    results: list[dict[str, object]] = []
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise RuntimeError(f"{path} cannot be loaded")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        results += module.main()
    Path("benchmarks.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    for row in results:
        verdict = {True: "holds", False: "MISSED", None: ""}[row["holds"]]  # type: ignore[index]  # a bool or None
        print(f"{row['name']:<45} {row['value']!s:>12}  goal {row['goal'] or '-':<10} {verdict}")
    return 0 if all(row["holds"] is not False for row in results) else 1


if __name__ == "__main__":
    sys.exit(main())
