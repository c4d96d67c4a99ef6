"""Servers on loopback that misbehave on demand: a file store like S3, and a MediaWiki."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tarfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote


class FileServer:
    """Serves `files` (path -> bytes) with strong ETags and ranges; `faults[path]` are used up one a request.

    Faults: `cut` (closes half way through what it should send), `html`, `gzip`, `416`, `412`, `lie` (a range other than
    the one asked for), `whole` (200 for a range), `renew` (a new ETag, as for a new file), `endless` (no length),
    `>URL` (redirect), and any status as `503` or `429 WAIT`, where WAIT is `3` or `date`.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.faults: dict[str, list[str]] = defaultdict(list)
        self.asked: list[tuple[str, str | None]] = []  # path and Range
        self.sent = 0  # bytes of bodies
        self.version: dict[str, int] = defaultdict(int)
        self.url = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(request.path).lstrip("/")
        span = request.headers.get("Range")
        self.asked.append((path, span))
        fault = self.faults[path].pop(0) if self.faults[path] else ""
        if path not in self.files:
            return self._send(request, 404, {}, b"no such key")
        body = self.files[path]
        if fault == "renew":
            self.version[path] += 1
        etag = f'"{path}-{self.version[path]}"'
        start = int(span.removeprefix("bytes=").removesuffix("-")) if span else 0
        if fault.startswith(">"):
            return self._send(request, 302, {"Location": fault[1:]}, b"")
        if fault == "html":
            return self._send(request, 200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>try again</html>")
        if fault == "gzip":
            return self._send(request, 200, {"Content-Encoding": "gzip", "ETag": etag}, gzip.compress(body))
        if fault[:3].isdigit():
            status, _, wait = fault.partition(" ")
            headers = {"Retry-After": formatdate(usegmt=True) if wait == "date" else wait} if wait else {}
            return self._send(request, int(status), headers, b"")
        ranged = span and fault != "whole" and request.headers.get("If-Range") in (None, etag)
        headers = {"ETag": etag, "Content-Type": "application/octet-stream"}
        if ranged:
            headers["Content-Range"] = f"bytes {start + (fault == 'lie')}-{len(body) - 1}/{len(body)}"
            return self._send(request, 206, headers, body[start:], cut=fault == "cut")
        return self._send(request, 200, headers, body, cut=fault == "cut", endless=fault == "endless")

    def _send(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        headers: dict[str, str],
        body: bytes,
        cut: bool = False,
        endless: bool = False,
    ) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        if not endless:
            request.send_header("Content-Length", str(len(body)))
        request.send_header("Connection", "close")
        request.end_headers()
        sent = body[: len(body) // 2] if cut else body
        request.wfile.write(sent)
        self.sent += len(sent)
        request.close_connection = True


class WikiServer:
    """A MediaWiki that answers with `respond(api, params)`; `faults` are used up one a request.

    Faults: `maxlag`, `ratelimited`, `html`, `drop` (closes without a word), `huge`, `>URL`, and any status as `503 7`.
    """

    def __init__(self, respond: Callable[[str, dict[str, str]], dict[str, Any]]) -> None:
        self.respond = respond
        self.faults: list[str] = []
        self.asked: list[dict[str, str]] = []
        self.agents: set[str] = set()
        self.url = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        params = dict(parse_qsl(request.rfile.read(length).decode(), keep_blank_values=True))
        self.agents.add(request.headers.get("User-Agent", ""))
        self.asked.append(dict(params))
        fault = self.faults.pop(0) if self.faults else ""
        status, headers = 200, {}
        if fault == "drop":
            request.close_connection = True
            return
        if fault.startswith(">"):
            status, headers, body = 302, {"Location": fault[1:]}, b""
        elif fault in ("maxlag", "ratelimited"):
            headers = {"Retry-After": "5"}
            body = json.dumps({"error": {"code": fault, "info": "Waiting for a database"}}).encode()
        elif fault == "html":
            body = b"<html>maintenance</html>"
        elif fault:
            code, _, wait = fault.partition(" ")
            status, body = int(code), b"busy"
            headers = {"Retry-After": wait} if wait else {}
        else:
            api = request.path.strip("/")
            assert params.pop("maxlag", "") == ("" if api == "sparql" else "5")
            body = json.dumps(self.respond(api, params)).encode()
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)


def make_tar(ids: list[str], contents: Callable[[str], bytes] = lambda image_id: b"jpg") -> bytes:
    """A tar in GLDv2's form, by default with a few bytes for each image."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for image_id in ids:
            info = tarfile.TarInfo(f"{image_id[0]}/{image_id[1]}/{image_id[2]}/{image_id}.jpg")
            content = contents(image_id)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


class QuietServer(ThreadingHTTPServer):
    """Says nothing of clients that go away; that is what they are here for."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(server: FileServer | WikiServer) -> Iterator[Any]:
    """Run a server on a free port of this machine while the block lasts; its address is in `server.url`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.answer(self)

        do_POST = do_GET  # noqa: N815 - the name http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    http = QuietServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}/"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join(5)
