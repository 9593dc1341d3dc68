"""What may be a secret does not get into the record; what a command line needs to be understood does."""

import pytest

from stagewright.state.without_secrets import without_secrets

SECRETS = {
    "an option": ["--api-key", "hunter2"],
    "an option with =": ["--token=hunter2"],
    "a variable": ["MY_PASSWORD=hunter2"],
    "a password in an address": ["https://me:hunter2@host.org/data.h5ad"],
    "a forge's token": ["ghp_hunter2hunter2hunter2"],
    "a signed token": ["eyJhbGciOi.hunter2.hunter2x"],
    "a value of an innocent option": ["--label=hunter2Xhunter2Xhunter2X99"],
    "hexadecimal digits": ["0123456789abcdef0123456789abcdef"],
}


@pytest.mark.parametrize("argv", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_left_out(argv: list[str]) -> None:
    """Whatever makes it look like one."""
    kept = without_secrets(["stagewright", "plan", *argv, "spec.yaml"])
    assert kept[:2] == ["stagewright", "plan"]
    assert kept[-1] == "spec.yaml"
    assert "hunter2" not in " ".join(kept)
    assert "0123456789abcdef" not in " ".join(kept)
    assert "***" in " ".join(kept)


def test_what_is_no_secret_stays() -> None:
    """Paths, run ids, sizes and the name of an author."""
    argv = [
        "/usr/local/bin/stagewright",
        "plan",
        "study/Cohort_AML_2026_version3.yaml",
        "--root",
        "studies/Projects2026/LongNameOfAStudy",
        "--author",
        "Ada Lovelace",
        "20261122_134156_a-study-of-genes_0a1b2c3d",
        "runtime=2h",
    ]
    assert without_secrets(argv) == argv
