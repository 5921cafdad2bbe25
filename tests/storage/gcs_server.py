"""Google Cloud Storage on loopback, as far as gcsfs meets it: objects with generations, the precondition of a create,
rights by token, and the exchange of a CI's ID token for one of Google's.

No emulator with `ifGenerationMatch` is to be had from a package registry. This one does what the JSON API's documents say:
https://cloud.google.com/storage/docs/json_api/v1/objects/insert, …/list, …/get, and
https://cloud.google.com/storage/docs/request-preconditions: 0 means that there is no live version.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from stepcreds.clock import rfc3339

PAGE = 2  # versions, so that everything is listed in pages


class Blob(NamedTuple):
    name: str
    generation: int
    data: bytes
    created: str
    deleted: str = ""


class GoogleServer(ThreadingHTTPServer):
    """One bucket, `audit-ledgers`, with versioning. The workload `ci` may create, `reviewer` may read, `admin` everything."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), GoogleHandler)
        self.blobs: list[Blob] = []
        self.lock = threading.Lock()
        self.requests: list[str] = []
        self.hide = False  # says 403 of what is there and may not be replaced, before it looks at the precondition
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    def __enter__(self) -> GoogleServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def environment(self, folder: Path, who: str = "admin") -> dict[str, str]:
        """What a job has: a configuration of workload identity federation, as google-github-actions/auth writes it."""
        (folder / f"{who}.jwt").write_text(f"id-token-of-{who}")
        configuration = {
            "type": "external_account",
            "audience": f"//iam.googleapis.com/pools/{who}",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{self.url}/token",
            "credential_source": {"file": str(folder / f"{who}.jwt")},
        }
        file = folder / f"{who}.json"
        file.write_text(json.dumps(configuration))
        return {"GOOGLE_APPLICATION_CREDENTIALS": str(file), "STORAGE_EMULATOR_HOST": self.url}

    def live(self, name: str) -> Blob | None:
        return next((blob for blob in self.blobs if blob.name == name and not blob.deleted), None)

    def write(self, name: str, data: bytes) -> Blob:
        """As whoever may replace objects."""
        with self.lock:
            self._end(name)
            return self._add(name, data)

    def delete(self, name: str) -> None:
        with self.lock:
            self._end(name)

    def insert(self, name: str, data: bytes, rights: set[str], generation: str) -> tuple[int, Any]:
        with self.lock:
            there = self.live(name)
            if "create" not in rights or (there and self.hide and "delete" not in rights):
                return 403, error(
                    403, "ci does not have storage.objects.delete access to the Google Cloud Storage object."
                )
            if there and generation == "0":
                return 412, error(412, "At least one of the pre-conditions you specified did not hold.")
            if there and "delete" not in rights:
                return 403, error(
                    403, "ci does not have storage.objects.delete access to the Google Cloud Storage object."
                )
            self._end(name)
            return 200, described(self._add(name, data))

    def _add(self, name: str, data: bytes) -> Blob:
        generation = 1_795_336_000_000_000 + len(self.blobs)
        now = time.time()  # noqa: TID251 - a server has a clock of its own
        blob = Blob(name, generation, data, rfc3339(now))
        self.blobs.append(blob)
        return blob

    def _end(self, name: str) -> None:
        there = self.live(name)
        if there is not None:
            self.blobs[self.blobs.index(there)] = there._replace(deleted="2026-11-23T00:00:00.000Z")


class GoogleHandler(BaseHTTPRequestHandler):
    server: GoogleServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = urlsplit(self.path)
        self.server.requests.append(f"POST {parts.path}")
        if parts.path == "/token":
            token = parse_qs(body.decode())["subject_token"][0]
            self._answer(200, {"access_token": f"google-{token}", "token_type": "Bearer", "expires_in": 3600})
            return
        # multipart/related, as gcsfs writes it: the object's name in JSON, then its bytes.
        head, _, rest = body.partition(b"\n--==0==\nContent-Type: application/octet-stream\n\n")
        name = json.loads(head.partition(b"\n\n")[2])["name"]
        data = rest.removesuffix(b"\n--==0==--")
        rights = self._rights(parts.path)
        if rights is not None:
            generation = parse_qs(parts.query).get("ifGenerationMatch", [""])[0]
            self._answer(*self.server.insert(name, data, rights, generation))

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.server.requests.append(f"GET {parts.path}")
        rights = self._rights(parts.path)
        if rights is None:
            return
        if "read" not in rights:
            self._answer(403, error(403, "ci does not have storage.objects.list access"))
            return
        name = parts.path.partition("/o/")[2]
        if name:
            self._read(unquote(name), query.get("generation", ""))
            return
        found = [blob for blob in self.server.blobs if blob.name.startswith(query.get("prefix", ""))]
        found = [blob for blob in found if query.get("versions") == "true" or not blob.deleted]
        found.sort(key=lambda blob: (blob.name, blob.generation))
        start = int(query.get("pageToken", "0"))
        page: dict[str, object] = {
            "kind": "storage#objects",
            "items": [described(blob) for blob in found[start : start + PAGE]],
        }
        if start + PAGE < len(found):
            page["nextPageToken"] = str(start + PAGE)
        self._answer(200, page)

    def _read(self, name: str, generation: str) -> None:
        found = [
            blob
            for blob in self.server.blobs
            if blob.name == name and (str(blob.generation) == generation if generation else not blob.deleted)
        ]
        if not found:
            self._answer(404, error(404, f"No such object: {name}"))
            return
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        if int(first) >= len(found[0].data):
            self._answer(416, error(416, "The requested range cannot be satisfied."))
            return
        self._send(206, found[0].data[int(first) : int(last) + 1])

    def _rights(self, path: str) -> set[str] | None:
        """None: it has been answered."""
        who = str(self.headers["Authorization"]).removeprefix("Bearer google-id-token-of-")
        rights = {"ci": {"create"}, "reviewer": {"read"}, "admin": {"create", "read", "delete"}}.get(who)
        if rights is None:
            self._answer(401, error(401, "Invalid Credentials"))
        elif "/b/audit-ledgers/" not in path:
            self._answer(404, error(404, "The specified bucket does not exist."))
            return None
        return rights

    def _answer(self, status: int, body: object) -> None:
        self._send(status, json.dumps(body).encode())

    def _send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def described(blob: Blob) -> dict[str, object]:
    return {
        "kind": "storage#object",
        "name": blob.name,
        "generation": str(blob.generation),
        "size": str(len(blob.data)),
        "md5Hash": b64encode(hashlib.md5(blob.data, usedforsecurity=False).digest()).decode(),
        "timeCreated": blob.created,
        **({"timeDeleted": blob.deleted} if blob.deleted else {}),
    }


def error(code: int, message: str) -> dict[str, object]:
    return {"error": {"code": code, "message": message, "errors": [{"message": message, "domain": "global"}]}}
