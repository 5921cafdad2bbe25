"""A step against a cluster of OpenBao, a command that ends when it is told to, and PostgreSQL made to keep a request of
OpenBao waiting; it breaks nothing by itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bao_cluster import ClusterStack, Node
from chaos_table import Tell
from deaths import Deaths, at_postgresql
from step_runs import Running, reconfigure, until, verdicts
from sweep_runs import DEAD, EXPIRES, outcome

from stepcreds.devstack.postgresql import SUPERUSER


class ClusterStep:
    """One `stepcreds exec migrate`, whose configuration and ledger are in `folder`."""

    def __init__(self, stack: ClusterStack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.deaths = Deaths(lambda: at_postgresql(stack))
        self.config_file = stack.write_config(folder)
        self.started, self.go = folder / "started", folder / "go"

    def asks_first(self, *nodes: Node) -> None:
        """Have the list of addresses begin with these."""
        others = [node for node in self.stack.cluster.nodes if node not in nodes]
        addresses = [node.address for node in (*nodes, *others)]
        # The audience is in the file, and stays what the roles demand.
        reconfigure(self.config_file, lambda document: document["vault"].update(address=addresses))

    def lasts(self, ttl: str) -> None:
        reconfigure(self.config_file, lambda document: document["profiles"]["migrate"].update(ttl=ttl))

    def start(self, **variables: str | None) -> Running:
        """Its command says that it has started, and ends with 7 when it may."""
        waiting = f"echo > {self.started}; while [ ! -e {self.go} ]; do sleep 0.02; done; exit 7"
        return self.start_with(["sh", "-c", waiting], **variables)

    def start_with(self, command: Sequence[str], **variables: str | None) -> Running:
        return Running(self.stack, self.config_file, "exec", "migrate", "--", *command, **variables)

    def runs(self) -> None:
        until(self.started.exists, "the command runs")

    def ends(self) -> None:
        self.go.touch()

    def command(self, *arguments: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
        with Running(self.stack, self.config_file, *arguments, **variables) as step:
            return step.wait()

    def check(self, run: subprocess.CompletedProcess[str], code: int, *expected: str) -> None:
        """The exit code, every verdict in order, a ledger without any other finding, and no traceback."""
        assert (run.returncode, self.verdicts()) == (code, list(expected)), run.stderr
        verified = self.command("ledger", "verify").stdout
        findings = [line.split(":")[1].strip() for line in verified.splitlines() if line.startswith("  line")]
        assert findings == ["order/unproven (unknown)"] * (code == 121 and expected[-1] != DEAD), verified
        assert "Traceback" not in run.stderr

    def is_over(self) -> None:
        """Nothing of it is left at PostgreSQL, nor at OpenBao."""
        assert self.stack.issued_roles() & self.deaths.users == set()
        assert self.stack.leases("database/creds/app-migrate") == []

    def tell(self, row: Tell, fault: str, stage: str, run: subprocess.CompletedProcess[str], since: float) -> None:
        row(fault, stage, outcome(run, self.verdicts()), self.deaths.after(since))

    def verdicts(self) -> list[str]:
        return [EXPIRES if each.startswith(EXPIRES) else each for each in verdicts(self.config_file)]

    def close(self) -> None:
        self.deaths.__exit__(None, None, None)


class Jam(NamedTuple):
    """A table of PostgreSQL's catalogs that is locked; `release` may be called again."""

    connection: Any
    stack: ClusterStack
    table: str

    def holds_up(self) -> None:
        """Wait until somebody waits for the lock."""
        query = f"SELECT count(*) FROM pg_locks WHERE relation = '{self.table}'::regclass AND NOT granted"  # noqa: S608
        until(lambda: self.stack.sql(query)[0][0] > 0, f"somebody waits for {self.table}")

    def release(self) -> None:
        self.connection.run("ROLLBACK")


MEMBERS = "pg_catalog.pg_auth_members"  # CREATE ROLE … IN ROLE and DROP ROLE write to it, ALTER ROLE does not
ROLES = "pg_catalog.pg_authid"  # which ALTER ROLE … VALID UNTIL writes to: a renewal


@contextmanager
def jam(stack: ClusterStack, table: str) -> Iterator[Jam]:
    """Whoever reads the table goes on; whoever writes to it waits."""
    with closing(stack.connect(SUPERUSER, stack.postgresql.password)) as connection:
        connection.run("BEGIN")
        connection.run(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        yield Jam(connection, stack, table)
