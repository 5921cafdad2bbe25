"""What a command inherits and what is taken from it, table by table; and that no identity survives."""

from __future__ import annotations

import pytest
from deliveries import CANARY, IDENTITY, ISSUER, database, grant, id_token, parent, profile
from hypothesis import given
from hypothesis import strategies as st

from stepcreds.deliver import deliver
from stepcreds.deliver.environment import CLEAN, VAULT_TOKENS, credential_like, matches
from stepcreds.secret import Secret

GITHUB = {"GITHUB_ACTIONS": "true"}


def left(environment: dict[str, str], **changes: object) -> dict[str, str]:
    """What of `environment` a command with no credential but one of an engine nobody knows still sees."""
    of = profile(database=changes.pop("database", None), env=changes.pop("env", {}), keep=changes.pop("keep", ()))
    return parent(environment, **changes).without([of])


@pytest.mark.parametrize(
    "name",
    [
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "ACTIONS_RUNTIME_TOKEN",
        "VAULT_ID_TOKEN",
        "STEPCREDS_ID_TOKEN",
        *VAULT_TOKENS,
    ],
)
def test_identity_and_vault_tokens_are_taken_out_by_name(name: str) -> None:
    assert left({name: "anything", "HOME": "/root"}) == {"HOME": "/root"}


@pytest.mark.parametrize("name", ["VAULT_ADDR", "VAULT_NAMESPACE", "BAO_ADDR", "ACTIONS_CACHE_URL", "VAULT_TOKENS"])
def test_what_is_no_token_stays(name: str) -> None:
    assert left({name: "anything"}) == {name: "anything"}


def test_inputs_and_state_are_the_actions_own_on_github_only() -> None:
    own = {"INPUT_PROFILE": "migrate", "STATE_ISPOST": "true"}
    assert left({**GITHUB, **own}) == GITHUB
    assert left(own) == own


@pytest.mark.parametrize(
    "value",
    [
        id_token(),
        f" {id_token()}\n",
        f"Bearer {id_token()}",
        f'{{"value": "{id_token()}"}}',
        id_token(aud="sts.amazonaws.com"),
        f"Bearer {id_token(aud='somebody else')}",
    ],
)
def test_the_identity_is_found_under_any_name(value: str) -> None:
    assert left({"HARMLESS": value, "HOME": "/root"}) == {"HOME": "/root"}


@pytest.mark.parametrize(
    "value",
    [
        id_token(iss="https://gitlab.example.com"),
        "eyJ.eyJ.x",
        "eyJhbGciOiJub25lIn0.eyJub3QganNvbg.x",
        "x" + id_token(),  # part of a longer word is no token
        ISSUER,
        "",
    ],
)
def test_what_is_of_another_issuer_or_no_token_stays(value: str) -> None:
    assert left({"OTHER": value}, token=Secret("")) == {"OTHER": value}


def test_an_operator_has_no_token_to_look_for() -> None:
    assert left({"A": "", "B": id_token()}, token=Secret(""), issuer="") == {"A": "", "B": id_token()}


@pytest.mark.parametrize(
    ("engine", "older", "others"),
    [
        (
            "postgresql",
            "PGPASSWORD PGOPTIONS PGSERVICEFILE PGPASSFILE PGHOST POSTGRES_PASSWORD DATABASE_URL",
            "MYSQL_PWD PAGER POSTGRESQL REDIS_URL",
        ),
        ("mysql", "MYSQL_PWD MYSQL_HOST MYSQL_TEST_LOGIN_FILE MARIADB_PASSWORD DATABASE_URL", "PGPASSWORD MYSQL"),
        ("mariadb", "MYSQL_PWD MARIADB_HOST DATABASE_URL", "PGPASSWORD"),
        ("redis", "REDIS_URL REDIS_PASSWORD REDISCLI_AUTH", "DATABASE_URL PGPASSWORD"),
        ("mongodb", "MONGODB_URI MONGO_URL", "DATABASE_URL"),
        ("mssql", "DATABASE_URL", "PGPASSWORD"),
    ],
)
def test_older_credentials_of_the_same_engine_go(engine: str, older: str, others: str) -> None:
    environment = dict.fromkeys([*older.split(), *others.split()], "older")
    assert left(environment, database=database(engine)).keys() == set(others.split())


