"""GitHub Actions, Forgejo and Gitea: the protocol over HTTP, two ways to have no token, what their logs understand."""

from __future__ import annotations

import json
import ssl
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
from id_tokens import AUDIENCE, CANARY, NoHTTP, made, told
from token_endpoint import DrivenClock, Endpoint, Reply, token_reply

from stepcreds.ci.github import Forgejo, Gitea, GitHub
from stepcreds.ci.http import PatientHTTP
from stepcreds.clock import SystemClock
from stepcreds.devstack import certificates
from stepcreds.devstack.issuer import Issuer
from stepcreds.errors import IdentityError
from stepcreds.secret import Secret


def variables(url: str, **more: str) -> dict[str, str]:
    return {
        "GITHUB_ACTIONS": "true",
        "ACTIONS_ID_TOKEN_REQUEST_URL": url,
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": f"bearer-{CANARY}",
        **more,
    }


def test_a_token_from_an_endpoint_whose_url_has_a_query() -> None:
    with Issuer() as issuer:
        environment = issuer.environment()
        assert "?" in environment["ACTIONS_ID_TOKEN_REQUEST_URL"]
        found = GitHub().token("https://vault.example.com/?a=b&c", environment, PatientHTTP({}, SystemClock()))
        assert issuer.audiences == ["https://vault.example.com/?a=b&c"]
    assert found is not None
    assert (found.source, found.variable, found.fresh) == ("GitHub Actions", "", True)
    assert found.token.reveal().count(".") == 2


@pytest.mark.parametrize(("path", "target"), [("/token?api-version=2.0", "&audience="), ("/token", "?audience=")])
def test_the_request_is_a_get_with_the_audience_encoded_and_the_bearer_token(path: str, target: str) -> None:
    with Endpoint(token_reply(made())) as endpoint:
        GitHub().token(AUDIENCE, variables(f"{endpoint.url}{path}"), PatientHTTP({}, DrivenClock()))
        (asked,) = endpoint.asked
    assert (asked.method, asked.target) == ("GET", f"{path}{target}{quote(AUDIENCE, safe='')}")
    assert asked.headers["authorization"] == f"bearer bearer-{CANARY}"


NO_PERMISSION = (
    "GitHub Actions gives this job no ID token",
    "The job lacks the permission id-token: write. A permissions: block of the job replaces the workflow's, and a "
    "reusable workflow has at most what its caller grants.",
    "Add to the job (and to the job that calls it, if it is a reusable workflow):\n"
    "  permissions:\n"
    "    contents: read\n"
    "    id-token: write",
    "id-token-permission",
)


@pytest.mark.parametrize("left", [{}, {"ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1/"}])
def test_without_the_permission_there_are_lines_to_paste(left: dict[str, str]) -> None:
    with pytest.raises(IdentityError) as error:
        GitHub().token(AUDIENCE, {"GITHUB_ACTIONS": "true", **left}, NoHTTP())
    assert told(error) == NO_PERMISSION


def test_forgejo_has_another_line_to_paste() -> None:
    with pytest.raises(IdentityError) as error:
        Forgejo().token(AUDIENCE, {"FORGEJO_ACTIONS": "true"}, NoHTTP())
    assert told(error) == (
        "Forgejo Actions gives this job no ID token",
        "Neither the job nor the workflow enables them.",
        "Add to the job:\n  enable-openid-connect: true",
        "id-token-permission",
    )


def pull_request(folder: Path, head: object, event: str = "pull_request") -> dict[str, str]:
    path = folder / "event.json"
    path.write_text(json.dumps({"pull_request": {"head": {"repo": head}}}))
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": event,
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_REPOSITORY": "acme/shop",
    }


@pytest.mark.parametrize(
    ("head", "shown"),
    [
        ({"full_name": "octocat/shop"}, "octocat/shop"),
        ({"full_name": "octocat/\x1b[2Jshop"}, "octocat/\\x1b[2Jshop"),
        (None, "a deleted repository"),
    ],
)
def test_a_pull_request_from_a_fork_is_told_so(tmp_path: Path, head: object, shown: str) -> None:
    with pytest.raises(IdentityError) as error:
        GitHub().token(AUDIENCE, pull_request(tmp_path, head), NoHTTP())
    assert told(error) == (
        f"GitHub Actions gives no ID token to a pull request from a fork ({shown} into acme/shop)",
        "Anyone can open one, so it runs without the permissions of this repository.",
        "Leave the step out of such runs, and run it after the merge, on push:\n"
        "  if: github.event_name != 'pull_request' || "
        "github.event.pull_request.head.repo.full_name == github.repository\n"
        "Do not turn to pull_request_target: it would give the code of the fork this repository's permissions.",
        "fork-pull-request",
    )


