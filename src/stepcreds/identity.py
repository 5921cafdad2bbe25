"""The OIDC token of this step for an audience, with its claims checked as far as that goes without its issuer's keys.

The claims stay *unverified*: Vault verifies signature, issuer and bound claims. What is checked here is what a login
would fail for anyway, so that the message can name the two values and the lines to paste. The token is in no message.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stepcreds.ci.claims import claims_for_ledger, claims_for_messages
from stepcreds.ci.detect import detect
from stepcreds.ci.file import shown, token_in
from stepcreds.ci.http import HTTP, PatientHTTP
from stepcreds.ci.interface import CI, Advice, Common, Found
from stepcreds.ci.jwt import TokenShapeError, audiences, read, seconds
from stepcreds.ci.wording import quoted
from stepcreds.clock import Clock, rfc3339
from stepcreds.config.model import VaultSettings
from stepcreds.errors import IdentityError
from stepcreds.model import Identity
from stepcreds.secret import Secret

__all__ = ["SKEW", "claims_for_ledger", "claims_for_messages", "obtain"]

SKEW = 60.0  # seconds that this machine's clock and the issuer's may differ; Vault's own default (clock_skew_leeway)


def obtain(
    settings: VaultSettings,
    environment: Mapping[str, str],
    *,
    clock: Clock,
    ci: CI | None = None,
    id_token_file: Path | None = None,
    http: HTTP | None = None,
) -> Identity:
    """A token for `settings.audience`: from `id_token_file`, else STEPCREDS_ID_TOKEN, else from the CI.

    `ci` and `http` default to what `environment` says. Raises `IdentityError`.
    """
    ci = ci or detect(environment, settings.id_token_variable)
    found = _handed_over(environment, id_token_file)
    advice = Common().wrong_audience
    if found is None:
        found = ci.token(settings.audience, environment, http or PatientHTTP(environment, clock))
        advice = ci.wrong_audience
    if found is None:
        raise IdentityError(
            "There is no CI here that could say who this step is",
            cause="No variable of a CI that stepcreds knows is set, nor is --id-token-file or STEPCREDS_ID_TOKEN.",
            fix="On another CI, write its ID token to a file:\n"
            "  stepcreds exec --id-token-file FILE PROFILE -- COMMAND\n"
            "On your own machine, use the Vault token that you logged in with; the ledger will say so:\n"
            "  stepcreds exec --as-operator PROFILE -- COMMAND",
            docs="no-identity",
        )
    claims = _readable(found)
    named = audiences(claims)
    if settings.audience not in named:
        raise _wrong_audience(found, claims, named, advice(settings.audience, named), settings.audience)
    _complete(found, claims)
    _timely(found, claims, clock.now())
    return Identity(found.token, claims, found.source, found.variable)


def _handed_over(environment: Mapping[str, str], path: Path | None) -> Found | None:
    if path is not None:
        return Found(token_in(path), f"the file {shown(path)}")
    value = environment.get("STEPCREDS_ID_TOKEN", "").strip()
    return Found(Secret(value), "the variable STEPCREDS_ID_TOKEN", "STEPCREDS_ID_TOKEN") if value else None


def _readable(found: Found) -> Mapping[str, object]:
    reason = ""
    try:
        token = read(found.token)
    except TokenShapeError as error:
        reason = f"is not a JSON Web Token: {error}"
    else:
        algorithm = token.header.get("alg")
        if not isinstance(algorithm, str) or not algorithm:
            reason = "does not say how it is signed (alg)"
        elif algorithm.lower() == "none":
            reason = "is not signed (alg is none)"
    if reason:
        raise IdentityError(
            f"The ID token from {found.source} {reason}",
            cause="Something else stands in its place, or it was cut or wrapped on the way. It is not shown: it may be "
            "a secret all the same.",
            fix="Look at where it comes from. A token is three runs of letters, digits, - and _, with a dot between "
            "them, on one line.",
            docs="malformed-token",
        )
    return token.claims


def _wrong_audience(
    found: Found, claims: Mapping[str, object], named: tuple[str, ...], advice: Advice, audience: str
) -> IdentityError:
    has = f"is for {' and '.join(quoted(one) for one in named[:5])}" if named else "names no audience"
    return IdentityError(
        f"The ID token from {found.source} {has}, and this step needs one for {quoted(audience)}",
        cause=f"{advice.cause}{_said(claims)}",
        fix=advice.fix,
        docs="wrong-audience",
    )


def _complete(found: Found, claims: Mapping[str, object]) -> None:
    missing = ""
    if not isinstance(claims.get("iss"), str) or not claims["iss"]:
        missing = "no issuer (iss)"
    elif seconds(claims, "exp") is None:
        missing = "no time at which it expires (exp)"
    elif seconds(claims, "iat") is None and seconds(claims, "nbf") is None:
        # Vault then counts back from exp, and calls a token of five minutes not yet valid.
        missing = "no time at which it was made (iat)"
    if missing:
        raise IdentityError(
            f"The ID token from {found.source} names {missing}",
            cause=f"Every OpenID Connect issuer sets it, so this is a JWT of another kind.{_said(claims)}",
            fix="Ask the CI for an ID token.",
            docs="malformed-token",
        )


def _timely(found: Found, claims: Mapping[str, object], now: float) -> None:
    for name, meaning in (("nbf", "is not valid before"), ("iat", "was made at")):
        time = seconds(claims, name)
        if time is not None and time > now + SKEW:
            raise IdentityError(
                f"The ID token from {found.source} {meaning} {rfc3339(time)} ({name}), and here it is {rfc3339(now)}",
                cause=f"This machine's clock is likely {time - now:.0f} s slow: issuers keep good time, and more than "
                f"{SKEW:.0f} s are not lost on the way.{_said(claims)}",
                fix="Set the clock of the runner, or have it kept by NTP.",
                docs="clock",
            )
    expires = seconds(claims, "exp")
    if expires is None or expires + SKEW > now:
        return
    made = seconds(claims, "iat")
    cause = "It was made long before this step, and the job has outlasted it; or this machine's clock is fast."
    fix = "Have the token made in this step, or in a shorter job. Compare the runner's clock with another: date -u."
    if found.fresh:
        ahead = f" by about {now - made:.0f} s" if made is not None else ""
        cause = f"It was made just now, so this machine's clock is likely fast{ahead}."
        fix = "Set the clock of the runner, or have it kept by NTP."
    raise IdentityError(
        f"The ID token from {found.source} expired at {rfc3339(expires)} (exp), and here it is {rfc3339(now)}",
        cause=f"{cause}{_said(claims)}",
        fix=fix,
        docs="clock" if found.fresh else "expired-token",
    )


def _said(claims: Mapping[str, object]) -> str:
    """The two claims that tell a token's origin, to end a cause with."""
    shown = claims_for_messages(claims)
    told = ", ".join(f"{name} {quoted(shown[name])}" for name in ("iss", "sub") if name in shown)
    return f" The token says of itself: {told}." if told else ""
