"""Finding the file, the values of a whole configuration, and the place of the ledger."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from config_examples import CONTRACT, HEAD, VALID, FixedClock, folder, load

from stepcreds.clock import SystemClock
from stepcreds.config.environment import environment
from stepcreds.config.load import load_config
from stepcreds.config.model import Allowance, DatabaseURL, LedgerSettings, Profile
from stepcreds.errors import ConfigError, Problem

SMALL = VALID["small"]


def source(cwd: Path, path: Path | None = None, **variables: str) -> Path:
    return load_config(path, variables, cwd, FixedClock()).source


def refusal(cwd: Path, path: Path | None = None, **variables: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, variables, cwd, FixedClock())
    return caught.value.problems


def test_the_nearest_file_up_to_the_root_of_the_repository(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    folder(tmp_path, SMALL)
    assert refusal(below) == (
        Problem(
            str(below),
            "",
            "there is no stepcreds.yml here, nor above in this repository",
            "stepcreds init writes a first one; or name yours with --config or STEPCREDS_CONFIG.",
        ),
    )
    (tmp_path / ".git").mkdir()
    assert source(below) == tmp_path / "stepcreds.yml"
    (tmp_path / "a" / "stepcreds.yaml").write_text(SMALL)
    assert source(below) == tmp_path / "a" / "stepcreds.yaml"
    (below / ".git").write_text("gitdir: elsewhere\n")  # as a worktree or a submodule has it
    assert [problem.where for problem in refusal(below)] == [str(below)]


def test_what_is_named_goes_before_what_is_found(tmp_path: Path) -> None:
    folder(tmp_path, SMALL)
    for name in ("flag.yml", "variable.yml"):
        (tmp_path / name).write_text(SMALL)
    assert source(tmp_path, STEPCREDS_CONFIG="variable.yml") == tmp_path / "variable.yml"
    assert source(tmp_path, Path("flag.yml"), STEPCREDS_CONFIG="variable.yml") == tmp_path / "flag.yml"
    assert source(tmp_path, STEPCREDS_CONFIG="") == tmp_path / "stepcreds.yml"
    assert source(tmp_path / "deploy", Path("../flag.yml")) == tmp_path / "flag.yml"
    assert refusal(tmp_path, Path("no.yml")) == (
        Problem("no.yml", "", "the file cannot be opened: No such file or directory"),
    )


def test_two_names_side_by_side_are_one_too_many(tmp_path: Path) -> None:
    folder(tmp_path, SMALL)
    (tmp_path / "stepcreds.yaml").write_text(SMALL)
    what = "there are a stepcreds.yml and a stepcreds.yaml, and only one can count"
    assert refusal(tmp_path) == (Problem(str(tmp_path), "", what, "Remove one, or name one with --config."),)


def test_a_place_is_relative_to_the_current_folder_where_it_is_below(tmp_path: Path) -> None:
    folder(tmp_path, "version: 2\n")
    places = []
    for cwd in (tmp_path, tmp_path.parent, tmp_path / "deploy"):
        found = refusal(cwd, tmp_path / "stepcreds.yml")
        places.append(found[0].where)
    assert places == ["stepcreds.yml:1:1", f"{tmp_path.name}/stepcreds.yml:1:1", f"{tmp_path}/stepcreds.yml:1:1"]


def test_the_whole_of_the_contract(tmp_path: Path) -> None:
    config = load(tmp_path, CONTRACT)
    database = DatabaseURL(
        engine="postgresql",
        scheme="postgresql",
        host="db.internal",
        port=5432,
        database="app",
        sslmode="verify-full",
        sslrootcert=tmp_path / "deploy" / "db-ca.pem",
        options={},
    )
    assert config.source == tmp_path / "stepcreds.yml"
    assert config.ledger == LedgerSettings(tmp_path / ".stepcreds", "transit/keys/stepcreds-ledger")
    assert config.profiles == {
        "migrate": Profile(
            name="migrate",
            role="app-migrate",
            creds="database/creds/app-migrate",
            database=database,
            access="ddl",
            schemas=("app",),
            ttl=120.0,
            max_ttl=1800.0,
            env={"DATABASE_URL": "{url}"},
        ),
        "verify": Profile(
            name="verify",
            role="app-verify",
            creds="database/creds/app-verify",
            database=database,
            access="read-only",
            schemas=("app",),
        ),
    }


def test_every_other_key_of_a_profile(tmp_path: Path) -> None:
    text = f"""{HEAD}
  all:
    creds: database/creds/app
    database: mariadb://db/app
    access: read-write
    databases: [app, log]
    tables: [app.a]
    columns: [app.a.b]
    allow:
      - {{what: CREATE on app, reason: "the vendor's", expires: 2026-11-22}}
    ttl: 45
    max_ttl: 1h
    on_excess: warn
    measure: off
    on_revoke_failure: warn
    files: {{my.cnf: "[client]\\npassword={{password}}\\n"}}
    keep: [MYSQL_HOME]
