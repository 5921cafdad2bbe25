"""What every test may ask for: real servers, a configuration for them, and stepcreds as a child process.

`stack`        an OpenBao, a PostgreSQL and an OIDC issuer on loopback, one set for all tests; devstack/stack.py says
               what it offers. Shared: a test may issue and revoke, but leaves roles, policies and claims as they were
`config_file`  a stepcreds.yml for it in this test's own `tmp_path`, with the ledger in `tmp_path/.stepcreds`
`step`         `step("exec", "migrate", "--", "true", **variables)` runs stepcreds in `tmp_path` as a step of a GitHub
               job would, and returns the `CompletedProcess` (text); a variable given as None is left out
`signed`       that stepcreds.yml with a `ledger.key`, and OpenBao with the key and the policies for it; see signatures.py
`alone`        after the test, no user that OpenBao issued meanwhile is left
`repository`   acme/shop with that stepcreds.yml, whose workflows a real runner runs; see action/runner.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from faulty_vault import Trap
from in_memory import temporary_files_in_memory
from signatures import KEY
from stepcreds.devstack.stack import Stack

if TYPE_CHECKING:
    from runner import Repository

pytest_plugins = ("chaos_table", "chaos_fixtures")

# Modules of shared tests: their assertions, too, are to show what they compared.
pytest.register_assert_rewrite(
    "postgresql_checks", "postgresql_names_checks", "postgresql_plan_checks", "postgresql_site", "revocation_race"
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """In CI nothing may be skipped: what cannot run there is not tested anywhere."""
    report = yield
    if report.skipped and os.environ.get("CI"):  # noqa: TID251 - pytest has no other way to say so
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


# Their tests wait for most of their time, and many of them are few to a file.
WAITING = ("action", "chaos", "gitlab", "process", "session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have xdist hand out a file that waits beside one that reckons, and small ones at the end (`make test`)."""
    if not hasattr(config, "workerinput"):
        return
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    queues: tuple[list[Path], list[Path]] = ([], [])
    for path in sorted(files, key=lambda path: -len(files[path])):
        queues[path.parent.name in WAITING].append(path)
    pairs = zip_longest(*queues)
    items[:] = [item for pair in pairs for path in pair if path is not None for item in files[path]]


Step = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session", autouse=True)
def servers_in_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Not so `tmp_path`: some tests hide all that is in memory from a step."""
    tmp_path_factory.getbasetemp()
    with temporary_files_in_memory():
        yield


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with Stack() as servers:
        yield servers


@pytest.fixture
def config_file(stack: Stack, tmp_path: Path) -> Path:
    return stack.write_config(tmp_path)


@pytest.fixture
def signed(stack: Stack, config_file: Path) -> Iterator[Path]:
    text = config_file.read_text()
    assert text.count("ledger:\n") == 1
    config_file.write_text(text.replace("ledger:\n", f'ledger:\n  key: "{KEY}"\n'))
    stack.set_up(KEY)
    yield config_file
    stack.set_up()


@pytest.fixture
def step(stack: Stack, config_file: Path) -> Step:
    def run(*arguments: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
        # A person's own token goes to no server that stepcreds.yml alone names.
        persons: dict[str, str] = (
            {"VAULT_ADDR": stack.address} if {"VAULT_TOKEN", "BAO_TOKEN", "HOME"} & variables.keys() else {}
        )
        merged: dict[str, str | None] = {**stack.environment(), **persons, **variables}
        return subprocess.run(
            [sys.executable, "-m", "stepcreds", *arguments],
            cwd=config_file.parent,
            env={name: value for name, value in merged.items() if value is not None},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def alone(stack: Stack) -> Iterator[None]:
    before = stack.issued_roles()
    yield
    assert stack.issued_roles() - before == set()


@pytest.fixture(scope="session")
def action(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """stepcreds/stepcreds@v1: a git repository made of this tree."""
    from runner import action_of_this_tree

    return action_of_this_tree(tmp_path_factory.mktemp("action"))


@pytest.fixture
def repository(stack: Stack, action: Path, tmp_path: Path, alone: None) -> Iterator[Repository]:
    """Its runs reach nothing but loopback, and leave no user at PostgreSQL."""
    from runner import Repository

    with Trap() as beyond:
        acme = Repository(stack, tmp_path, action, beyond.address)
        yield acme
        acme.forget()
        assert beyond.visits == 0