@pytest.mark.parametrize(
    ("head", "event"),
    [
        ({"full_name": "acme/shop"}, "pull_request"),
        ({"full_name": "Acme/Shop"}, "pull_request"),
        ({"full_name": "octocat/shop"}, "pull_request_target"),
        ({"full_name": "octocat/shop"}, "push"),
        ({"full_name": 7}, "pull_request"),
        ("text", "pull_request"),
    ],
)
def test_anything_else_without_a_token_lacks_the_permission(tmp_path: Path, head: object, event: str) -> None:
    with pytest.raises(IdentityError) as error:
        GitHub().token(AUDIENCE, pull_request(tmp_path, head, event), NoHTTP())
    assert told(error) == NO_PERMISSION


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b'{"pull_request": null}', b"\xff"])
def test_an_event_that_cannot_be_read_is_no_reason_to_stop(tmp_path: Path, content: bytes) -> None:
    environment = pull_request(tmp_path, None)
    Path(environment["GITHUB_EVENT_PATH"]).write_bytes(content)
    with pytest.raises(IdentityError) as error:
        GitHub().token(AUDIENCE, environment, NoHTTP())
    assert told(error) == NO_PERMISSION


def failing(*replies: Reply, deadline: float = 30.0) -> tuple[tuple[str, str, str, str], int, DrivenClock, str]:
    """What is told, how often the endpoint was asked, the clock, and the whole traceback."""
    clock = DrivenClock()
    with Endpoint(*replies) as endpoint, pytest.raises(IdentityError) as error:
        http = PatientHTTP({}, clock, deadline=deadline, jitter=lambda: 0.0)
        GitHub().token(AUDIENCE, variables(f"{endpoint.url}/token?api-version=2.0"), http)
    return told(error), len(endpoint.asked), clock, "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("trouble", [Reply(503), Reply(429), Reply(500), Reply(reset=True)])
def test_a_flaky_endpoint_is_asked_again_with_longer_pauses(trouble: Reply) -> None:
    clock = DrivenClock()
    with Endpoint(trouble, trouble, token_reply(made())) as endpoint:
        http = PatientHTTP({}, clock, jitter=lambda: 1.0)
        found = GitHub().token(AUDIENCE, variables(f"{endpoint.url}/token?api-version=2.0"), http)
        assert len(endpoint.asked) == 3
    assert found is not None
    assert found.token == Secret(made())
    assert clock.slept == [0.5, 1.0]


def test_the_pauses_are_between_half_and_the_whole_and_end_at_five_seconds() -> None:
    (what, _, _, _), asked, clock, _ = failing(Reply(503), deadline=12.0)
    assert clock.slept == [0.25, 0.5, 1.0, 2.0, 2.5, 2.5, 2.5]
    assert what == (
        "The token endpoint of GitHub Actions at 127.0.0.1 gave no ID token: HTTP 503 (the last of 8 tries)"
    )
    assert asked == 8
    assert sum(clock.slept) < 12.0


def test_retry_after_is_heeded_as_far_as_the_deadline_goes() -> None:
    clock = DrivenClock()
    with Endpoint(Reply(429, headers={"Retry-After": "7"}), token_reply(made())) as endpoint:
        http = PatientHTTP({}, clock, jitter=lambda: 1.0)
        GitHub().token(AUDIENCE, variables(endpoint.url), http)
    assert clock.slept == [7.0]
    (what, _, _, _), asked, clock, _ = failing(Reply(429, headers={"Retry-After": "31"}))
    assert (asked, clock.slept) == (1, [])
    assert what == "The token endpoint of GitHub Actions at 127.0.0.1 gave no ID token: HTTP 429"


AGAIN = "Run the job again. If it stays so, look at the CI's status page and at the runner's network."


