"""What docs/verification.md tells a person to do without Stagewright does what it says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stagewright.server.cli import main
from stagewright.state.chain import ChainedLog
from stagewright.state.run_directory import LOG_NAMES, RunDirectory

GUIDE = Path(__file__).parents[3] / "docs" / "verification.md"


def block(language: str) -> str:
    found = re.search(rf"## By hand.*?```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found is not None
    return found.group(1)


@pytest.mark.parametrize("name", LOG_NAMES)
def test_ten_lines_of_python_check_a_log(finished: RunDirectory, tmp_path: Path, name: str) -> None:
    """They print the head, and stop at a line that was changed."""
    script = tmp_path / "check.py"
    script.write_text(block("python"))
    command = [sys.executable, str(script), str(finished.log(name))]
    head = ChainedLog(finished.log(name)).head()
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{head.seq} {head.hash}\n"
    content = finished.log(name).read_bytes()
    finished.log(name).write_bytes(content.replace(b'"event"', b'"Event"', 1))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "line 1 was changed" in done.stderr


@pytest.mark.skipif(shutil.which("jq") is None or shutil.which("sha256sum") is None, reason="needs jq and sha256sum")
def test_the_shell_checks_artifacts_and_receipt(
    finished: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every file is OK, and the last line is the digest of the receipt."""
    receipt = tmp_path / "receipt.txt"
    assert main(["receipt", str(finished.path), "--out", str(receipt)]) == 0
    capsys.readouterr()
    shell = block("sh").replace("NNNN_*", "*").replace("receipt.txt", str(receipt))
    done = subprocess.run(["sh", "-ec", shell], cwd=finished.path, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line for line in lines[:-1] if not line.endswith(": OK")] == []
    assert len(lines) == 3 + 3 + 1
    assert lines[-1].split()[0] == receipt.read_text().splitlines()[-1].removeprefix("digest ")
