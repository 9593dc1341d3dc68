"""What machine this is, as far as it bears on results and on time. Best effort: what cannot be told is left out."""

import ctypes
import os
import platform
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from stagewright.state.records import Record

__all__ = ["Machine", "this_machine"]

CPUINFO = Path("/proc/cpuinfo")
VECTOR_SETS = ("sse2", "sse4", "ssse3", "avx", "fma", "f16c", "amx", "asimd", "neon", "sve")
"""How the names of the instruction sets begin that linear algebra chooses its kernels by."""
TEXT_BYTES = 4096


class Machine(Record):
    """The machine that this process runs on.

    Attributes
    ----------
    cpu_features
        The vector instruction sets: where they differ, the last digits of results may.
    cpus, cores, usable_cpus
        Logical processors, cores, and the processors that this process may use.
    """

    platform: str
    machine: str
    cpu: str | None = None
    cpu_features: tuple[str, ...] = ()
    cpus: int | None = None
    cores: int | None = None
    usable_cpus: int | None = None
    memory_bytes: int | None = None


def this_machine() -> Machine:
    """Return what can be told of this machine."""
    model, flags = _macos() if sys.platform == "darwin" else _cpuinfo()
    cores, memory = None, None
    with suppress(OSError, psutil.Error):
        cores, memory = psutil.cpu_count(logical=False), psutil.virtual_memory().total
    return Machine(
        platform=platform.platform(),
        machine=platform.machine(),
        cpu=model or platform.processor() or None,
        cpu_features=tuple(sorted({flag for flag in flags if flag.startswith(VECTOR_SETS)})),
        cpus=os.cpu_count(),
        cores=cores,
        usable_cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        memory_bytes=memory,
    )


def _cpuinfo() -> tuple[str | None, list[str]]:
    """Return model and instruction sets of the first processor that Linux describes; x86 and ARM name them apart."""
    said: dict[str, str] = {}
    with suppress(OSError):
        for line in CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, colon, value = line.partition(":")
            if colon:
                said.setdefault(name.strip().lower(), value.strip())
    return said.get("model name"), (said.get("flags") or said.get("features") or "").lower().split()


def _macos() -> tuple[str | None, list[str]]:
    names = ("machdep.cpu.features", "machdep.cpu.leaf7_features")  # only an Intel processor has them
    flags = [flag.lower().replace(".", "_") for name in names for flag in (_sysctl(name) or "").split()]
    return _sysctl("machdep.cpu.brand_string"), flags or (["asimd"] if platform.machine() == "arm64" else [])


def _sysctl(name: str) -> str | None:
    """Return one text that the kernel of macOS or BSD tells of itself, asked without starting a process."""
    buffer, size = ctypes.create_string_buffer(TEXT_BYTES), ctypes.c_size_t(TEXT_BYTES)
    with suppress(AttributeError, OSError):
        if ctypes.CDLL(None).sysctlbyname(name.encode(), buffer, ctypes.byref(size), None, ctypes.c_size_t(0)) == 0:
            return buffer.value.decode(errors="replace")
    return None
