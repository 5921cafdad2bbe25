"""A real OpenBao cluster on loopback: raft storage, TLS, and seals that open by themselves; each server can be killed,
held up and started again, and comes back with what it had.

    with ClusterStack(3) as stack:                  # devstack's `Stack`, with `stack.cluster` for its OpenBao
        leader = stack.cluster.leader()
        leader.kill()
        …
        stack.cluster.mend()                        # everybody is up again, and a voter
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from processes import descendants
from stepcreds.clock import SystemClock
from stepcreds.config.login_url import LoginURL
from stepcreds.devstack import certificates, config, installed, provision
from stepcreds.devstack.openbao import OpenBao
from stepcreds.devstack.postgresql import SUPERUSER
from stepcreds.devstack.process import ServerProcess, free_port, private_folder
from stepcreds.devstack.stack import Stack
from stepcreds.secret import Secret

_PATIENCE = 90.0  # seconds: an election takes up to 15, and the machine may be busy


class Answered(NamedTuple):
    status: int
    body: dict[str, Any]


class Node:
    """One server. Its `folder` holds its storage and outlives its process."""

    def __init__(self, name: str, authority: Path, folder: Path) -> None:
        self.name = name
        self.port, self.cluster_port = free_port(), free_port()
        self.address = f"https://127.0.0.1:{self.port}"
        self.folder = folder / name
        (self.folder / "raft").mkdir(parents=True)
        self._tls = ssl.create_default_context(cafile=str(authority))
        self._process: ServerProcess | None = None
        self._server = 0

    def configure(
        self, others: list[Node], tls: tuple[Path, Path, Path], seal_key: Path, audit_log: Path, pace: int
    ) -> None:
        """Where its peers are, and with what it opens its seal. `pace`: see `Cluster`."""
        authority, certificate, key = tls
        joins = "".join(
            f'  retry_join {{\n    leader_api_addr = "{other.address}"\n    leader_ca_cert_file = "{authority}"\n  }}\n'
            for other in others
        )
        (self.folder / "openbao.hcl").write_text(
            f"""\