@pytest.mark.parametrize(
    ("engine", "value", "stays"),
    [
        ("postgresql", "postgres://owner:pw@db.internal/app", False),
        ("postgresql", "postgresql+psycopg://owner:pw@db.internal/app", False),
        ("postgresql", "jdbc:postgresql://owner:pw@db.internal/app", False),
        ("postgresql", "POSTGRESQL://owner:pw@db.internal/app", False),
        ("postgresql", "postgresql://owner@db.internal/app", True),
        ("postgresql", "postgresql://db.internal/app", True),
        ("postgresql", "mysql://owner:pw@db.internal/app", True),
        ("mysql", "mysql2://owner:pw@db.internal/app", False),
        ("mariadb", "mysql+pymysql://owner:pw@db.internal/app", False),
        ("redis", "rediss://:pw@cache/0", False),
        ("mongodb", "mongodb+srv://owner:pw@db.internal/app", False),
    ],
)
def test_an_older_url_with_a_password_goes_whatever_its_name(engine: str, value: str, stays: bool) -> None:
    assert left({"REPLICA": value}, database=database(engine)) == ({"REPLICA": value} if stays else {})


@pytest.mark.parametrize(
    ("delivered", "goes", "stays"),
    [
        (
            "AWS_ACCESS_KEY_ID",
            "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_REGION AWS_DEFAULT_REGION PGPASSWORD",
        ),
        ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_OAUTH_ACCESS_TOKEN", "GOOGLE_CLOUD_PROJECT"),
        ("ARM_CLIENT_SECRET", "ARM_CLIENT_ID AZURE_CLIENT_SECRET", "AZURE_REGION"),
        ("KUBECONFIG", "KUBECONFIG KUBE_TOKEN", "KUBERNETES_SERVICE_HOST"),
        ("PGPASSWORD", "PGPASSWORD PGOPTIONS DATABASE_URL", "MYSQL_PWD"),
        ("DATABASE_URL", "", "PGPASSWORD MYSQL_PWD DATABASE_URL"),
        ("TOKEN", "", "PGPASSWORD NPM_TOKEN"),
    ],
)
def test_without_a_database_the_names_say_what_is_older(delivered: str, goes: str, stays: str) -> None:
    environment = dict.fromkeys([*goes.split(), *stays.split()], "older")
    assert left(environment, env={delivered: "{x}"}).keys() == set(stays.split())


def test_keep_brings_back_by_name_all_but_this_steps_own_identity() -> None:
    environment = {
        "PGOPTIONS": "-c role=x",
        "VAULT_TOKEN": "theirs",
        "AWS_ID_TOKEN": id_token(aud="sts.amazonaws.com"),
        "VAULT_ID_TOKEN": id_token(),
        "PGUSER": "older",
    }
    kept = left(environment, database=database(), keep=tuple(environment.keys() - {"PGUSER"}))
    assert kept.keys() == {"PGOPTIONS", "VAULT_TOKEN", "AWS_ID_TOKEN"}


def test_every_profile_of_a_step_takes_its_own_out() -> None:
    profiles = [profile("one"), profile("two", database=database("redis"), env={"CACHE": "{url}"})]
    environment = {"PGPASSWORD": "x", "REDIS_URL": "x", "PATH": "/bin"}
    assert parent(environment).without(profiles) == {"PATH": "/bin"}


