"""From an environment to a checked identity: what is taken first, what each check says; no token is ever shown."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from id_tokens import AUDIENCE, CANARY, NoHTTP, encoded, made, told
from token_endpoint import NOW, DrivenClock, Endpoint, token_reply

from stepcreds.ci.azure import AzurePipelines
from stepcreds.ci.bitbucket import Bitbucket
from stepcreds.ci.github import GitHub
from stepcreds.ci.gitlab import GitLab
from stepcreds.ci.interface import CI
from stepcreds.ci.jenkins import Jenkins
from stepcreds.ci.kubernetes import Kubernetes
from stepcreds.clock import SystemClock
from stepcreds.config.model import VaultSettings
from stepcreds.devstack.issuer import Issuer
from stepcreds.errors import IdentityError
from stepcreds.identity import obtain
from stepcreds.model import Identity
from stepcreds.secret import Secret

SETTINGS = VaultSettings(
    addresses=(AUDIENCE,),
    namespace=None,
    ca_cert=None,
    client_cert=None,
    client_key=None,
    skip_verify=False,
    mount="jwt",
    audience=AUDIENCE,
)
SAYS = ' The token says of itself: iss "https://ci.example.com", sub "job:1".'


def given_token(token: str, now: float = NOW) -> Identity:
    return obtain(SETTINGS, {"STEPCREDS_ID_TOKEN": token}, clock=DrivenClock(now), http=NoHTTP())


def refused(token: str, now: float = NOW) -> tuple[str, str, str, str]:
    with pytest.raises(IdentityError) as error:
        given_token(token, now)
    shown = "".join(traceback.format_exception(error.value)) + repr(error.value)
    assert CANARY not in shown
    if token.count(".") == 2:
        assert token.split(".")[2] not in shown
    return told(error)


def test_github_from_beginning_to_end() -> None:
    with Issuer() as issuer:
        identity = obtain(SETTINGS, issuer.environment(), clock=SystemClock())
    assert identity.source == "GitHub Actions"
    assert identity.variable == ""
    assert identity.claims["repository"] == "acme/shop"
    assert identity.token.reveal() not in repr(identity)


def test_the_variable_of_the_settings_is_the_one_asked_for() -> None:
    settings = SETTINGS._replace(id_token_variable="MINE")
    identity = obtain(settings, {"GITLAB_CI": "true", "MINE": made()}, clock=DrivenClock(), http=NoHTTP())
    assert (identity.source, identity.variable) == ("the variable MINE", "MINE")


def test_what_is_handed_over_goes_before_what_the_ci_has(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"\n{made(sub='file')}\n")
    environment = {
        "GITLAB_CI": "true",
        "VAULT_ID_TOKEN": made(sub="gitlab"),
        "STEPCREDS_ID_TOKEN": made(sub="variable"),
    }
    first = obtain(SETTINGS, environment, clock=DrivenClock(), http=NoHTTP(), id_token_file=file)
    assert (first.claims["sub"], first.source, first.variable) == ("file", f"the file {file}", "")
    second = obtain(SETTINGS, environment, clock=DrivenClock(), http=NoHTTP())
    assert (second.claims["sub"], second.source) == ("variable", "the variable STEPCREDS_ID_TOKEN")
    assert second.variable == "STEPCREDS_ID_TOKEN"
    third = obtain(SETTINGS, {**environment, "STEPCREDS_ID_TOKEN": ""}, clock=DrivenClock(), http=NoHTTP())
    assert third.claims["sub"] == "gitlab"


def test_a_laptop_is_refused_with_the_two_ways_on() -> None:
    from stepcreds.ci.none import NoCI

    with pytest.raises(IdentityError) as error:
        obtain(SETTINGS, {"HOME": "/home/zoe"}, clock=DrivenClock(), http=NoHTTP(), ci=NoCI())
    assert told(error) == (
        "There is no CI here that could say who this step is",
        "No variable of a CI that stepcreds knows is set, nor is --id-token-file or STEPCREDS_ID_TOKEN.",
        "On another CI, write its ID token to a file:\n"
        "  stepcreds exec --id-token-file FILE PROFILE -- COMMAND\n"
        "On your own machine, use the Vault token that you logged in with; the ledger will say so:\n"
        "  stepcreds exec --as-operator PROFILE -- COMMAND",
        "no-identity",
    )


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(IdentityError) as error:
        obtain(SETTINGS, {}, clock=DrivenClock(), http=NoHTTP(), id_token_file=tmp_path / "none")
    assert told(error) == (
        f"The ID token in {tmp_path / 'none'} cannot be read: No such file or directory",
        "",
        "Check that the step before wrote it, and that this user may read it.",
        "token-file",
    )


def test_a_token_in_the_place_of_a_path_is_not_shown() -> None:
    with pytest.raises(IdentityError) as error:
        obtain(SETTINGS, {}, clock=DrivenClock(), http=NoHTTP(), id_token_file=Path(made()))
    assert told(error) == (
        "What was given as the path of a file with an ID token looks like a token itself",
        "A CI that gives the token in a variable needs no file; the value is not shown here.",
        "Hand it over in the variable STEPCREDS_ID_TOKEN, without --id-token-file.",
        "token-file",
    )
    assert made().split(".")[1] not in "".join(traceback.format_exception(error.value))


def malformed(reason: str, source: str = "the variable STEPCREDS_ID_TOKEN") -> tuple[str, str, str, str]:
    return (
        f"The ID token from {source} {reason}",
        "Something else stands in its place, or it was cut or wrapped on the way. It is not shown: it may be a secret "
        "all the same.",
        "Look at where it comes from. A token is three runs of letters, digits, - and _, with a dot between them, on "
        "one line.",
        "malformed-token",
    )


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (f"garbage {CANARY}", "is not a JSON Web Token: it has 1 part where a dot divides 3"),
        (f"{CANARY}.{CANARY}.{CANARY}", "is not a JSON Web Token: its header is not a JSON object"),
        (made(header={"typ": "JWT"}), "does not say how it is signed (alg)"),
        (made(header={"alg": ["none"]}), "does not say how it is signed (alg)"),
        (made(header={"alg": "none"}), "is not signed (alg is none)"),
        (made(header={"alg": "NoNe"}), "is not signed (alg is none)"),
    ],
)
def test_what_is_no_signed_token(token: str, reason: str) -> None:
    assert refused(token) == malformed(reason)


@pytest.mark.parametrize(
    "content", [CANARY.encode(), f"\xff\x00{CANARY}".encode("latin-1"), CANARY.encode() * 100_000, b""]
)
def test_garbage_in_a_file_is_not_shown(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(IdentityError) as error:
        obtain(SETTINGS, {}, clock=DrivenClock(), http=NoHTTP(), id_token_file=file)
    parts = told(error)
    assert parts[1:] == malformed("")[1:]
    assert CANARY not in "".join(traceback.format_exception(error.value)) + repr(error.value)


@given(st.text(min_size=6, max_size=80))
@example("\ud800" * 6)
@example("eyJhbGciOiJub25lIn0.e30.")
def test_no_text_gets_through_or_into_a_message(text: str) -> None:
    with pytest.raises(IdentityError) as error:
        given_token(f"{text}{CANARY}")
    shown = "".join(traceback.format_exception(error.value))
    assert CANARY not in shown
    assert error.value.docs == "malformed-token"


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["https://other.example.com", AUDIENCE]])
def test_the_audience_is_a_text_or_a_list(audience: object) -> None:
    identity = given_token(made(aud=audience))
    assert identity.token == Secret(made(aud=audience))


HANDED_OVER = (
    "Whoever asked for the token named another audience than stepcreds.yml does (vault.auth.audience; without it, the "
    f"address of Vault).{SAYS}"
)


@pytest.mark.parametrize(
    ("audience", "has", "meant"),
    [
        ("https://other.example.com", 'is for "https://other.example.com"', "https://other.example.com"),
        (["a", "b"], 'is for "a" and "b"', "a"),
        (f"{AUDIENCE}/", f'is for "{AUDIENCE}/"', f"{AUDIENCE}/"),
        ([], "names no audience", AUDIENCE),
        (None, "names no audience", AUDIENCE),
        (7, "names no audience", AUDIENCE),
    ],
)
def test_another_audience_in_a_token_that_was_handed_over(audience: object, has: str, meant: str) -> None:
    assert refused(made(aud=audience)) == (
        f'The ID token from the variable STEPCREDS_ID_TOKEN {has}, and this step needs one for "{AUDIENCE}"',
        HANDED_OVER,
        f'Ask for a token with the audience "{AUDIENCE}". If Vault\'s role is bound to the audience that the token '
        "has, say so in stepcreds.yml; and if that does not name Vault's host, take the address out of the file and "
        f"set STEPCREDS_VAULT_ADDR:\n  vault:\n    auth:\n      audience: {meant}",
        "wrong-audience",
    )


NOT_THE_SAME = "than stepcreds.yml does (vault.auth.audience; without it, the address of Vault)"
OTHER = made(aud="other")


@pytest.mark.parametrize(
    ("ci", "environment", "source", "cause", "fix"),
    [
        (
            GitLab(),
            {"VAULT_ID_TOKEN": OTHER},
            "the variable VAULT_ID_TOKEN",
            f"The id_tokens: block of the job names another audience {NOT_THE_SAME}.",
            f"Change the job:\n  id_tokens:\n    VAULT_ID_TOKEN:\n      aud: {AUDIENCE}",
        ),
        (
            Bitbucket(),
            {"BITBUCKET_STEP_OIDC_TOKEN": OTHER},
            "the variable BITBUCKET_STEP_OIDC_TOKEN",
            "Without audiences: of its own, a step gets the audience of the workspace "
            "(ari:cloud:bitbucket::workspace/…).",
            f"Name the audience in the step:\n  oidc:\n    audiences:\n      - {AUDIENCE}",
        ),
        (
            Jenkins(),
            {"VAULT_ID_TOKEN": OTHER},
            "the variable VAULT_ID_TOKEN",
            f"The credential in Jenkins names another audience {NOT_THE_SAME}, or none.",
            f'In Jenkins, open the credential and set its Audience to "{AUDIENCE}".',
        ),
    ],
)
def test_another_audience_in_a_token_of_the_ci(
    ci: CI, environment: dict[str, str], source: str, cause: str, fix: str
) -> None:
    with pytest.raises(IdentityError) as error:
        obtain(SETTINGS, environment, clock=DrivenClock(), http=NoHTTP(), ci=ci)
    what = f'The ID token from {source} is for "other", and this step needs one for "{AUDIENCE}"'
    assert told(error) == (what, cause + SAYS, fix, "wrong-audience")


def test_another_audience_in_a_pods_token(tmp_path: Path) -> None:
    (tmp_path / "t").write_text(OTHER)
    environment = {"STEPCREDS_KUBERNETES_TOKEN": str(tmp_path / "t")}
    with pytest.raises(IdentityError) as error:
        obtain(SETTINGS, environment, clock=DrivenClock(), http=NoHTTP(), ci=Kubernetes())
    assert told(error) == (
        f'The ID token from the file {tmp_path / "t"} is for "other", and this step needs one for "{AUDIENCE}"',
        f"The volume of the pod names another audience {NOT_THE_SAME}, or none, and then the token is for the "
        f"cluster's own API.{SAYS}",
        "Change the volume:\n"
        "  projected:\n"
        "    sources:\n"
        "      - serviceAccountToken:\n"
        "          path: vault-token\n"
        f"          audience: {AUDIENCE}\n"
        "          expirationSeconds: 600",
        "wrong-audience",
    )


def test_another_audience_although_github_was_asked_for_the_right_one() -> None:
    with Endpoint(token_reply(OTHER)) as endpoint, pytest.raises(IdentityError) as error:
        environment = {"ACTIONS_ID_TOKEN_REQUEST_URL": endpoint.url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x"}
        obtain(SETTINGS, environment, clock=DrivenClock(), ci=GitHub())
    assert told(error) == (
        f'The ID token from GitHub Actions is for "other", and this step needs one for "{AUDIENCE}"',
        f'stepcreds asked GitHub Actions for "{AUDIENCE}", and what answered did not heed it.{SAYS}',
        "Look at what stands between the runner and GitHub Actions, a proxy or a wrapper that sets "
        "ACTIONS_ID_TOKEN_REQUEST_URL: the audience is in the query of the request.",
        "wrong-audience",
    )


def test_azures_audience_cannot_be_chosen() -> None:
    token = made(aud="api://AzureADTokenExchange")
    with Endpoint(token_reply(token, "oidcToken")) as endpoint:
        environment = {"SYSTEM_OIDCREQUESTURI": endpoint.url, "SYSTEM_ACCESSTOKEN": "x"}
        settings = SETTINGS._replace(audience="api://AzureADTokenExchange")
        assert obtain(settings, environment, clock=DrivenClock(), ci=AzurePipelines()).token == Secret(token)
        with pytest.raises(IdentityError) as error:
            obtain(SETTINGS, environment, clock=DrivenClock(), ci=AzurePipelines())
    assert told(error) == (
        'The ID token from Azure Pipelines is for "api://AzureADTokenExchange", and this step needs one for '
        f'"{AUDIENCE}"',
        "Azure Pipelines gives every ID token the audience api://AzureADTokenExchange, and no setting changes that."
        f"{SAYS}",
        "Bind Vault's role to it (bound_audiences=api://AzureADTokenExchange), and to org_id, prj_id and def_id as "
        "well: others are given such tokens too. Take the address out of stepcreds.yml, set STEPCREDS_VAULT_ADDR, and "
        "write into the file:\n  vault:\n    auth:\n      audience: api://AzureADTokenExchange",
        "wrong-audience",
    )


@pytest.mark.parametrize(
    ("claims", "missing", "says"),
    [
        ({"iss": None}, "no issuer (iss)", ' The token says of itself: sub "job:1".'),
        ({"iss": ""}, "no issuer (iss)", ' The token says of itself: iss "", sub "job:1".'),
        ({"iss": 5, "sub": None}, "no issuer (iss)", ' The token says of itself: iss "5".'),
        ({"exp": None}, "no time at which it expires (exp)", SAYS),
        ({"exp": "tomorrow"}, "no time at which it expires (exp)", SAYS),
        ({"exp": True}, "no time at which it expires (exp)", SAYS),
        ({"iat": None, "nbf": None}, "no time at which it was made (iat)", SAYS),
        ({"iat": "yesterday", "nbf": []}, "no time at which it was made (iat)", SAYS),
    ],
)
def test_a_token_without_what_every_issuer_sets(claims: dict[str, object], missing: str, says: str) -> None:
    assert refused(made(**claims)) == (
        f"The ID token from the variable STEPCREDS_ID_TOKEN names {missing}",
        f"Every OpenID Connect issuer sets it, so this is a JWT of another kind.{says}",
        "Ask the CI for an ID token.",
        "malformed-token",
    )


def test_an_expired_token_that_was_lying_about() -> None:
    assert refused(made(), NOW + 3900) == (
        "The ID token from the variable STEPCREDS_ID_TOKEN expired at 2026-09-21T14:18:20.000Z (exp), "
        "and here it is 2026-09-21T15:18:20.000Z",
        f"It was made long before this step, and the job has outlasted it; or this machine's clock is fast.{SAYS}",
        "Have the token made in this step, or in a shorter job. Compare the runner's clock with another: date -u.",
        "expired-token",
    )


@pytest.mark.parametrize(("made_at", "ahead"), [(int(NOW), " by about 3600 s"), (None, "")])
def test_an_expired_token_that_was_made_just_now(made_at: int | None, ahead: str) -> None:
    with Endpoint(token_reply(made(iat=made_at))) as endpoint, pytest.raises(IdentityError) as error:
        environment = {"ACTIONS_ID_TOKEN_REQUEST_URL": endpoint.url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x"}
        obtain(SETTINGS, environment, clock=DrivenClock(NOW + 3600), ci=GitHub())
    assert told(error) == (
        "The ID token from GitHub Actions expired at 2026-09-21T14:18:20.000Z (exp), and here it is "
        "2026-09-21T15:13:20.000Z",
        f"It was made just now, so this machine's clock is likely fast{ahead}.{SAYS}",
        "Set the clock of the runner, or have it kept by NTP.",
        "clock",
    )


@pytest.mark.parametrize(
    ("claims", "what"),
    [
        ({"nbf": int(NOW) + 90}, "is not valid before 2026-09-21T14:14:50.000Z (nbf)"),
        ({"iat": int(NOW) + 90}, "was made at 2026-09-21T14:14:50.000Z (iat)"),
    ],
)
def test_a_token_from_the_future(claims: dict[str, object], what: str) -> None:
    assert refused(made(**claims)) == (
        f"The ID token from the variable STEPCREDS_ID_TOKEN {what}, and here it is 2026-09-21T14:13:20.000Z",
        "This machine's clock is likely 90 s slow: issuers keep good time, and more than 60 s are not lost on the way."
        f"{SAYS}",
        "Set the clock of the runner, or have it kept by NTP.",
        "clock",
    )


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": int(NOW) - 59},
        {"nbf": int(NOW) + 60},
        {"iat": int(NOW) + 60},
        {"iat": None},
        {"nbf": None},
        {"iat": "yesterday"},
        {"exp": NOW + 0.5},
    ],
)
def test_clocks_may_differ_by_a_minute(claims: dict[str, object]) -> None:
    assert given_token(made(**claims)).claims["sub"] == "job:1"


def test_the_clock_is_judged_to_the_second() -> None:
    assert refused(made(exp=int(NOW) - 60))[3] == "expired-token"
    assert refused(made(nbf=int(NOW) + 61))[3] == "clock"


def test_claims_in_a_message_are_printable() -> None:
    assert refused(made(aud="a", sub="x\n::add-mask::\x1b[2Jy", iss='q"'))[1].endswith(
        ' The token says of itself: iss "q\\"", sub "x ::add-mask::\\\\x1b[2Jy".'
    )


def test_a_payload_of_the_right_shape_and_the_wrong_kind() -> None:
    assert refused(f"{encoded({'alg': 'RS256'})}.{encoded({})}.{encoded(CANARY)}")[0] == (
        f'The ID token from the variable STEPCREDS_ID_TOKEN names no audience, and this step needs one for "{AUDIENCE}"'
    )
