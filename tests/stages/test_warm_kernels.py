"""Every kernel is found and warmed: none is compiled while a stage waits for it."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from stagewright.stages.warm_kernels import kernel_modules, kernels_of
from stagewright.state.kernel_report import KernelReport


def test_the_modules_with_kernels_are_found() -> None:
    """By their import of numba, wherever they lie."""
    modules = kernel_modules()
    assert "stagewright.stages.classify.kernel" in modules
    assert all(callable(getattr(import_module(name), "warm", None)) for name in modules)


@pytest.mark.parametrize("name", kernel_modules())
def test_warming_leaves_no_kernel_cold(name: str) -> None:
    """Each that others may call has been called, and is kept on the disk."""
    module = import_module(name)
    module.warm()
    kernels = {called: kernel for called, kernel in kernels_of(module).items() if not called.startswith("_")}
    assert kernels
    assert [called for called, kernel in kernels.items() if not (kernel.signatures and kernel.stats.cache_path)] == []


@pytest.mark.parametrize("name", kernel_modules())
def test_kernels_call_only_kernels_of_their_own_file(name: str) -> None:
    """The cache of a compiled function is thrown away when its own file changes, and not when another does."""
    module = import_module(name)
    assert {kernel.py_func.__module__ for kernel in kernels_of(module).values()} == {name}


def test_another_process_compiles_nothing(tmp_path: Path) -> None:
    """It finds all of them in the cache, and says where that lies."""
    for name in kernel_modules():
        import_module(name).warm()
    answer = tmp_path / "answer.json"
    command = [sys.executable, "-P", "-m", "stagewright.stages", "warm", str(answer), str(answer)]
    subprocess.run(command, check=True)
    report = KernelReport.model_validate_json(answer.read_bytes())
    assert report.compiled == 0
    assert report.loaded >= len(kernel_modules())
    assert all(any(Path(folder).glob("*.nbi")) for folder in report.folders)
