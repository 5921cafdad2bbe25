"""A real OpenBao, PostgreSQL and OIDC issuer on loopback, set up for a small shop; for the demo, tests and benchmarks.

    with Stack() as stack:
        config = stack.write_config(folder)             # a stepcreds.yml with the profiles `migrate` and `verify`
        subprocess.run([..., "exec", "migrate", "--", "true"], env=stack.environment(), cwd=folder)

`stack.issuer`       the OIDC issuer: `.claims` (change them at will), `.token(audience, **claims)`, `.audiences`
`stack.openbao`      `.address`, `.root_token`, `.audit_log`, `.stop()`
`stack.postgresql`   `.host`, `.port`, `.password` of the superuser, `.ca_cert`, `.stop()`
`stack.environment()`            all a step finds in its environment: PATH, HOME, and GitHub's variables
`stack.config_text()`, `stack.write_config(folder)`, `stack.profiles`
`stack.folder`                   a private folder that goes when the servers go
`stack.sql(query, **values)`     rows, as superuser in the database `shop`
`stack.load(script)`             runs `shop.sql` or `staging.sql`, as superuser in the database `shop`
`stack.connect(user, password)`  a pg8000 connection to `shop`; wrap it in `contextlib.closing`
`stack.client()`                 `with stack.client() as vault:` an `hvac.Client` with the root token
`stack.login(role)`              `with stack.login("app-migrate") as vault:` an `hvac.Client` with a step's own token
`stack.set_up(ledger_key)`       as `stepcreds setup apply` does it again, for a ledger that is signed with that key
`stack.issued_roles()`, `stack.sessions(user)`, `stack.leases(creds)`   what is alive
`stack.audit()`                  OpenBao's audit log, parsed
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from stepcreds.clock import Clock, SystemClock
from stepcreds.config.login_url import LoginURL
from stepcreds.devstack import config, installed, provision
from stepcreds.devstack.issuer import Issuer
from stepcreds.devstack.openbao import OpenBao
from stepcreds.devstack.postgresql import SUPERUSER, PostgreSQL
from stepcreds.secret import Secret


class Stack:
    """The three servers. `progress` is told, in words, what is being done; nothing is printed from here.

    Raises `UnsupportedError` if the `demo` extra is not installed, `StepcredsError` if a server does not start; in both
    cases nothing is left running.
    """

    def __init__(
        self,
        *,
        tls: bool = False,  # to PostgreSQL
        max_connections: int = 300,
        statistics: bool = False,  # pg_stat_statements
        ledger_key: str | None = None,  # `ledger.key`, with which the steps' ledgers are signed
        progress: Callable[[str], None] = lambda text: None,
        clock: Clock | None = None,
    ) -> None:
        installed.require()
        self._progress = progress
        self.clock = clock or SystemClock()
        self.postgresql = PostgreSQL(max_connections=max_connections, tls=tls, statistics=statistics, clock=clock)
        self._statistics = statistics
        self._ledger_key = ledger_key
        self.openbao = OpenBao(clock)
        self.issuer = Issuer(clock=clock)
        self.database = config.database(self.postgresql)
        self.profiles = config.profiles(self.database)

    @property
    def address(self) -> str:
        """OpenBao's address, which is also the audience its roles demand."""
        return self.openbao.address

    @property
    def folder(self) -> Path:
        """A folder, 0700, that is removed with the servers, even when this process is killed."""
        return self.openbao.folder / "work"

    def start(self) -> None:
        try:
            self._progress("Starting OpenBao and PostgreSQL")
            self.openbao.launch()
            self.postgresql.launch()
            self.openbao.wait()
            self.postgresql.wait()
            self._progress("Configuring roles and policies, loading the shop's data")
            self._provision()
            self.folder.mkdir(mode=0o700)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all three and remove their folders. Safe to call again."""
        self.issuer.stop()
        self.openbao.stop()
        self.postgresql.stop()

    def __enter__(self) -> Stack:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def environment(self, **more: str) -> dict[str, str]:
        """A step's environment: enough to run programs, the CI's variables, and `more`."""
        path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])
        return {"PATH": path, "HOME": str(Path.home()), "LANG": "C.UTF-8", **self.issuer.environment(), **more}

    def config_text(self, ledger: Path | str = ".stepcreds") -> str:
        """A stepcreds.yml for this stack."""
        return config.text(self.address, self.profiles, ledger, self._ledger_key)

    def write_config(self, folder: Path) -> Path:
        """`folder`/stepcreds.yml, whose ledger is in `folder`/.stepcreds."""
        path = folder / "stepcreds.yml"
        path.write_text(self.config_text(folder / ".stepcreds"))
        return path

    def sql(self, query: str, **values: object) -> list[list[Any]]:
        """The rows of `query` (`:name` for a value), as superuser in the database `shop`, over a new connection."""
        with closing(self.connect(SUPERUSER, self.postgresql.password)) as connection:
            rows: list[list[Any]] | None = connection.run(query, **values)
            return rows or []

    def load(self, script: str) -> None:
        """Run one of devstack's .sql files, as superuser in the database `shop`."""
        with closing(self.connect(SUPERUSER, self.postgresql.password)) as connection:
            provision.load(connection, script)

    def connect(self, user: str, password: Secret) -> Any:
        """A `pg8000.native.Connection` to the database `shop`; raises pg8000's errors; whoever asks closes it."""
        return self.postgresql.connect(user, password, provision.DATABASE)

    @contextmanager
    def client(self, token: Secret | None = None) -> Iterator[Any]:
        """An `hvac.Client` with `token`, by default the root token."""
        import hvac

        client = hvac.Client(url=self.address, token=(token or self.openbao.root_token).reveal(), timeout=60)
        try:
            yield client
        finally:
            client.adapter.close()

    @contextmanager
    def login(self, role: str, **claims: object) -> Iterator[Any]:
        """An `hvac.Client` with the token that a step gets for `role`; `claims` stand before the issuer's own."""
        identity = self.issuer.token(self.address, **claims)
        with self.client(Secret("none")) as client:
            client.auth.jwt.jwt_login(role=role, jwt=identity.reveal(), path=provision.MOUNT)
            yield client

    def issued_roles(self) -> set[str]:
        """The names of the users that OpenBao has issued and not yet removed."""
        return {str(row[0]) for row in self.sql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%'")}

    def sessions(self, user: str) -> int:
        """How many sessions `user` has at this moment."""
        rows = self.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = :user", user=user)
        return int(rows[0][0])

    def leases(self, creds: str) -> list[str]:
        """The ids of the leases under a creds path that OpenBao still holds."""
        with self.client() as client:
            answer = client.list(f"sys/leases/lookup/{creds}")
        return [f"{creds}/{key}" for key in answer["data"]["keys"]] if answer else []

    def audit(self) -> list[dict[str, Any]]:
        """OpenBao's audit log so far: requests and answers, in order."""
        # Not splitlines(): Go leaves U+0085 as it is, which is no end of a line here.
        return [json.loads(line) for line in self.openbao.audit_log.read_text().split("\n") if line]

    def _provision(self) -> None:
        with closing(self.postgresql.connect()) as connection:
            provision.create_database(connection)
        if self._statistics:
            self.sql("CREATE EXTENSION pg_stat_statements")
        for script in ("shop.sql", "staging.sql"):
            self.load(script)
        self.set_up(self._ledger_key)

    def set_up(self, ledger_key: str | None = None) -> None:
        """What `setup apply` does: also of a stack that runs, whose policies and keys are then those for that key."""
        # The repository by its number: names can be given to somebody else. The environment, because GitHub's
        # protection rules guard it.
        bound = {name: self.issuer.claims[name] for name in ("repository_id", "environment")}
        provision.provision(
            config.configuration(self.address, self.profiles, self.folder, ledger_key),
            provision.answers(self.profiles, self.issuer.url, bound),
            LoginURL(self.database, SUPERUSER, self.postgresql.password),
            self.openbao.root_token,
            self.clock,
        )
