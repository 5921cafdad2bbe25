"""What Azurite lacks of Azure Blob Storage: versions of blobs. A container on loopback that is read, never written, over HTTP.

https://learn.microsoft.com/rest/api/storageservices/list-blobs with `include=versions`, and Get Blob with `versionid`.
"""

from __future__ import annotations

import hashlib
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

KEY = b64encode(b"k" * 64).decode()  # nobody checks its signatures here
PAGE = 2


class BlobVersion(NamedTuple):
    name: str
    version: str
    data: bytes
    current: bool


class VersionedContainer(ThreadingHTTPServer):
    """The container `led` of the account `reviewer`."""

    daemon_threads = True

    def __init__(self, *versions: BlobVersion) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.versions = sorted(versions)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    def __enter__(self) -> VersionedContainer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def environment(self) -> dict[str, str]:
        endpoint = f"http://127.0.0.1:{self.server_address[1]}/reviewer"
        text = f"DefaultEndpointsProtocol=http;AccountName=reviewer;AccountKey={KEY};BlobEndpoint={endpoint};"
        return {"AZURE_STORAGE_CONNECTION_STRING": text}


class Handler(BaseHTTPRequestHandler):
    server: VersionedContainer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if query.get("comp") == "list":
            assert query["include"] == "versions"
            self._list(query.get("prefix", ""), int(query.get("marker", "0") or 0))
            return
        name = unquote(parts.path).removeprefix("/reviewer/led/")
        (blob,) = [each for each in self.server.versions if (each.name, each.version) == (name, query["versionid"])]
        asked = (self.headers["x-ms-range"] or self.headers["Range"]).removeprefix("bytes=").split("-")
        data = blob.data[int(asked[0]) : int(asked[1]) + 1]
        content_range = f"bytes {asked[0]}-{int(asked[0]) + len(data) - 1}/{len(blob.data)}"
        self._send(206, data, "application/octet-stream", content_range)

    def _list(self, prefix: str, start: int) -> None:
        found = [each for each in self.server.versions if each.name.startswith(prefix)]
        rest = str(start + PAGE) if start + PAGE < len(found) else ""
        blobs = "".join(described(each) for each in found[start : start + PAGE])
        text = (
            '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://x/" ContainerName="led">'
            f"<Prefix>{escape(prefix)}</Prefix><Blobs>{blobs}</Blobs><NextMarker>{rest}</NextMarker></EnumerationResults>"
        )
        self._send(200, text.encode(), "application/xml")

    def _send(self, status: int, data: bytes, kind: str, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("x-ms-version", "2026-10-06")
        self.send_header("x-ms-blob-type", "BlockBlob")
        self.send_header("Last-Modified", "Sun, 22 Nov 2026 08:26:40 GMT")
        self.send_header("ETag", '"0x8D"')
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def described(blob: BlobVersion) -> str:
    md5 = b64encode(hashlib.md5(blob.data, usedforsecurity=False).digest()).decode()
    current = "<IsCurrentVersion>true</IsCurrentVersion>" if blob.current else ""
    return (
        f"<Blob><Name>{escape(blob.name)}</Name><VersionId>{blob.version}</VersionId>{current}<Properties>"
        f"<Creation-Time>Sun, 22 Nov 2026 08:26:40 GMT</Creation-Time><Last-Modified>Sun, 22 Nov 2026 08:26:40 GMT</Last-Modified>"
        f"<Etag>0x8D</Etag><Content-Length>{len(blob.data)}</Content-Length><Content-Type>text/plain</Content-Type>"
        f"<Content-MD5>{md5}</Content-MD5><BlobType>BlockBlob</BlobType></Properties></Blob>"
    )
