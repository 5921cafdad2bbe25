"""What answers in a store's place and lies: the lists of S3 and of Google Cloud Storage, page by page, as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

BUCKET = "audit-ledgers"
# The body of a page's answer, from its number (0, 1, …) and the marker that was asked for.
Page = Callable[[int, str], str]


class Lying(ThreadingHTTPServer):
    """Answers each request for a list with what `page` makes of it, and knows no objects."""

    daemon_threads = True

    def __init__(self, page: Page) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.page = page
        self.asked = 0
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    def __enter__(self) -> Lying:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Lying

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        marker = query.get("key-marker") or query.get("pageToken") or query.get("marker") or ""
        body = self.server.page(self.server.asked, marker).encode()
        self.server.asked += 1
        self._send("application/json" if body[:1] in b"{[" else "application/xml", body)

    def do_POST(self) -> None:  # Google's exchange of a token
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(
            "application/json", json.dumps({"access_token": "x", "token_type": "Bearer", "expires_in": 60}).encode()
        )

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def s3_page(names: list[str], following: str) -> str:
    """A page of ListObjectVersions; `following`: the marker of the next one, "" where the page says there is one and has none."""
    versions = "".join(
        f"<Version><Key>{name}</Key><VersionId>1</VersionId><IsLatest>true</IsLatest><Size>2</Size>"
        "<LastModified>2026-11-22T08:26:40.000Z</LastModified></Version>"
        for name in names
    )
    marker = (
        f"<NextKeyMarker>{following}</NextKeyMarker><NextVersionIdMarker>1</NextVersionIdMarker>" if following else ""
    )
    return f"<ListVersionsResult><IsTruncated>true</IsTruncated>{marker}{versions}</ListVersionsResult>"


def google_page(names: list[str], following: str) -> str:
    items = [
        {"name": name, "generation": "1", "size": "2", "timeCreated": "2026-11-22T08:26:40.000Z"} for name in names
    ]
    return json.dumps({"items": items, "nextPageToken": following})


def azure_page(names: list[str], following: str) -> str:
    blobs = "".join(
        f"<Blob><Name>{name}</Name><Properties><Last-Modified>Sun, 22 Nov 2026 08:26:40 GMT</Last-Modified>"
        "<Etag>0x8D</Etag><Content-Length>2</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
        for name in names
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://x/" ContainerName="led">'
        f"<Blobs>{blobs}</Blobs><NextMarker>{following}</NextMarker></EnumerationResults>"
    )
