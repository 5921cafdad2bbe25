"""What an answer of Vault means that is not the expected one, whatever was asked; pure, and nothing here is raised.

The texts are those of OpenBao 2.7 and HashiCorp Vault: `sdk/logical/error.go`, `http/handler.go` and
`vault/request_handling.go` of either. The server's own words stand in every message; its body never does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from stepcreds.errors import LostAnswerError, VaultError
from stepcreds.printable import one_line
from stepcreds.vault.answer import Answer

HTTPS_EXPECTED = "an HTTP request was sent to an HTTPS server"


def plain_errors(errors: tuple[str, ...]) -> tuple[str, ...]:
    r"""Vault's texts, without the frame "1 error occurred:\n\t* …" that some of them come in."""
    lines = [line.strip().removeprefix("* ") for text in errors for line in text.splitlines()]
    return tuple(one_line(line) for line in lines if line and not re.fullmatch(r"\d+ errors? occurred:", line))


def said(errors: tuple[str, ...]) -> str:
    """Vault's texts in one line, "" where it said nothing."""
    return one_line("; ".join(plain_errors(errors)), 600)


def token_unknown(answer: Answer) -> bool:
    """Whether a 403 means that Vault does not know the token, rather than that a policy forbids the request.

    OpenBao frames what a policy forbids ("1 error occurred: * permission denied") and not the other; HashiCorp Vault
    adds "invalid token" to the other.
    """
    texts = plain_errors(answer.errors)
    return answer.status == 403 and (
        "invalid token" in texts or answer.errors in (("permission denied",), ("bad token",))
    )


def refused(answer: Answer, method: str, path: str) -> VaultError:
    """The error for an answer that is not the one that was wanted."""
    text = said(answer.errors)
    what = f"Vault at {answer.address} answered {answer.status} to {method} {path}" + (f": {text}" if text else "")
    cause, fix, docs = _explain(answer, text.lower())
    return VaultError(what, status=answer.status, errors=plain_errors(answer.errors), cause=cause, fix=fix, docs=docs)


def _explain(answer: Answer, text: str) -> tuple[str, str, str]:  # noqa: PLR0911 - a list of cases
    """Cause, fix and anchor."""
    if text == HTTPS_EXPECTED.lower():
        return (
            "The address says http, and the server expects TLS.",
            f"Use https://{answer.address.partition('://')[2]} in vault.address of stepcreds.yml (or VAULT_ADDR).",
            "vault-tls",
        )
    if 300 <= answer.status < 400:
        return _redirect(answer)
    if answer.body is None:
        sent = one_line(answer.content_type, 80) or "no content type"
        return (
            "What came says that it is JSON, and cannot be read as such: it was cut short or compressed on the way, or "
            "what answered is not Vault."
            if sent.partition(";")[0].lower() == "application/json"
            else f"What answered is not Vault: it sent {sent} where Vault sends JSON. A proxy, a load balancer or a "
            "login page may stand before it.",
            "Look at vault.address in stepcreds.yml (or VAULT_ADDR), and at what is between this machine and Vault.",
            "vault-not-vault",
        )
    known = next((entry for entry in _TEXTS if re.search(entry[0], text)), None)
    if known is not None:
        return known[1:]
    if token_unknown(answer):
        return (
            "Vault does not know the token (any longer): it has expired, was revoked, or has no uses left.",
            "Look at token_ttl, token_max_ttl and token_num_uses (0) of the JWT role.",
            "vault-token-gone",
        )
    if answer.status == 403:
        return "The policies of the token do not allow this request.", "", "vault-policy"
    return "", "", "vault-answers"


def _redirect(answer: Answer) -> tuple[str, str, str]:
    to = one_line(re.sub(r"//[^/@]*@", "//", answer.location), 200)
    cause = f"It redirects to {to}. " if to else ""
    cause += "stepcreds follows no redirect: the token would go to whatever host it names."
    if answer.status == 307:
        return (
            f"This server is a standby. {cause}",
            "Give vault.address in stepcreds.yml all servers as a list, or an address that leads to the active one.",
            "vault-standby",
        )
    return (
        cause,
        "Set vault.address in stepcreds.yml (or VAULT_ADDR) to the address that answers itself.",
        "vault-redirect",
    )


# (what Vault says, in lower case; cause; fix; anchor)
_TEXTS = (
    ("namespace not found", "There is no such namespace.", "Look at vault.namespace in stepcreds.yml, and at "
     "VAULT_NAMESPACE and BAO_NAMESPACE. The namespaces that exist:\n  bao namespace list", "vault-namespace"),
    ("sealed", "The server was started and not unsealed, or somebody sealed it.",
     "An operator must unseal it:\n  bao operator unseal", "vault-sealed"),
    ("not (yet )?initialized", "The server was never set up.",
     "An operator must set it up:\n  bao operator init", "vault-sealed"),
    ("no active|active cluster node not found", "The servers of the cluster have no leader at the moment.",
     "Look at the servers:\n  bao operator raft list-peers", "vault-standby"),
    ("lease count quota", "The mount has as many leases as its quota allows.",
     "Find out who leaves leases behind, or raise the quota:\n  bao list sys/quotas/lease-count", "vault-quota"),
    ("rate limit quota", "More requests came than the quota allows.",
     "Start fewer steps at once, or raise the quota:\n  bao list sys/quotas/rate-limit", "vault-quota"),
    ("no handler for route|unsupported path", "Nothing is mounted at this path (in this namespace).",
     "Look at the path, and at what is mounted:\n  bao secrets list\n  bao auth list", "vault-mount"),
    ("has been locked by an administrator", "An administrator locked the namespace.",
     "Ask who administers it.", "vault-namespace"),
)  # fmt: skip


def not_understood(answer: Answer, method: str, path: str, missing: str) -> VaultError:
    """The error for a success that lacks what it must have."""
    error = refused(answer, method, path)
    error.cause = error.cause or f"The answer lacks {missing}: what answered is not Vault, or a Vault unlike any known."
    return error


def unreachable(reasons: Mapping[str, str]) -> VaultError:
    """The error for addresses that did not answer, each with its reason."""
    first = next(iter(reasons))
    if len(reasons) == 1:
        what = f"No answer from Vault at {first}: {reasons[first]}"
    else:
        what = "No answer from Vault at any address: " + "; ".join(f"{a}: {reason}" for a, reason in reasons.items())
    return VaultError(
        what,
        cause="The address is wrong, the server is down, or this machine may not reach it.",
        fix="Look at vault.address in stepcreds.yml (or VAULT_ADDR), the network and the proxy variables. From this "
        f"machine:\n  curl -sS {first}/v1/sys/health",
        docs="vault-unreachable",
    )


def lost(failure: VaultError, path: str) -> LostAnswerError:
    """The error for a request to issue that may have been carried out."""
    return LostAnswerError(
        failure.what,
        status=failure.status,
        errors=failure.errors,
        cause=f"Whether {path} issued a credential is not known. If it did, it ends with the token that asked for it. "
        + failure.cause,
        fix=failure.fix,
        docs=failure.docs,
    )


def out_of_time(failure: VaultError, attempts: int, seconds: float, asked: float) -> VaultError:
    """`failure`, with how often and how long it was tried, and how long (seconds) the server asked to wait."""
    what = failure.what + (f" (tried {attempts} times in {seconds:.0f} s)" if attempts > 1 else "")
    cause = failure.cause + (f" It asks to wait {asked:.0f} s, longer than this call may take." if asked else "")
    return VaultError(
        what, status=failure.status, errors=failure.errors, cause=cause.strip(), fix=failure.fix, docs=failure.docs
    )
