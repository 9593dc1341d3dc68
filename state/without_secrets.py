"""A command line for the record, and text that leaves the machine, without what may be a password or a token."""

import re
from collections.abc import Iterable

__all__ = ["REDACTED", "SECRET_NAME", "text_without_secrets", "without_secrets"]

REDACTED = "***"

SECRET_NAME = re.compile(
    r"token|secret|passw|credential|api[-_.]?key|access[-_.]?key|private[-_.]?key|auth(?!or)", re.IGNORECASE
)
_FORM = (
    r"(?:gh[pousr]_|github_pat_|glpat-|xox[a-z]-|sk-|pk-|hf_|pypi-|npm_|AKIA|ASIA|AIza|ya29\.|eyJ[\w-]+\.)"
    r"[\w.~+/=-]{8,}"
)
_KNOWN_TOKEN = re.compile(rf"^{_FORM}$")
_TOKEN_IN_TEXT = re.compile(rf"(?<![\w-]){_FORM}|(?<=Bearer )[\w.~+/-]{{12,}}=*|(?<=bearer )[\w.~+/-]{{12,}}=*")
_IN_ADDRESS = re.compile(r"(?P<scheme>[a-zA-Z][\w+.-]*://)[^/@\s]+@")
_HEXADECIMAL = re.compile(r"^[0-9a-fA-F]{32,}$")
_OPAQUE = re.compile(r"^[A-Za-z0-9_+=-]{24,}$")
_KINDS = (re.compile("[a-z]"), re.compile("[A-Z]"), re.compile("[0-9]"))


def without_secrets(argv: Iterable[str]) -> list[str]:
    """Return a command line in which every argument that looks like a secret is replaced by `***`.

    Those are the value of an option or a variable whose name says so, tokens of known forms, a password in an address,
    and opaque words: 32 or more hexadecimal digits, or 24 or more letters and digits of all kinds in a row.

    >>> without_secrets(["run", "--api-key", "abc", "PASSWORD=x", "https://me:pw@host/data.h5ad", "spec.yaml"])
    ['run', '--api-key', '***', 'PASSWORD=***', 'https://***@host/data.h5ad', 'spec.yaml']
    """
    kept: list[str] = []
    value_is_secret = False
    for part in argv:
        kept.append(REDACTED if value_is_secret and not part.startswith("-") else _without_secret(part))
        value_is_secret = part.startswith("-") and "=" not in part and SECRET_NAME.search(part) is not None
    return kept


def text_without_secrets(text: str, mark: str) -> str:
    """Return a text with `mark` in the place of tokens of known forms, and of names and passwords in addresses.

    >>> text_without_secrets("with ghp_abcdefghijkl at https://me:pw@host/x", "<secret>")
    'with <secret> at https://<secret>@host/x'
    """
    return _TOKEN_IN_TEXT.sub(mark, _IN_ADDRESS.sub(rf"\g<scheme>{mark}@", text))


def _without_secret(part: str) -> str:
    name, equals, value = part.partition("=")
    if equals and value and (SECRET_NAME.search(name) or _is_secret(value)):
        return f"{name}={REDACTED}"
    return REDACTED if _is_secret(part) else _IN_ADDRESS.sub(rf"\g<scheme>{REDACTED}@", part)


def _is_secret(word: str) -> bool:
    opaque = _OPAQUE.match(word) is not None and all(kind.search(word) for kind in _KINDS)
    return opaque or _KNOWN_TOKEN.match(word) is not None or _HEXADECIMAL.match(word) is not None
