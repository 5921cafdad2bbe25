"""What the tests of examples share: a job's folder, its scripts, and the lines of an example run as their CI runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pg8000.exceptions

from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret

EXAMPLES = Path(__file__).parents[2] / "examples"
REPORTING = """#!/bin/sh
# What the step was given goes where only the test looks; what it prints is to be redacted.
env > "$REPORTS/{name}"
echo "{name} has $PGPASSWORD"
{then}
"""


class Place:
    """A job's checkout: stepcreds.yml for the real servers, and scripts `migrate.sh` and `verify.sh` that report."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder / "checkout"
        self.reports = folder / "reports"
        self.bin = folder / "bin"
        for made in (self.folder, self.reports, self.bin):
            made.mkdir()
        self.config = stack.write_config(self.folder)
        self.script("migrate")
        self.script("verify")

    def script(self, name: str, then: str = "") -> None:
        self.executable(self.folder / f"{name}.sh", REPORTING.format(name=name, then=then))

    def program(self, name: str, text: str) -> None:
        """A program on the PATH before all others: a stand-in for one of the CI's own."""
        self.executable(self.bin / name, f"#!{sys.executable} -SE\n{text}")

    def prints_token(self, name: str, **claims: object) -> None:
        """The CI's program `name` prints a token for Vault, and keeps what it was asked in `reports`."""
        token = self.stack.issuer.token(self.stack.address, **claims).reveal()
        asked = str(self.reports / name)
        self.program(
            name,
            "import json, sys\n"
            f"with open({asked!r}, 'a') as file:\n    file.write(json.dumps(sys.argv[1:]) + '\\n')\n"
            f"print({token!r})\n",
        )

    def asked(self, name: str) -> list[list[str]]:
        return [json.loads(line) for line in (self.reports / name).read_text().splitlines()]

    @staticmethod
    def executable(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def environment(self, **more: str) -> dict[str, str]:
        """No CI's but what is given; stepcreds on the PATH."""
        path = os.pathsep.join([str(self.bin), str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])
        return {"PATH": path, "HOME": str(self.reports.parent), "LANG": "C.UTF-8", "REPORTS": str(self.reports), **more}

    def run(self, argv: Iterable[str], variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """One program of the CI's in the checkout; stdout and stderr are one log."""
        return subprocess.run(
            list(argv),
            cwd=self.folder,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )

    def given(self, name: str) -> dict[str, str]:
        """The environment of a script that ran."""
        lines = (self.reports / name).read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def records(self) -> list[dict[str, Any]]:
        files = sorted((self.folder / ".stepcreds").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self.records() if record["kind"] == kind]

    def job(self) -> dict[str, str]:
        """What the one chain's first record says of the job, beyond its identity."""
        (opened,) = self.of_kind("chain.opened")
        job: dict[str, str] = opened["job"]
        return {name: job[name] for name in ("ci", "run_id", "run_attempt", "job", "actor", "ref", "commit", "matrix")}

    def assert_dead(self, name: str, log: str, verdict: str = "proven dead") -> None:
        """What the script was given does not work any more, is in no log, and its end is on record."""
        given = self.given(name)
        user, password = given["PGUSER"], given["PGPASSWORD"]
        assert refusal(self.stack, user, password) == "28P01"
        assert user not in self.stack.issued_roles()
        assert password not in log
        assert {"VAULT_ID_TOKEN", "STEPCREDS_ID_TOKEN"} & set(given) == set()
        issued = {record["credential_uid"] for record in self.of_kind("credential.issued") if record["db_user"] == user}
        closed = [record for record in self.of_kind("credential.closed") if record["credential_uid"] in issued]
        assert [record["verdict"] for record in closed] == [verdict]


def refusal(stack: Stack, user: str, password: str) -> str:
    """The SQLSTATE with which PostgreSQL refuses this login; "" if it does not."""
    try:
        stack.connect(user, Secret(password)).close()
    except pg8000.exceptions.DatabaseError as error:
        return str(error.args[0]["C"])
    return ""
