"""What of the parent's environment a command still sees; pure, and silent about values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from stepcreds.ci.jwt import TokenShapeError, read
from stepcreds.secret import Secret

Inherit = Literal["all", "clean"]

# Tokens of Vault and OpenBao, and what one logs in with. Addresses and namespaces are no secrets. And what
# `setup apply` reads beside a token: no step needs a database's administrator.
VAULT_TOKENS = (
    *("VAULT_TOKEN", "BAO_TOKEN", "VAULT_SECRET_ID", "BAO_SECRET_ID", "VAULT_WRAPPING_TOKEN"),
    "STEPCREDS_DATABASE_ADMIN_URL",
)
# With any of these one can log in as this job, or ask for a token to do so; those of the CI at hand come on top.
IDENTITY = (
    *("ACTIONS_ID_TOKEN_REQUEST_*", "ACTIONS_RUNTIME_*", "STEPCREDS_ID_TOKEN", "VAULT_ID_TOKEN", "CI_JOB_JWT*"),
    *("CIRCLE_OIDC_TOKEN*", "BITBUCKET_STEP_OIDC_TOKEN", "SYSTEM_OIDCREQUESTURI"),
)
# The Action's own inputs and state, and what it makes of them for itself; a `run:` step has none.
ACTION = ("INPUT_*", "STATE_*", "STEPCREDS_MATRIX")

# `--inherit clean`: what programs need to run at all, and what says which job this is.
CLEAN = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "TMPDIR", "TEMP", "TMP", "TERM", "COLORTERM", "NO_COLOR"),
    *("LANG", "LANGUAGE", "LC_*", "TZ", "HOSTNAME", "XDG_*", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "JAVA_HOME"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("CI", "GITHUB_*", "RUNNER_*", "FORGEJO_*", "GITEA_*", "CI_*", "GITLAB_*", "BUILDKITE", "BUILDKITE_*", "CIRCLE*"),
    *("BITBUCKET_*", "TF_BUILD", "SYSTEM_*", "AGENT_*", "BUILD_*", "JENKINS_*", "JOB_*", "NODE_NAME", "WORKSPACE"),
)

_CREDENTIAL_NAME = re.compile(
    r"(?:TOKEN|SECRET|PASSWORD|PASSPHRASE|CREDENTIAL)S?(?:_|$)"  # also ACCESSTOKEN and clientSecret
    r"|(?:^|_)(?:PASSWD|PASS|PWD|PAT|JWT|DSN|AUTH)(?:_|$)"
    r"|(?:API|ACCESS|PRIVATE|SECRET|SIGNING|ENCRYPTION|DEPLOY|MASTER|SSH|SERVICE|ACCOUNT|STORAGE)_?KEY"
    r"|(?<!PUBLIC)(?<!GPG)(?<!CACHE)_KEY$|CONNECTION_?STRING",
    re.IGNORECASE,
)
_NO_CREDENTIAL = frozenset({"PWD", "OLDPWD"})
# Both look-behinds keep the search linear in what may be 128 KiB of anything.
_URL_WITH_PASSWORD = re.compile(r"(?<![a-zA-Z0-9+.-])([a-zA-Z][a-zA-Z0-9+.-]*)://[^/\s:@]*:[^/\s@]+@")
_CREDENTIAL_VALUE = re.compile(
    _URL_WITH_PASSWORD.pattern
    + r"|(?:^|[\s;?&])(?:[Pp]assword|PASSWORD|[Pp]wd|PWD)\s*=\s*[^\s;&]"  # a connection string of libpq, ODBC, JDBC
    + r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    + r"|^(?:gh[pousr]_|github_pat_|glpat-|hv[sbr]\.|xox[abp]-|AKIA)[A-Za-z0-9_-]{12}",
)  # without IGNORECASE, which triples the time to compile it
# Three parts of base64url, of which the first two are JSON objects: {" is eyJ.
_JWT = re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]*\.eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+")


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether `name` is one of `patterns`; one that ends in `*` stands for all that begin so."""
    return any(name.startswith(p[:-1]) if p.endswith("*") else name == p for p in patterns)


def inherited(
    parent: Mapping[str, str],
    *,
    inherit: Inherit,
    removed: Sequence[str],
    schemes: frozenset[str],
    keep: Sequence[str],
    token: Secret,
    issuer: str,
) -> dict[str, str]:
    """The part of `parent` that a command may have.

    Without `removed` (patterns), without a URL with a password for one of `schemes` under whatever name, and
    without another ID token of `issuer`; with `clean` only what is on the list. What `keep` names stays, but for
    this step's own identity, `token`, which nothing keeps.
    """
    return {
        name: value
        for name, value in parent.items()
        if not (token and token.reveal() in value)
        and (
            name in keep
            or not (
                matches(name, removed)
                or (inherit == "clean" and (not matches(name, CLEAN) or credential_like(name, value)))
                or _password_for(value, schemes)
                or _is_of(issuer, value)
            )
        )
    }


def credential_like(name: str, value: str) -> bool:
    """Whether a variable looks as if it held a credential: by its name, or by what the value is."""
    if not value or name in _NO_CREDENTIAL:
        return False
    return bool(_CREDENTIAL_NAME.search(name) or _CREDENTIAL_VALUE.search(value) or _JWT.search(value))


def _password_for(value: str, schemes: frozenset[str]) -> bool:
    """Whether `value` has a URL with a password in it, for an engine that is known by one of `schemes`."""
    if not schemes or "://" not in value:
        return False
    found = (match.group(1).lower() for match in _URL_WITH_PASSWORD.finditer(value))
    return any(scheme in schemes or scheme.partition("+")[0] in schemes for scheme in found)


def _is_of(issuer: str, value: str) -> bool:
    """Whether an ID token of this step's issuer is in `value`: with it, too, one can be this job somewhere."""
    if not issuer or "eyJ" not in value:
        return False
    return any(_issuer_of(text) == issuer for text in _JWT.findall(value))


def _issuer_of(text: str) -> object:
    try:
        return read(Secret(text)).claims.get("iss")
    except TokenShapeError:
        return None
