"""Every file of a step is what was sealed, and nothing else lies beside it.

Without this gate no other means anything: the rest of them read these files.
"""

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from stagewright.gates.finding import bounded
from stagewright.gates.protocol import Finding, GateContext, GateRequest
from stagewright.state.artifacts import Artifact, read_outcome
from stagewright.state.canonical import digest_file
from stagewright.state.units import format_bytes

__all__ = ["artifact_integrity", "sealed_faults"]

_finding = partial(Finding, gate="artifact_integrity")
AGAIN = "To pass: adjust, so that the step is executed again; leave the run directory alone meanwhile."
SEALED = "The ledger sealed these bytes before anyone judged them; a changed file is no longer this step's result."


def artifact_integrity(context: GateContext) -> Iterator[Finding]:
    """Compare the step's folder with its sealed list of artifacts, in both directions.

    Measured are, of each declared artifact and of each that an earlier step of the checkpoint sealed, existence,
    size and sha256; and of the checkpoint's folder, the files that no step declared, and symbolic links, behind which
    a file could change unseen.

    Notes
    -----
    The threshold is equality: a digest has no tolerance, and an undeclared file has no owner to answer for it.
    """
    yield from sealed_faults(context.run, context.asked)
    declared = context.outcome.artifacts
    if len(declared) != context.asked.artifacts.count:
        yield _fail("outcome.json", f"{len(declared)} artifacts", f"{context.asked.artifacts.count}, as sealed", SEALED)
    yield from _compare(context, context.request.step, declared)
    for step, seal in context.request.upstream.items():
        try:
            earlier = read_outcome(context.run, seal)
        except ValueError as error:
            yield _fail(seal.outcome, str(error), "the outcome that the ledger sealed", SEALED)
            continue
        yield from _compare(context, step, earlier.artifacts)
    allowed = {artifact.path for artifact in declared} | set(context.asked.sealed_elsewhere)
    yield from _undeclared(context, allowed)


def sealed_faults(run: Path, asked: GateRequest) -> Iterator[Finding]:
    """Yield a failure for the request and for the outcome of the attempt if they differ from what was sealed.

    Parameters
    ----------
    run
        The run directory.
    asked
        The request to the gates, which carries the digests from the ledger.
    """
    listings = ((asked.request, asked.request_sha256), (asked.artifacts.outcome, asked.artifacts.outcome_sha256))
    for path, sealed in listings:
        place = run / path
        if place.is_symlink() or not place.is_file():
            yield _fail(path, "missing", "the sealed file", SEALED)
        elif (found := digest_file(place)) != sealed:
            yield _fail(path, f"sha256 {found[:12]}...", f"sha256 {sealed[:12]}..., as sealed", SEALED)


def _compare(context: GateContext, step: str, artifacts: Iterable[Artifact]) -> Iterator[Finding]:
    artifacts = tuple(artifacts)
    faults = [fault for artifact in artifacts if (fault := _fault(context, step, artifact)) is not None]
    yield from bounded(faults)
    if not faults:
        size = format_bytes(sum(artifact.bytes for artifact in artifacts))
        yield _finding(
            subject=f"files of {step}",
            severity="pass",
            measured=f"{len(artifacts)} files, {size}, all as sealed",
            threshold="every file's size and sha256 equal",
            reason=SEALED,
        )


def _fault(context: GateContext, step: str, artifact: Artifact) -> Finding | None:
    parts = PurePosixPath(artifact.path).parts
    if ".." in parts or PurePosixPath(artifact.path).is_absolute() or parts[0] != step.partition("/")[0]:
        why = "A stage owns the files of its own checkpoint and no others."
        return _fail(artifact.path, "outside the checkpoint's folder", f"a path in {step.partition('/')[0]}/", why)
    place = context.run / artifact.path
    if link := next(
        (part for part in (place, *place.parents) if context.run in part.parents and part.is_symlink()), None
    ):
        return _fail(link.relative_to(context.run).as_posix(), "a symbolic link", "a file", SEALED)
    if not place.is_file():
        return _fail(artifact.path, "missing", f"{artifact.bytes} bytes", SEALED)
    size = place.stat().st_size
    if size != artifact.bytes:
        return _fail(artifact.path, f"{size} bytes", f"{artifact.bytes} bytes, as sealed", SEALED)
    found = digest_file(place)
    if found != artifact.sha256:
        return _fail(artifact.path, f"sha256 {found[:12]}...", f"sha256 {artifact.sha256[:12]}..., as sealed", SEALED)
    return None


def _undeclared(context: GateContext, allowed: set[str]) -> Iterator[Finding]:
    checkpoint = context.request.checkpoint
    found = sorted(_strangers(context.run, checkpoint, allowed))
    why = "A file that no step declared has no owner, and a later step or a reader could take it for a result."
    yield from bounded(
        _fail(path, "not declared by any step", "nothing undeclared", f"{why} Remove it or move it out of the run.")
        for path in found
    )
    if not found:
        yield _finding(
            subject=f"{checkpoint}/",
            severity="pass",
            measured="nothing undeclared",
            threshold="nothing undeclared",
            reason=why,
        )


def _strangers(run: Path, checkpoint: str, allowed: set[str]) -> Iterator[str]:
    for folder, folders, files in os.walk(run / checkpoint, followlinks=False):
        linked = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in (*files, *linked):
            path = (Path(folder) / name).relative_to(run).as_posix()
            if path not in allowed:
                yield path


def _fail(subject: str, measured: str, threshold: str, why: str) -> Finding:
    return _finding(subject=subject, severity="fail", measured=measured, threshold=threshold, reason=f"{why} {AGAIN}")