storage "raft" {{
  path = "{self.folder / "raft"}"
  node_id = "{self.name}"
  performance_multiplier = {pace}
{joins}}}
listener "tcp" {{
  address = "127.0.0.1:{self.port}"
  cluster_address = "127.0.0.1:{self.cluster_port}"
  tls_cert_file = "{certificate}"
  tls_key_file = "{key}"
}}
seal "static" {{
  current_key_id = "1"
  current_key = "file://{seal_key}"
}}
audit "file" "file" {{
  options {{
    file_path = "{audit_log}"
  }}
}}
api_addr = "{self.address}"
cluster_addr = "https://127.0.0.1:{self.cluster_port}"
"""
        )

    def start(self) -> None:
        """Without waiting for it."""
        # The log of each life is a file of its own, and removed with the cluster's folder.
        folder = private_folder(self.name, self.folder)
        self._process = ServerProcess(
            "openbao",
            [str(installed.bao()), "server", f"-config={self.folder / 'openbao.hcl'}"],
            folder=folder,
            environment={"HOME": str(folder)},
            stop_signal=signal.SIGKILL,
            secret=Secret("none"),
        )
        self._server = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        keeper = self._process.pid
        if not self._server:
            wait(lambda: bool(descendants(keeper)), f"{self.name} runs")
            self._server = descendants(keeper)[0]
        return self._server

    def kill(self) -> None:
        """SIGKILL; it is gone when this returns."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def hold(self) -> None:
        """SIGSTOP: connections are accepted by the kernel, and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def let_go(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
        self._process = None

    @property
    def is_up(self) -> bool:
        return self._process is not None

    def ask(
        self, method: str, path: str, body: object = None, token: Secret | None = None, timeout: float = 30
    ) -> Answered:
        """Raises `OSError` and `HTTPException` where there is no answer."""
        connection = HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self._tls)
        headers = {"X-Vault-Token": token.reveal()} if token is not None else {}
        with closing(connection):
            connection.request(method, f"/v1/{path}", None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            raw = response.read()
        return Answered(response.status, json.loads(raw) if raw else {})

    def says(self, path: str, body: object, token: Secret) -> dict[str, Any]:
        """What it answers; nothing where it does not."""
        with suppress(OSError, HTTPException, ValueError):
            return self.ask("POST", path, body, token, timeout=5).body
        return {}

    def leads(self) -> bool:
        """Whether it is the leader and does its work."""
        # 200 is the active node's alone; a standby answers 429, one that is sealed 503.
        with suppress(OSError, HTTPException, ValueError):
            return self.ask("GET", "sys/health", timeout=2).status == 200
        return False

    def is_sealed(self) -> bool:
        with suppress(OSError, HTTPException, ValueError):
            return bool(self.ask("GET", "sys/seal-status", timeout=2).body.get("sealed"))
        return False


class Cluster:
    """What `Stack` wants of an OpenBao, and nodes that can be broken. Safe to `stop` again, and without a start."""

    # `pace` is raft's performance_multiplier: a new leader is there after 2 to 4 s with 1, which is what production is
    # advised to take, and after 10 to 25 with 5, which is the default.
    def __init__(self, size: int, pace: int = 1) -> None:
        self.folder = private_folder("cluster")
        made = certificates.make(SystemClock().now())
        self.ca_cert = self._write("ca.pem", made.authority)
        tls = self.ca_cert, self._write("server.pem", made.certificate), self._write("server.key", made.key)
        seal_key = self._write("seal.key", base64.b64encode(secrets.token_bytes(32)))
        # One for all: the path is in the storage that they share, and a node whose own differs cannot become the leader.
        self.audit_log = self.folder / "audit.log"
        self.nodes = [Node(f"node-{number}", self.ca_cert, self.folder) for number in range(1, size + 1)]
        for node in self.nodes:
            node.configure([other for other in self.nodes if other is not node], tls, seal_key, self.audit_log, pace)
        self.address = self.nodes[0].address  # which is also the audience that the roles demand
        self.root_token = Secret("")

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(node.address for node in self.nodes)

    def launch(self) -> None:
        for node in self.nodes:
            node.start()

    def wait(self) -> None:
        """Until it is set up and has a leader. A node that joins is not a voter for a while: see `mend`."""
        first = self.nodes[0]
        wait(lambda: self._says(first, "sys/init") is not None, "the first node answers")
        answer = first.ask("PUT", "sys/init", {"recovery_shares": 1, "recovery_threshold": 1})
        assert answer.status == 200, answer.body.get("errors")
        self.root_token = Secret(str(answer.body["root_token"]))
        self.leader()
        # Otherwise a node that joins waits for 10 seconds before it may vote.
        path = "sys/storage/raft/autopilot/configuration"
        answer = first.ask("POST", path, {"server_stabilization_time": "1s"}, self.root_token)
        assert answer.status == 204, answer.body

    def leader(self) -> Node:
        """The active node, as soon as there is one."""
        found = wait(lambda: [node for node in self.nodes if node.is_up and node.leads()], "there is a leader")
        assert isinstance(found[0], Node)
        return found[0]

    def others(self, node: Node) -> list[Node]:
        return [other for other in self.nodes if other is not node]

    def voters(self) -> set[str]:
        """The names of the nodes that are voters and healthy, by the leader's word; none where there is no leader."""
        for node in self.nodes:
            if node.is_up and (answer := self._says(node, "sys/storage/raft/autopilot/state")) is not None:
                servers = (answer.get("data") or {}).get("servers") or {}
                return {
                    name
                    for name, server in servers.items()
                    if server["status"] in ("voter", "leader") and server["healthy"]
                }
        return set()

    def mend(self) -> None:
        """Start what was killed or sealed, let go of what is held up; then wait until all are voters of a leader."""
        for node in self.nodes:
            if node.is_up:
                node.let_go()
                if node.is_sealed():
                    node.stop()
            if not node.is_up:
                node.start()
        everybody = {node.name for node in self.nodes}
        wait(lambda: self.voters() == everybody, "every node is a voter")
        self.leader()

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _says(self, node: Node, path: str) -> dict[str, Any] | None:
        with suppress(OSError, HTTPException, ValueError):
            answer = node.ask("GET", path, token=self.root_token if self.root_token.reveal() else None, timeout=2)
            return answer.body if answer.status == 200 else None
        return None

    def _write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        return path


class ClusterStack(Stack):
    """`Stack` with PostgreSQL, an issuer and a cluster of `size` nodes of its own."""

    def __init__(self, size: int, pace: int = 1) -> None:
        super().__init__()
        self.openbao.stop()  # its folder
        self.cluster = Cluster(size, pace)
        self.openbao: OpenBao = self.cluster  # type: ignore[assignment]

    def config_text(self, ledger: Path | str = ".stepcreds") -> str:
        text = super().config_text(ledger)
        addresses = ", ".join(self.cluster.addresses)
        return text.replace(
            f"  address: {self.address}\n", f"  address: [{addresses}]\n  ca_cert: {self.cluster.ca_cert}\n"
        )

    @contextmanager
    def client(self, token: Secret | None = None) -> Iterator[Any]:
        import hvac

        client = hvac.Client(
            url=self.cluster.leader().address,
            token=(token or self.openbao.root_token).reveal(),
            timeout=60,
            verify=str(self.cluster.ca_cert),
        )
        try:
            yield client
        finally:
            client.adapter.close()

    def _provision(self) -> None:
        with closing(self.postgresql.connect()) as connection:
            provision.create_database(connection)
        for script in ("shop.sql", "staging.sql"):
            self.load(script)
        self.set_up()
        self.cluster.mend()

    def set_up(self, ledger_key: str | None = None) -> None:
        bound = {name: self.issuer.claims[name] for name in ("repository_id", "environment")}
        configuration = config.configuration(self.address, self.profiles, self.folder, ledger_key)
        settings = configuration.vault._replace(addresses=self.cluster.addresses, ca_cert=self.cluster.ca_cert)
        provision.provision(
            configuration._replace(vault=settings),
            provision.answers(self.profiles, self.issuer.url, bound),
            LoginURL(self.database, SUPERUSER, self.postgresql.password),
            self.openbao.root_token,
            SystemClock(),
        )

    def __enter__(self) -> ClusterStack:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def wait(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`."""
    deadline = time.monotonic() + _PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.05)
    return value
