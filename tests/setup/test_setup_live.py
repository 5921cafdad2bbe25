"""What reaches an operator's eyes of what a Vault answers: never what was sent to it in confidence."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import pytest

from stepcreds.cli.messages import render_error
from stepcreds.clock import SystemClock
from stepcreds.config.model import VaultSettings
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
