"""What of the parent's environment a command still sees; pure, and silent about values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from stepcreds.ci.jwt import TokenShapeError, read
from stepcreds.secret import Secret

Inherit = Literal["all", "clean"]

# Tokens of Vault and OpenBao, and what one logs in with. Addresses and namespaces are no secrets.
VAULT_TOKENS = ("VAULT_TOKEN", "BAO_TOKEN", "VAULT_SECRET_ID", "BAO_SECRET_ID", "VAULT_WRAPPING_TOKEN")
# The Action's own inputs and state; a `run:` step has none.
ACTION = ("INPUT_*", "STATE_*")

# `--inherit clean`: what programs need to run at all, and what says which job this is.
CLEAN = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "TMPDIR", "TEMP", "TMP", "TERM", "COLORTERM", "NO_COLOR"),
    *("LANG", "LANGUAGE", "LC_*", "TZ", "HOSTNAME", "XDG_*", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "CI"),
    *("GITHUB_*", "RUNNER_*", "CI_*", "GITLAB_*", "BUILDKITE", "BUILDKITE_*", "CIRCLE*", "BUILD_*", "JOB_NAME"),
)

_CREDENTIAL_NAME = re.compile(
    r"(?:^|_)(?:TOKEN|SECRETS?|PASSWORD|PASSWD|PASS|PWD|PASSPHRASE|CREDENTIALS?|APIKEY|DSN)(?:_|$)"
    r"|(?:API|ACCESS|PRIVATE|SECRET|SIGNING|ENCRYPTION|DEPLOY|SSH|SERVICE|ACCOUNT)_?KEY|CONNECTION_?STRING",
    re.IGNORECASE,
)
_NO_CREDENTIAL = frozenset({"PWD", "OLDPWD"})
_URL_WITH_PASSWORD = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:[^/\s@]+@")
_JWT_LONGEST = 64 * 1024  # characters


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether `name` is one of `patterns`; one that ends in `*` stands for all that begin so."""
    return any(name.startswith(p[:-1]) if p.endswith("*") else name == p for p in patterns)


def inherited(
    parent: Mapping[str, str],
    *,
    inherit: Inherit,
    removed: Sequence[str],
    keep: Sequence[str],
    token: Secret,
    issuer: str,
) -> dict[str, str]:
    """The part of `parent` that a command may have: without `removed` (patterns), without anything that holds this
    step's identity under another name, and with `clean` only what is on the list; but always with `keep` (names).
    """
    return {
        name: value
        for name, value in parent.items()
        if name in keep
        or not (
            matches(name, removed)
            or (inherit == "clean" and not matches(name, CLEAN))
            or (inherit == "clean" and credential_like(name, value))
            or _is_identity(value, token, issuer)
        )
    }


def credential_like(name: str, value: str) -> bool:
    """Whether a variable looks as if it held a credential, by its name or because it is a URL with a password."""
    if not value or name in _NO_CREDENTIAL:
        return False
    return bool(_CREDENTIAL_NAME.search(name) or _URL_WITH_PASSWORD.match(value))


def _is_identity(value: str, token: Secret, issuer: str) -> bool:
    """This step's token, or another of the same issuer: with either one can log in as this job."""
    value = value.strip()
    if value.count(".") != 2 or not value.startswith("ey") or len(value) > _JWT_LONGEST:
        return False
    candidate = Secret(value)
    if candidate == token:
        return True
    try:
        return bool(issuer) and read(candidate).claims.get("iss") == issuer
    except TokenShapeError:
        return False