def test_clean_passes_what_is_on_the_list_and_no_credential() -> None:
    passed = {
        "PATH": "/bin",
        "HOME": "/root",
        "LC_ALL": "C",
        "TZ": "UTC",
        "GITHUB_SHA": "abc",
        "GITHUB_OUTPUT": "/runner/output",
        "RUNNER_TEMP": "/tmp",
        "CI": "true",
        "CI_COMMIT_SHA": "abc",
        "https_proxy": "http://proxy:3128",
        "SSL_CERT_FILE": "/ca.pem",
    }
    stopped = {
        "GITHUB_TOKEN": "x",
        "CI_JOB_TOKEN": "x",
        "CI_REGISTRY_PASSWORD": "x",
        "CI_REPOSITORY_URL": "https://gitlab-ci-token:x@gitlab.example.com/a.git",
        "CIRCLE_TOKEN": "x",
        "BUILDKITE_AGENT_ACCESS_TOKEN": "x",
        "SYSTEM_ACCESSTOKEN": "x",
        "HTTPS_PROXY": "http://user:x@proxy:3128",
        "EDITOR": "vi",
        "LD_PRELOAD": "/x.so",
        "ACTIONS_RUNTIME_TOKEN": "x",
        "AWS_REGION": "eu-west-1",
    }
    assert left({**passed, **stopped}, inherit="clean") == passed
    kept = left({**passed, **stopped}, inherit="clean", keep=("EDITOR", "CI_JOB_TOKEN"))
    assert kept == {**passed, "EDITOR": "vi", "CI_JOB_TOKEN": "x"}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("NPM_TOKEN", "x", True),
        ("TOKEN", "x", True),
        ("SYSTEM_ACCESSTOKEN", "x", True),
        ("clientSecret", "x", True),
        ("DB_PASSWORD", "x", True),
        ("DB_PASS", "x", True),
        ("MYSQL_PWD", "x", True),
        ("GPG_PASSPHRASE", "x", True),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/x.json", True),
        ("RAILS_MASTER_KEY", "x", True),
        ("STRIPE_KEY", "x", True),
        ("AWS_ACCESS_KEY_ID", "x", True),
        ("AZURE_STORAGE_CONNECTION_STRING", "x", True),
        ("SENTRY_DSN", "x", True),
        ("SSH_AUTH_SOCK", "/x", True),
        ("GITHUB_PAT", "x", True),
        ("PWD", "/src", False),
        ("OLDPWD", "/", False),
        ("PATH", "/usr/bin", False),
        ("NPM_TOKEN", "", False),
        ("GIT_AUTHOR_NAME", "x", False),
        ("TOKENIZERS_PARALLELISM", "true", False),
        ("GPG_KEY", "A035C8C19219BA821ECEA86B64E628F8D684696D", False),
        ("CACHE_KEY", "linux-abc", False),
        ("KEYBOARD", "x", False),
        ("COMPASS_HOST", "x", False),
        ("SECRETARY", "x", False),
        ("A", "redis://user:x@cache/0", True),
        ("A", "jdbc:mysql://db/app?user=a&password=b", True),
        ("A", "host=db user=a password=b", True),
        ("A", "Server=db;Pwd=b;", True),
        ("A", "-----BEGIN RSA PRIVATE KEY-----\nx", True),
        ("A", id_token(iss="https://x"), True),
        ("A", "ghp_0123456789abcdef", True),
        ("A", "hvs.0123456789abcdef", True),
        ("A", "AKIAIOSFODNN7EXAMPLE", True),
        ("A", "https://user@host/path", False),
        ("A", "http://host:8080/path", False),
        ("A", "-----BEGIN PUBLIC KEY-----\nx", False),
        ("A", "a password is needed", False),
    ],
)
def test_what_looks_like_a_credential(name: str, value: str, expected: bool) -> None:
    assert credential_like(name, value) is expected


@pytest.mark.parametrize(
    "text",
    ["eyJ" * 40_000, "a" * 130_000, "a.eyJ-" + "a" * 120_000, "ab.eyJ/" * 18_000, "://" * 40_000, "pwd " * 30_000],
)
def test_a_variable_as_long_as_one_can_be_does_not_hold_a_step_up(text: str) -> None:
    """Quadratic patterns would take hours here; the suite's time-out is the judge."""
    assert left({"LONG": text}, database=database()) == {"LONG": text}
    assert credential_like("LONG", text) is False


def test_what_is_still_inherited_is_listed_by_name() -> None:
    environment = {"PATH": "/bin", "NPM_TOKEN": f"{CANARY}-npm", "PGPASSWORD": "older", "SMTP_PASSWORD": "x"}
    delivery = deliver([grant(profile(keep=("PGPASSFILE",)))], parent({**environment, "PGPASSFILE": "/pgpass"}))
    # PGPASSFILE is kept, and its name says so; the new PGPASSWORD is no inherited one.
    assert delivery.inherited == ("NPM_TOKEN", "SMTP_PASSWORD")
    assert delivery.removed == ("PGPASSWORD",)


_NAMES = st.sampled_from(
    [*(name.replace("*", "X") for name in (*IDENTITY, *VAULT_TOKENS, *CLEAN)), "COPY", "PGPASSWORD", "INPUT_X", "A"]
)
_TOKENS = st.sampled_from([id_token(), f"bearer {id_token()}", id_token(aud="other"), f"a\n{id_token()}\nb"])
_VALUES = st.one_of(_TOKENS, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40))


@given(
    environment=st.dictionaries(_NAMES, _VALUES),
    inherit=st.sampled_from(["all", "clean"]),
    keep=st.lists(_NAMES, max_size=5),
)
def test_no_identity_survives(environment: dict[str, str], inherit: str, keep: list[str]) -> None:
    of = profile(keep=tuple(keep))
    seen = parent(environment, inherit=inherit).without([of])
    assert seen.items() <= environment.items()
    for name, value in seen.items():
        assert id_token() not in value
        if name not in keep:
            assert id_token(aud="other") not in value
            assert not matches(name, (*IDENTITY, *VAULT_TOKENS))


@given(environment=st.dictionaries(_NAMES, _VALUES))
def test_what_clean_passes_all_would_pass_too(environment: dict[str, str]) -> None:
    clean = parent(environment, inherit="clean").without([profile()])
    assert clean.items() <= parent(environment).without([profile()]).items()
    assert not [name for name, value in clean.items() if credential_like(name, value)]