"""
    profile = load(tmp_path, text).profiles["all"]
    assert (profile.role, profile.databases, profile.tables, profile.columns) == (
        "all",
        ("app", "log"),
        ("app.a",),
        ("app.a.b",),
    )
    assert profile.allow == (Allowance("CREATE on app", "the vendor's", "2026-11-22"),)
    assert (profile.ttl, profile.max_ttl) == (45.0, 3600.0)
    assert (profile.on_excess, profile.measure, profile.on_revoke_failure) == ("warn", "off", "warn")
    assert (profile.env, profile.files, profile.keep) == (
        None,
        {"my.cnf": "[client]\npassword={password}\n"},
        ("MYSQL_HOME",),
    )


def test_a_secret_without_a_lease_by_its_own_word(tmp_path: Path) -> None:
    assert load(tmp_path, VALID["kv"]).profiles["a"].revocation == "none"


@pytest.mark.parametrize(
    ("ledger", "variables", "expected"),
    [
        ("", {}, "{folder}/.stepcreds"),
        ("", {"RUNNER_TEMP": "/runner/temp"}, "{folder}/.stepcreds"),
        ("", {"GITHUB_ACTIONS": "true", "RUNNER_TEMP": "/runner/temp"}, "/runner/temp/stepcreds"),
        ("", {"GITHUB_ACTIONS": "true"}, "{folder}/.stepcreds"),
        ("ledger: {path: ../audit/./x}\n", {"GITHUB_ACTIONS": "true", "RUNNER_TEMP": "/t"}, "{above}/audit/x"),
        ("ledger: {path: /var/lib/stepcreds}\n", {}, "/var/lib/stepcreds"),
    ],
)
def test_the_folder_of_the_ledger(ledger: str, variables: dict[str, str], expected: str, tmp_path: Path) -> None:
    config = load(tmp_path, ledger + SMALL, variables)
    assert config.ledger == LedgerSettings(Path(expected.format(folder=tmp_path, above=tmp_path.parent)), None)


def test_the_environment_is_a_snapshot_that_cannot_be_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPCREDS_TEST", "before")
    variables = environment()
    monkeypatch.setenv("STEPCREDS_TEST", "after")
    assert variables["STEPCREDS_TEST"] == "before"
    with pytest.raises(TypeError, match=r"^'mappingproxy' object does not support item assignment$"):
        variables["STEPCREDS_TEST"] = "x"  # type: ignore[index] # what is tested


HEAVY = {"logging", "subprocess", "tempfile", "urllib.request", "asyncio", "concurrent", "email", "uuid", "difflib"}
HEAVY |= {"http", "click", "requests", "jsonschema"}


def test_a_configuration_without_problems_costs_no_heavy_import(tmp_path: Path) -> None:
    import subprocess

    folder(tmp_path, CONTRACT)
    program = """
import sys
before = set(sys.modules)
from pathlib import Path
from stepcreds.clock import SystemClock
from stepcreds.config.load import load_config
config = load_config(None, {"NO_PROXY": "a.example.com", "HTTPS_PROXY": "http://proxy:1"}, Path.cwd(), SystemClock())
print(len(config.profiles), *sorted(set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    count, *modules = done.stdout.split()
    assert count == "2"
    assert HEAVY & set(modules) == set()


def test_an_allowance_that_has_expired_keeps_nobody_from_revoking(tmp_path: Path) -> None:
    text = VALID["allowance"].replace("2026-11-22", "2026-11-21")
    assert load(tmp_path, text).profiles["a"].allow[0].expires == "2026-11-21"


def test_the_clock_decides_what_has_expired_where_the_file_is_checked(tmp_path: Path) -> None:
    path = folder(tmp_path, VALID["allowance"]) / "stepcreds.yml"
    load_config(path, {}, tmp_path, FixedClock(), strict=True)
    with pytest.raises(ConfigError) as caught:
        load_config(path, {}, tmp_path, Later(), strict=True)
    assert caught.value.problems == (
        Problem(
            "stepcreds.yml:9:43",
            "profiles.a.allow[0].expires",
            "the allowance expired on 2026-11-22",
            "Take the privilege away, or decide again and give a later day.",
        ),
    )


class Later(SystemClock):
    """The first moment of the day after."""

    def now(self) -> float:
        return 1_795_392_000.0
