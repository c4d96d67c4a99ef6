"""URL to verified file: resumed after a kill, and under its final name only when size and checksum are right."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from hierlandmarks.digests import BLOCK, RunningDigest
from hierlandmarks.errors import ChecksumError, HierlandmarksError, IncompleteError, UsageError
from hierlandmarks.network import AGENT, HostLimit, Patience, refuse_offline, retry_after
from hierlandmarks.parts import Part, Source

MAX_REDIRECTS = 5
MAX_BYTES = 2**32  # of a file unless the caller knows better; GLDv2's largest has a quarter of that
_BUSY = {408, 425, 429, 500, 502, 503, 504}


def file_patience(sleep: Callable[[float], object] = time.sleep) -> Patience:
    """Retries for files: shorter waits than for an API, since a cut connection is the usual trouble."""
    return Patience(first=2.0, longest=60.0, longest_asked=240.0, sleep=sleep)


@dataclass(frozen=True)
class Manners:
    """How to behave towards a server.

    Attributes:
        patience: how often to try again; the count starts over whenever new bytes came.
        connect, read: seconds to wait for a connection, and for the next bytes.
        slowest: bytes a second, over `window` seconds, below which a connection is given up and made anew.
        hosts: other hosts that a redirect may lead to.
        limit: how many connections one host may see at the same time.
        retrying: told the address, what was wrong, and which try comes next, before a wait.
    """

    patience: Patience = field(default_factory=file_patience)
    connect: float = 10.0
    read: float = 60.0
    slowest: float = 1024.0
    window: float = 60.0
    hosts: tuple[str, ...] = ()
    limit: HostLimit = field(default_factory=HostLimit)
    retrying: Callable[[str, str, int], None] = lambda url, trouble, attempt: None


@dataclass(frozen=True)
class Fetched:
    """A file that was fetched and verified.

    Attributes:
        path, url: where it lies, and where it came from.
        size, md5, sha256: of its bytes.
        received: bytes that came over the network this time.
    """

    path: Path
    url: str
    size: int
    md5: str
    sha256: str
    received: int


def fetch_file(
    urls: Sequence[str],
    path: Path,
    *,
    md5: Collection[str] = (),
    size: int | None = None,
    at_most: int = MAX_BYTES,
    manners: Manners | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Fetched:
    """Fetch a file, continuing where a killed process stopped.

    With an `md5` the bytes may not all be on disk when this returns, as with any plain write; `os.fsync` sees to that.

    Args:
        urls: addresses of the same file, tried in order; no http address after an https one.
        path: where it shall lie; what is there now is replaced.
        md5: digests, any of which is right; none checked when empty.
        size: its bytes, where known beforehand.
        at_most: bytes beyond which it cannot be the file.
        progress: called with the bytes that came, and a negative number when they had to be thrown away.

    Raises:
        UsageError: an address that is no http or https address, or http after https.
        OfflineError: HIERLANDMARKS_OFFLINE is set.
        IncompleteError: no address gave the file; what came so far is kept for the next run. `BusyError` when
            another process is fetching it.
        ChecksumError: a file fetched in one piece has another checksum or size.
    """
    _check_addresses(urls)
    refuse_offline(f"fetching {path.name}")
    part = Part(path)
    try:
        with requests.Session() as session, RunningDigest() as running:
            wanted = _Wanted(tuple(md5), size, at_most)
            receiver = _Receiver(part, session, running, manners or Manners(), wanted, progress)
            url, digests = receiver.from_first(urls)
        total = part.size
        part.finish(synced=not md5)  # with an MD5 a power cut's damage would be found when the file is taken over
        return Fetched(path, url, total, *digests, receiver.received)
    finally:
        part.release()


def _check_addresses(urls: Sequence[str]) -> None:
    seen: set[str] = set()
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError("this is no address to fetch from", got=repr(url), expected="https://...")
        if parts.scheme == "http" and "https" in seen:
            raise UsageError(
                "a mirror without encryption is never tried after one with it", got=url, do="give an https address"
            )
        seen.add(parts.scheme)


@dataclass(frozen=True)
class _Wanted:
    """What is known of a file beforehand: any of these MD5s, its bytes, and how many there can be."""

    md5: tuple[str, ...]
    size: int | None
    at_most: int


class _Receiver:
    """Brings the bytes of one file into its part."""

    def __init__(
        self,
        part: Part,
        session: requests.Session,
        running: RunningDigest,
        manners: Manners,
        wanted: _Wanted,
        progress: Callable[[int], None],
    ) -> None:
        self._part = part
        self._session = session
        self._running = running  # of the part's bytes, always up to where they go
        self._manners = manners
        self._wanted = wanted
        self._progress = progress
        self._session.headers.update({"User-Agent": AGENT, "Accept-Encoding": "identity"})
        self.received = 0

    def from_first(self, urls: Sequence[str]) -> tuple[str, tuple[str, str]]:
        """Fill the part from the first address that gives the right file: the address, MD5 and SHA-256."""
        failure: HierlandmarksError = UsageError("there is no address to fetch from")
        for url in urls:
            try:
                return url, self._verified(url)
            except (IncompleteError, ChecksumError) as error:
                failure = error
        raise failure

    def _verified(self, url: str) -> tuple[str, str]:
        """MD5 and SHA-256 of the file at an address, which are right; else nothing is left of it."""
        continued = self._part.size > 0
        found = self._receive(url)
        if not self._is_right(found) and continued:  # the old bytes may be at fault: once more, all of it
            self.forget()
            found = self._receive(url)
        if not self._is_right(found):
            self.forget()
            raise ChecksumError(
                f"{url} was fetched whole and has the wrong checksum",
                got=f"MD5 {found[0]}",
                expected=" or ".join(self._wanted.md5),
                do="try later or another mirror; it is not tried again and again",
            )
        return found

    def _is_right(self, found: tuple[str, str]) -> bool:
        return not self._wanted.md5 or found[0] in self._wanted.md5

    def forget(self, source: Source | None = None) -> None:
        """Throw away what came so far; what comes now is of `source`."""
        self._progress(-self._part.size)
        self._part.begin(source or Source())
        self._running.restart()

    def _receive(self, url: str) -> tuple[str, str]:
        """Bring the whole file, in as many tries as patience allows: its MD5 and SHA-256."""
        self._running.restart()
        self._running.add_file(self._part.path, self._part.size)
        attempt, best = 1, self._part.size
        while True:
            self._part.touch()
            trouble, asked = self._once(url)
            if not trouble:
                return self._running.result()
            if self._part.size > best:
                attempt, best = 1, self._part.size
            if self._manners.patience.ends(attempt, asked):
                raise IncompleteError(
                    f"{url} could not be fetched in {attempt} tries",
                    got=trouble,
                    do="run the same command later; it goes on where it stopped",
                )
            attempt += 1
            self._manners.retrying(url, trouble, attempt)
            self._manners.patience.wait(attempt - 1, asked)

    def _once(self, url: str) -> tuple[str, float | None]:
        """One connection: what went wrong ("" when the file is whole), and how long the server asks to wait."""
        part = self._part
        if part.size and (not part.source.etag or part.size > (part.source.total or 0)):
            self.forget()
        start = part.size
        if start and start == part.source.total:
            return "", None
        headers = {"Range": f"bytes={start}-", "If-Range": part.source.etag} if start else {}
        try:
            with self._manners.limit.to(url), self._open(url, headers) as response:
                trouble = self._accept(response, url, start)
                if trouble:
                    return trouble, retry_after(response.headers)
                trouble = self._copy(response)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            trouble = type(error).__name__
        total = part.source.total
        if not trouble and total is not None and part.size != total:
            trouble = f"{part.size} of {total} bytes"
        return trouble, None

    def _open(self, url: str, headers: dict[str, str]) -> requests.Response:
        """The response at the end of allowed redirects: same host or a listed one, never from https to http."""
        timeout = (self._manners.connect, self._manners.read)
        for _ in range(MAX_REDIRECTS + 1):
            response = self._session.get(url, headers=headers, stream=True, timeout=timeout, allow_redirects=False)
            target = response.headers.get("Location") if response.is_redirect else None
            if target is None:
                return response
            response.close()
            old, url = urlsplit(url), urljoin(url, target)
            new = urlsplit(url)
            if new.scheme not in ("https", old.scheme) or new.hostname not in (old.hostname, *self._manners.hosts):
                raise IncompleteError(
                    f"{old.geturl()} redirects to {url}, which is not followed", do="give that address itself"
                )
        raise IncompleteError(f"{url} redirects on and on")

    def _accept(self, response: requests.Response, url: str, start: int) -> str:
        """Check the head of a response and prepare the part for its body; what is wrong with it, or ""."""
        status, head = response.status_code, response.headers
        if status in _BUSY:
            return f"status {status}"
        if status in (412, 416) and start:
            self.forget()
            return f"status {status} for the rest of the file"
        if status not in (200, 206):
            raise IncompleteError(f"{url} is not there", got=f"status {status}", do="check the address")
        if head.get("Content-Encoding", "identity").lower() not in ("", "identity"):
            return f"content packed as {head['Content-Encoding']}"
        if "text/html" in head.get("Content-Type", "").lower():
            return "a web page instead of the file"
        if status == 206:
            if not start or not self._goes_on(head, start):
                self.forget()
                return f"a part that was not asked for ({head.get('Content-Range')})"
            return ""
        return self._begin(response, url)

    def _goes_on(self, head: Mapping[str, str], start: int) -> bool:
        """Whether the head of a partial response promises the rest of the very file the part is of."""
        source = self._part.source
        span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", head.get("Content-Range", "").strip())
        same = head.get("ETag", source.etag) == source.etag
        return bool(span and same and int(span[1]) == start and span[3] in (str(source.total), "*"))

    def _begin(self, response: requests.Response, url: str) -> str:
        """Prepare for a whole file."""
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isascii() and length.isdigit() else None
        if total is None and not self._wanted.md5:
            return "no size told, so an end too early would not be noticed"
        if self._wanted.size is not None and total not in (None, self._wanted.size):
            raise ChecksumError(f"{url} has the wrong size", got=total, expected=self._wanted.size)
        self._check_room(url, total or 0)
        etag = response.headers.get("ETag", "")
        self.forget(Source(etag if etag.startswith('"') else "", total))  # a weak tag cannot vouch for bytes
        return ""

    def _check_room(self, url: str, total: int) -> None:
        if total > self._wanted.at_most:
            raise IncompleteError(
                f"{url} is larger than the file can be",
                got=f"{total} bytes",
                expected=f"at most {self._wanted.at_most}",
            )
        free = shutil.disk_usage(self._part.path.parent).free + self._part.size
        if total > free:
            raise IncompleteError(f"the disk is too small for {url}", got=f"{free} bytes free", expected=total)

    def _copy(self, response: requests.Response) -> str:
        began, came = time.monotonic(), 0
        while block := response.raw.read1(BLOCK, decode_content=False):
            try:
                size = self._part.write(block)
            except OSError as error:
                raise IncompleteError(f"{self._part.path} cannot be written", got=error.strerror) from error
            self._running.add(block)
            if size > self._wanted.at_most:
                raise IncompleteError("a file does not end", got=f"over {self._wanted.at_most} bytes")
            self.received += len(block)
            came += len(block)
            self._progress(len(block))
            if (seconds := time.monotonic() - began) > self._manners.window:
                if came < self._manners.slowest * seconds:
                    return f"only {came} bytes in {seconds:.0f} s"
                began, came = time.monotonic(), 0
        return ""
