"""An operator's calls: nothing that was sent in confidence is shown, and a mount that is new is waited for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import pytest

from faulty_vault import Fault, FaultyVault, Rule
from stepcreds.cli.messages import render_error
from stepcreds.clock import SystemClock
from stepcreds.config.model import VaultSettings
from stepcreds.devstack.stack import Stack
from stepcreds.errors import VaultError
from stepcreds.secret import Secret
from stepcreds.setup.live.operator import ForbiddenError, Live

PASSWORD = Secret("c4n4ry/of the+password")
TOKEN = Secret("hvs.c4n4ry-of-the-token")


class _Repeating(BaseHTTPRequestHandler):
    """Refuses everything, and repeats what it was sent, as it came and as a URL has it."""

    def do_POST(self) -> None:  # noqa: N802 - http.server's name
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = [f"cannot log in with {sent['password']} at db?p={quote(sent['password'], safe='')}"]
        said.append(f"token {self.headers['X-Vault-Token']}")
        content = json.dumps({"errors": said}).encode()
        self.send_response(int(sent["status"]))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Nothing."""


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Repeating)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    with Live(VaultSettings((address,), None, None, None, None, False, "jwt", address), TOKEN, SystemClock()) as made:
        yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(("status", "kind"), [(400, VaultError), (403, ForbiddenError)])
def test_a_server_that_repeats_what_it_was_sent(live: Live, status: int, kind: type[VaultError]) -> None:
    body = {"password": PASSWORD.reveal(), "status": status}
    with pytest.raises(kind) as refused:
        live.write("database/config/app", body, hidden=[PASSWORD])
    shown = render_error(refused.value, colour=False) + repr(refused.value.errors)
    assert "c4n4ry" not in shown
    assert "cannot log in with *** at db?p=***; token ***" in shown


def test_the_token_is_in_no_repr(live: Live) -> None:
    assert "c4n4ry" not in repr(live) + repr(vars(live))


# What a standby of OpenBao 2.7.2 says of a mount that it has not heard of.
NO_ROUTE = b'{"errors":["no handler for route \\"%s/keys/ledger\\". route entry not found."]}'


@pytest.fixture
def relay(stack: Stack) -> Iterator[FaultyVault]:
    """It does not hand on how far the storage was, so nothing can be asked of a server that is as far."""
    with FaultyVault(stack.address) as made:
        yield made


def operator(stack: Stack, relay: FaultyVault, timeout: float = 60.0) -> Live:
    settings = VaultSettings((relay.address,), None, None, None, None, False, "jwt", relay.address)
    return Live(settings._replace(timeout=timeout), stack.openbao.root_token, SystemClock())


def behind(relay: FaultyVault, mount: str, times: int | None) -> Rule:
    """The next requests meet a server that has not heard of `mount`."""
    return relay.fail("issue", Fault(status=404, body=NO_ROUTE % mount.encode()), times)


def test_a_mount_that_was_just_made_is_waited_for(stack: Stack, relay: FaultyVault) -> None:
    with operator(stack, relay) as live:
        live.write("sys/mounts/transit-late", {"type": "transit"})
        written = behind(relay, "transit-late", 3)
        live.write("transit-late/keys/ledger", {"type": "ed25519"})
        found = behind(relay, "transit-late", 3)
        assert (live.read("transit-late/keys/ledger") or {})["type"] == "ed25519"
        listed = behind(relay, "transit-late", 3)
        assert live.names("transit-late/keys") == ("ledger",)
        live.write("sys/auth/jwt-late", {"type": "jwt"})
        tuned = behind(relay, "transit-late", 3)
        live.write("auth/jwt-late/config", {"oidc_discovery_url": stack.issuer.url})
    assert (written.met, found.met, listed.met, tuned.met) == (3, 3, 3, 3)


def test_a_mount_that_never_comes_is_not_waited_for_longer(stack: Stack, relay: FaultyVault) -> None:
    with operator(stack, relay, timeout=0.5) as live:
        live.write("sys/mounts/transit-never", {"type": "transit"})
        refused = behind(relay, "transit-never", None)
        with pytest.raises(VaultError) as error:
            live.write("transit-never/keys/ledger", {"type": "ed25519"})
    assert error.value.errors == ('no handler for route "transit-never/keys/ledger". route entry not found.',)
    assert refused.met > 1


def test_a_mount_of_somebody_else_is_not_waited_for(stack: Stack, relay: FaultyVault) -> None:
    with operator(stack, relay) as live:
        live.write("sys/mounts/transit-ours", {"type": "transit"})
        live.write("sys/mounts/transit-ours/tune", {"description": "theirs/keys"})
        refused = behind(relay, "theirs", None)
        assert live.read("theirs/keys/ledger") is None
        with pytest.raises(VaultError):
            live.write("sys/mounts/transit-ours/keys", {"type": "transit"})
    assert refused.met == 2
