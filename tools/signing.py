"""Sign a receipt, and check its signature, with the programs that a person has for that.

`ssh-keygen -Y` signs with any SSH key, also one of an agent or of a hardware token. Sigstore signs with an identity of
an OpenID provider, through the extra ``stagewright[sigstore]``.
"""

import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from stagewright.state.refusals import Refusal
from stagewright.tools.children import run_program

__all__ = ["NAMESPACE", "SIGSTORE_EXTRA", "SignatureFault", "check_ssh", "sign_sigstore", "sign_ssh"]

NAMESPACE = "stagewright"
SIGSTORE_EXTRA = "stagewright[sigstore]"
ASKING_S = 300.0
"""A person may be asked for a passphrase, a touch, or a login."""
CHECKING_S = 30.0


class SignatureFault(Exception):  # noqa: N818 - names what was found
    """A signature is not one of this text, or not one of somebody who may sign."""


def sign_ssh(text: str, key: Path) -> str:
    """Return the armoured SSH signature of a text.

    Parameters
    ----------
    key
        A private key, or a public one whose private key an SSH agent holds.

    Raises
    ------
    Refusal
        `invalid_argument` when ssh-keygen does not sign with it; `unavailable` without ssh-keygen.
    """
    done = run_program(["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", NAMESPACE], text, ASKING_S)
    if done.returncode or "BEGIN SSH SIGNATURE" not in done.stdout:
        raise Refusal("invalid_argument", f"ssh-keygen did not sign with --key {key}: {_last_line(done.stderr)}")
    return done.stdout


def check_ssh(text: str, signature: str, allowed_signers: Path | None, signer: str | None) -> str:
    """Return in words whose signature of a text this is.

    Parameters
    ----------
    allowed_signers
        Who may sign with which key, in the format of ssh-keygen. Without it, it is only said which key has signed.
    signer
        Who must have signed, as that file names them; by default any of them.

    Raises
    ------
    SignatureFault
        When it is no signature of this text, or of nobody who may sign.
    Refusal
        `unavailable` without ssh-keygen.
    """
    with tempfile.TemporaryDirectory(prefix="stagewright-receipt-") as folder:
        place = Path(folder) / "receipt.sig"
        place.write_text(signature, encoding="utf-8")
        check = ["ssh-keygen", "-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(place)]
        done = run_program(check, text, CHECKING_S)
        if done.returncode:
            raise SignatureFault(f"the signature is not one of this receipt: {_last_line(done.stderr or done.stdout)}")
        if allowed_signers is None:
            key = done.stdout.strip().rpartition(" with ")[2]
            return f"signed with {key}; whose key that is was not checked: give --allowed-signers FILE"
        who = signer or _principal(place, allowed_signers)
        verify = ["ssh-keygen", "-Y", "verify", "-f", str(allowed_signers), "-I", who]
        done = run_program([*verify, "-n", NAMESPACE, "-s", str(place)], text, CHECKING_S)
        if done.returncode:
            raise SignatureFault(f"it was not signed by {who}: {_last_line(done.stderr or done.stdout)}")
        return f"signed by {who}"


def sign_sigstore(file: Path) -> Path:
    """Sign a file through Sigstore and return its bundle, which lies beside it.

    Raises
    ------
    Refusal
        `unavailable` when the extra is not installed, or Sigstore did not sign.
    """
    if find_spec("sigstore") is None:
        raise Refusal(
            "unavailable",
            f"--sign sigstore needs the package `sigstore`; install the extra: pip install '{SIGSTORE_EXTRA}'",
        )
    bundle = file.with_name(f"{file.name}.sigstore.json")
    words = [sys.executable, "-P", "-m", "sigstore", "sign", "--overwrite", "--bundle", str(bundle), str(file)]
    if run_program(words, None, ASKING_S).returncode:  # it says why by itself, and may ask for a login
        raise Refusal("unavailable", f"Sigstore did not sign {file}; what it said stands above")
    return bundle


def _principal(signature: Path, allowed_signers: Path) -> str:
    find = ["ssh-keygen", "-Y", "find-principals", "-s", str(signature), "-f", str(allowed_signers)]
    done = run_program(find, "", CHECKING_S)
    found = done.stdout.split()
    if done.returncode or not found:
        raise SignatureFault(f"it was signed with a key of nobody in {allowed_signers}: {_last_line(done.stderr)}")
    return found[0].split(",")[0]


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
