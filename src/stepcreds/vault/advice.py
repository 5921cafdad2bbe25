"""What to change when Vault refuses a login: for each text that it is known to say, the cause and the lines to paste;
pure, and nothing here is raised.

The texts of a JWT login are those of `path_login.go` and `claims.go` of hashicorp/vault-plugin-auth-jwt and of
OpenBao's `builtin/credential/jwt`, and of `jwt/jwt.go` of hashicorp/cap, which both build on. They name a claim and
never its values; so the claims of our token stand beside them, and the command that shows what the role wants.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import NamedTuple

from stepcreds.errors import VaultError
from stepcreds.printable import one_line
from stepcreds.vault import refusals

# Claims that tell one job from another, in the order in which a role should bind them; the first of a line that the
# token has is taken. GitHub, GitLab, Buildkite, CircleCI, and anything else by its subject.
_BINDING = (
    ("repository_id", "project_id", "pipeline_slug", "oidc.circleci.com/project-id", "sub"),
    ("environment",),
    ("ref", "build_branch", "oidc.circleci.com/vcs-ref"),
)

# Claims that name one repository, for the role's user_claim.
_REPOSITORY = ("repository", "repository_id", "project_path", "project_id", "sub")

# What says the role in stepcreds.yml, unless something else does.
PROFILE_ROLE = "`role` of the profile (its default is the profile's name)"


class Login(NamedTuple):
    """What was asked of Vault in a login that it refused."""

    role: str
    mount: str
    audience: str
    claims: Mapping[str, object]
    named: str  # the claim that Vault's text names, "" where it names none
    setting: str = PROFILE_ROLE

    @property
    def path(self) -> str:
        return shlex.quote(f"auth/{self.mount}/role/{self.role}")

    def write(self, **settings: object) -> str:
        """A command that changes `settings` of the role and leaves the others as they are.

        But for three that every write sets anew: role_type, which would become "oidc" and is in the command, and
        bound_claims_type, which would become "string" (`path_role.go`; oidc_disable_confirmation is the third).
        """
        settings = {"role_type": "jwt", **settings}
        if "bound_claims" in settings:
            settings.setdefault("bound_claims_type", "string")
        # As JSON on standard input: a value from a branch name must not become a word of the operator's shell.
        # printf, because echo changes backslashes in some shells.
        return f"printf %s {shlex.quote(json.dumps(settings))} | bao write {self.path} -"

    def claim(self, name: str) -> object:
        """The claim that `name`, a name or a JSON pointer (RFC 6901), leads to; None where there is none."""
        if not name.startswith("/"):
            return self.claims.get(name)
        value: object = self.claims
        for part in name[1:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            value = value.get(key) if isinstance(value, Mapping) else None
        return value


def explain_login(
    error: VaultError,
    *,
    role: str,
    mount: str,
    audience: str,
    claims: Mapping[str, object],
    setting: str = PROFILE_ROLE,
) -> VaultError:
    """`error`, which `Vault.login` raised, with the claims of this job beside Vault's words, and what to change.

    `claims` must hold only what may be shown. `setting` says the role in stepcreds.yml. An error that is not a refusal
    (no answer, TLS, a sealed Vault) comes back as it is.
    """
    text = refusals.said(error.errors)
    for rule in _RULES:
        found = re.search(rule.pattern, text)
        if error.status in rule.statuses and found is not None:
            named = one_line(found.groupdict().get("claim") or "", 80)
            login = Login(role, mount, audience, claims, named, setting)
            return VaultError(
                f"Vault refused the login of role {role} at auth/{mount}: {text}",
                status=error.status,
                errors=error.errors,
                cause=rule.cause(login) + _shown(login),
                fix=rule.fix(login),
                docs=rule.docs,
            )
    return error


def _shown(login: Login) -> str:
    if not login.claims:
        return ""
    width = max(len(name) for name in login.claims)
    rows = [f"  {name:<{width}}  {_value(value)}" for name, value in sorted(login.claims.items())]
    return "\nThis job's token says (unverified):\n" + "\n".join(rows)


def _value(value: object) -> str:
    return one_line(value if isinstance(value, str) else json.dumps(value, default=str), 200)


def _look(login: Login) -> str:
    return f"What the role wants now:\n  bao read {login.path}"


_ALL_AT_ONCE = (
    "Vault names one claim and other claims may differ too. With a VAULT_TOKEN that may read the role, "
    "`stepcreds doctor` shows every difference."
)
_GLOB = "If the role has bound_claims_type=glob, add it to the command: a write without it sets it back to string."


def bound_claims(claims: Mapping[str, object], named: str = "") -> dict[str, object]:
    """The claims that a role should bind to let in this job and no other; `named` among them where the token has it."""
    chosen = {}
    for alternatives in _BINDING:
        for name in alternatives:
            if name in claims:
                chosen[name] = claims[name]
                break
    if named in claims:
        chosen[named] = claims[named]
    return chosen


def _fix_claims(login: Login) -> str:
    wanted = bound_claims(login.claims, login.named)
    return (
        f"{_look(login)}\nRun the job where the role expects it; or, if this job is meant to have the role, bind the "
        "role to it (this replaces bound_claims as a whole):\n"
        f"  {login.write(bound_claims=wanted)}"
    )


def _fix_one_claim(login: Login) -> str:
    return f"{_fix_claims(login)}\n{_ALL_AT_ONCE}"


def _cause_claim(login: Login) -> str:
    actual = login.claim(login.named)
    if actual is None:
        return f"The role wants a claim {login.named}, and this job's token has none."
    return f"The role wants another {login.named} than this job's, which is {_value(actual)}."


def _fix_audience(login: Login) -> str:
    return (
        f"{_look(login)}\nEither ask for an audience that is there (vault.auth.audience in stepcreds.yml), or put "
        f"this job's in (this replaces bound_audiences as a whole):\n"
        f"  {login.write(bound_audiences=[login.audience])}\n{_GLOB}"
    )


def _cause_audience(login: Login) -> str:
    return f"The role's bound_audiences do not hold {_value(login.claims.get('aud', login.audience))}."


def _fix_subject(login: Login) -> str:
    return (
        f"{_look(login)}\nBind claims that say one thing each rather than the subject, whose form differs with the "
        "repository's age and the job's environment:\n"
        f"  {login.write(bound_subject='', bound_claims=bound_claims(login.claims))}"
    )


def _fix_config(login: Login) -> str:
    issuer = login.claims.get("iss")
    url = shlex.quote(issuer) if isinstance(issuer, str) else "https://the.issuer"
    config = shlex.quote(f"auth/{login.mount}/config")
    return (
        f"What the mount expects now:\n  bao read {config}\nTo accept this job's issuer:\n"
        f"  bao write {config} oidc_discovery_url={url} bound_issuer={url}"
    )


def repository_claim(claims: Mapping[str, object]) -> str:
    """The name of a claim of this job's token that names one repository, for the role's user_claim."""
    return next((name for name in _REPOSITORY if name in claims), "sub")


def _fix_user_claim(login: Login) -> str:
    change = login.write(user_claim=repository_claim(login.claims))
    return f"{_look(login)}\nA user_claim that is in this token and fixes the repository:\n  {change}\n{_GLOB}"


def _says(text: str) -> Callable[[Login], str]:
    return lambda login: text.format(
        role=login.role, mount=login.mount, path=login.path, named=login.named, setting=login.setting
    )


class _Rule(NamedTuple):
    pattern: str
    docs: str
    cause: Callable[[Login], str]
    fix: Callable[[Login], str]
    statuses: tuple[int, ...] = (400,)


_CLOCK_FIX = "Compare the clocks of Vault's servers and of this runner (date -u), and let NTP keep both."

_RULES = (
    _Rule(r'role ".*" could not be found|invalid role name', "login-role",
          _says("There is no role {role} at auth/{mount}."),
          _says("The roles there are:\n  bao list auth/{mount}/role\nCorrect {setting}, or `mount` of vault.auth.")),
    _Rule(r"audience claim does not match any expected audience|aud claim does not match any bound audience",
          "login-audience", _cause_audience, _fix_audience),
    _Rule(r"no audiences bound to the role", "login-audience",
          _says("The token has an audience, and the role does not say which audiences it accepts."), _fix_audience),
    _Rule(r'claim "(?P<claim>[^"]*)" is missing', "login-claim", _cause_claim, _fix_one_claim),
    _Rule(r'claim "(?P<claim>[^"]*)" does not match any associated bound claim values', "login-claim",
          _cause_claim, _fix_one_claim),
    _Rule(r"(received|bound) claim is not a (string|glob)", "login-claim",
          _says("A bound claim, or the claim that it is compared with, is of a kind that Vault cannot compare."),
          _fix_one_claim),
    _Rule(r'"(?P<claim>[^"]*)" (claim )?not found in token', "login-user-claim",
          _says("The role's user_claim (or groups_claim) is {named}, and this job's token has none."), _fix_user_claim),
    _Rule(r"claim ['\"](?P<claim>[^'\"]*)['\"] (could not be converted )?to string", "login-user-claim",
          _says("The role takes a name from a claim that is not a text."), _fix_user_claim),
    _Rule(r"invalid issuer \(iss\) claim", "login-issuer",
          _says("The mount auth/{mount} accepts another issuer than this token's."), _fix_config),
    _Rule(r"invalid subject \(sub\) claim", "login-subject",
          _says("The role's bound_subject is another than this job's."), _fix_subject),
    _Rule(r"token is expired", "login-time",
          _says("By the clock of Vault's servers the token has expired: fetched too early, or a clock is wrong."),
          _says("Fetch the token in the step that uses it. " + _CLOCK_FIX)),
    _Rule(r"token not yet valid|issued in the future", "login-time",
          _says("By the clock of Vault's servers the token is not valid yet: a clock is wrong."), _says(_CLOCK_FIX)),
    _Rule(r"fetching keys|get keys failed|no known key|verifying token signature|no key set found", "login-signature",
          _says("Vault could not verify the token's signature: auth/{mount} is set up for another issuer, or Vault's "
                "servers cannot fetch the issuer's keys."), _fix_config),
    _Rule(r"invalid algorithm \(alg\)", "login-signature",
          _says("The mount auth/{mount} does not accept the algorithm that this token is signed with."), _fix_config),
    _Rule(r"could not load configuration|configuring token validator", "login-mount",
          _says("The mount auth/{mount} exists, and nobody has set it up."), _fix_config),
    _Rule(r"oidc role_type is not allowed", "login-role",
          _says("The role {role} is for people who log in with a browser."),
          _says("Make a role of its own for the pipeline, with role_type=jwt.")),
    _Rule(r"permission denied", "login-denied",
          _says("Vault says no more than this. Either nothing is mounted at auth/{mount} (in this namespace), or it is "
                "not a JWT mount, or the role's token_bound_cidrs do not hold this runner's address."),
          _says("What is mounted:\n  bao auth list\nThe addresses that the role accepts:\n"
                "  bao read -field=token_bound_cidrs {path}"), (403,)),
    _Rule(r"no handler for route|unsupported (path|operation)|missing role_id", "login-mount",
          _says("No JWT auth method is mounted at auth/{mount} (in this namespace)."),
          _says("What is mounted:\n  bao auth list\nCorrect vault.auth.mount and vault.namespace in stepcreds.yml."),
          (404, 405, 500)),
)  # fmt: skip


def batch_token(role: str, mount: str) -> VaultError:
    """The error for a login that gave a token which nothing can revoke."""
    path = shlex.quote(f"auth/{mount}/role/{role}")
    return VaultError(
        f"The role {role} at auth/{mount} gives batch tokens, which cannot be revoked",
        cause="A batch token and what it issues live until they expire, whatever happens to the step.",
        fix=f"Make the role give service tokens:\n  bao write {path} role_type=jwt token_type=service\n{_GLOB}",
        docs="batch-token",
    )


def counted_token(role: str, mount: str) -> VaultError:
    """The error for a login that gave a token which may be used so many times and no more."""
    path = shlex.quote(f"auth/{mount}/role/{role}")
    return VaultError(
        f"The role {role} at auth/{mount} gives tokens that may be used only so many times",
        cause="How many calls a step needs is not known before: each renewal is some. A token that has come to its "
        "last use can revoke nothing.",
        fix=f"Let them be used as often as is needed:\n  bao write {path} role_type=jwt token_num_uses=0\n{_GLOB}",
        docs="counted-token",
    )


def mfa_required(role: str, mount: str) -> VaultError:
    """The error for a login that Vault answers with a demand for a second factor."""
    return VaultError(
        f"Vault wants a second factor for the login of role {role} at auth/{mount}",
        cause="An MFA enforcement covers this mount, and a pipeline has no second factor.",
        fix="Leave this mount out of the enforcement:\n  bao list identity/mfa/login-enforcement",
        docs="login-denied",
    )