@pytest.mark.parametrize(
    ("reply", "how", "cause"),
    [
        (Reply(401), "HTTP 401", "The token that the job asks with was not accepted: it has expired, or belongs to "
         "another job."),
        (Reply(404), "HTTP 404", "The request is not what the CI's token service expects."),
        (Reply(201), "HTTP 201", "The request is not what the CI's token service expects."),
        (Reply(307, headers={"Location": "http://127.0.0.1:1/elsewhere"}), "HTTP 307",
         "A redirect is never followed: the request carries a token of the job."),
        (Reply(200, b"x" * 300_000), "an answer of more than 256 KiB",
         "The runner cannot reach the CI's token service, or something between them breaks the connection off."),
    ],
)  # fmt: skip
def test_what_another_try_cannot_help_is_tried_once(reply: Reply, how: str, cause: str) -> None:
    message, asked, clock, _ = failing(reply)
    assert message == (
        f"The token endpoint of GitHub Actions at 127.0.0.1 gave no ID token: {how}",
        cause,
        AGAIN,
        "token-endpoint",
    )
    assert (asked, clock.slept) == (1, [])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"value": 5}',
        b'{"value": ""}',
        b'{"Value": "x"}',
        b"\xff",
        b"[" * 100_000,
        f'{{"token": "{CANARY}"}}'.encode(),
    ],
)
def test_an_answer_without_a_token(body: bytes) -> None:
    message, asked, _, trace = failing(Reply(200, body))
    assert message == (
        "The token endpoint of GitHub Actions at 127.0.0.1 answered HTTP 200 without an ID token",
        "Something else than the CI answered, a proxy for example, or the CI changed what it answers.",
        "Look at the network of the runner.",
        "token-endpoint",
    )
    assert asked == 1
    assert CANARY not in trace


def test_nobody_listens() -> None:
    with Endpoint(Reply()) as endpoint:
        url = endpoint.url
    clock = DrivenClock()
    with pytest.raises(IdentityError) as error:
        GitHub().token(AUDIENCE, variables(url), PatientHTTP({}, clock, deadline=1.0, jitter=lambda: 0.0))
    assert told(error) == (
        "The token endpoint of GitHub Actions at 127.0.0.1 gave no ID token: no connection, or one that broke off "
        "(the last of 3 tries)",
        "The runner cannot reach the CI's token service, or something between them breaks the connection off.",
        AGAIN,
        "token-endpoint",
    )
    assert CANARY not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://[bad?x=1", ""),
        ("gopher://a.test/", " at a.test"),
        ("nonsense", " at ?"),
        ("http://a.test:x/", " at a.test"),
    ],
)
def test_a_url_that_is_none(url: str, place: str) -> None:
    with pytest.raises(IdentityError) as error:
        GitHub().token(AUDIENCE, variables(url), PatientHTTP({}, DrivenClock()))
    assert told(error)[0] == (
        f"The token endpoint of GitHub Actions{place} gave no ID token: a request that cannot be sent"
    )


def test_a_bearer_token_that_is_no_header_is_not_shown() -> None:
    environment = {**variables("http://127.0.0.1:1/"), "ACTIONS_ID_TOKEN_REQUEST_TOKEN": f"{CANARY}\nX: y"}
    with pytest.raises(IdentityError) as error:
        GitHub().token(AUDIENCE, environment, PatientHTTP({}, DrivenClock()))
    assert told(error)[0] == (
        "The token endpoint of GitHub Actions at 127.0.0.1 gave no ID token: a request that cannot be sent"
    )
    assert CANARY not in "".join(traceback.format_exception(error.value))


def test_the_proxy_of_the_environment_is_used_and_its_password_is_not_shown() -> None:
    clock = DrivenClock()
    with Endpoint(Reply(502)) as proxy, pytest.raises(IdentityError) as error:
        environment = variables(
            "https://token.ci.test/t?v=2", HTTPS_PROXY=proxy.url.replace("http://", f"http://user:{CANARY}@")
        )
        http = PatientHTTP(environment, clock, deadline=1.0, jitter=lambda: 1.0)
        GitHub().token(AUDIENCE, environment, http)
    assert {(asked.method, asked.target) for asked in proxy.asked} == {("CONNECT", "token.ci.test:443")}
    assert "proxy-authorization" in proxy.asked[0].headers
    assert "authorization" not in proxy.asked[0].headers
    assert told(error)[0] == (
        "The token endpoint of GitHub Actions at token.ci.test gave no ID token: "
        "the proxy does not let the request through (the last of 2 tries)"
    )
    assert CANARY not in "".join(traceback.format_exception(error.value))


def test_a_proxy_that_is_none() -> None:
    environment = variables("https://token.ci.test/t?v=2", HTTPS_PROXY=f"socks5://{CANARY}")
    with pytest.raises(IdentityError) as error:
        GitHub().token(AUDIENCE, environment, PatientHTTP(environment, DrivenClock()))
    assert told(error)[0] == (
        "The token endpoint of GitHub Actions at token.ci.test gave no ID token: HTTPS_PROXY cannot be used: "
        "it is not the address of an HTTP proxy"
    )
    assert CANARY not in "".join(traceback.format_exception(error.value))


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context, and the file of the private CA that signed its certificate."""
    made_now = certificates.make(SystemClock().now())
    for name, content in (("ca", made_now.authority), ("cert", made_now.certificate), ("key", made_now.key)):
        (tmp_path / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    return context, tmp_path / "ca"


def test_the_systems_cas_are_trusted(certificate: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    context, authority = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))  # to OpenSSL, the system's CAs
    with Endpoint(token_reply(made()), tls=context) as endpoint:
        found = GitHub().token(AUDIENCE, variables(endpoint.url), PatientHTTP({}, DrivenClock()))
    assert found is not None
    assert found.token == Secret(made())


def test_no_other_ca_is_trusted_and_no_other_try_made(
    certificate: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = certificate
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    clock = DrivenClock()
    with Endpoint(token_reply(made()), tls=context) as endpoint, pytest.raises(IdentityError) as error:
        GitHub().token(AUDIENCE, variables(endpoint.url), PatientHTTP({}, clock))
    assert told(error) == (
        "The token endpoint of GitHub Actions at 127.0.0.1 gave no ID token: its TLS certificate is not accepted",
        "The CA that signed it is not among the system's, or something else answers in the place of the CI.",
        AGAIN,
        "token-endpoint",
    )
    assert (endpoint.asked, clock.slept) == ([], [])


def test_the_environment_of_the_process_is_not_heeded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with Endpoint(token_reply(made())) as endpoint:
        GitHub().token(AUDIENCE, variables(endpoint.url), PatientHTTP({}, DrivenClock()))
        assert endpoint.asked[0].headers["authorization"] == f"bearer bearer-{CANARY}"


def test_masks_each_value_each_line_and_the_form_in_a_url() -> None:
    values = [
        Secret("p@ss%word"),
        Secret("first\r\nsecond line\n}\n\n  \n"),
        Secret("p@ss%word"),
        Secret(""),
        Secret("x"),
    ]
    assert GitHub().mask(values) == (
        "::add-mask::p@ss%25word\n"
        "::add-mask::p%2540ss%2525word\n"
        "::add-mask::first%0D%0Asecond line%0A}%0A%0A  %0A\n"
        "::add-mask::first%0D%0Asecond line%0A}\n"
        "::add-mask::first%250D%250Asecond%2520line%250A%257D%250A%250A%2520%2520%250A\n"
        "::add-mask::first%250D%250Asecond%2520line%250A%257D\n"
        "::add-mask::first\n"
        "::add-mask::second line\n"
        "::add-mask::second%2520line\n"
    )


def test_annotations_are_escaped_so_that_no_text_becomes_a_command() -> None:
    text = "100%\n::add-mask::x"
    assert GitHub().annotate("a: b, c", text) == "::error title=a%3A b%2C c::100%25%0A::add-mask::x\n"
    assert GitHub().annotate("t", "x", "warning") == "::warning title=t::x\n"


def test_the_job_by_its_claims_then_by_its_environment() -> None:
    environment = {
        "GITHUB_RUN_ID": "1",
        "GITHUB_RUN_ATTEMPT": "2",
        "GITHUB_JOB": "deploy",
        "GITHUB_ACTION": "__run_3",
        "GITHUB_REPOSITORY": "acme/shop",
        "RUNNER_NAME": "r1",
        "RUNNER_OS": "Linux",
        "RUNNER_ARCH": "X64",
    }
    claims = {
        "iss": "https://token.actions.githubusercontent.com",
        "repository_id": "71",
        "run_id": "9",
        "run_attempt": 3,
    }
    job = GitHub().job(claims, environment)
    assert (job.ci, job.iss, job.repository_id) == ("github", "https://token.actions.githubusercontent.com", "71")
    assert (job.run_id, job.run_attempt, job.job, job.step) == ("9", "3", "deploy", "__run_3")
    assert job.runner == {"name": "r1", "os": "Linux", "arch": "X64"}
    bare = Forgejo().job({}, environment)
    assert (bare.ci, bare.repository_id, bare.run_id, bare.run_attempt) == ("forgejo", "acme/shop", "1", "2")


def test_what_a_command_must_not_inherit() -> None:
    assert Gitea("MINE").identity_variables == (
        "STEPCREDS_ID_TOKEN",
        "MINE",
        "ACTIONS_ID_TOKEN_REQUEST_*",
        "ACTIONS_RUNTIME_*",
    )
