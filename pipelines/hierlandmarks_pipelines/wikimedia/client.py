"""Asking Wikimedia's APIs politely: archive first, then one request at a time, identified, paced, retried.

`Client` answers from the archive and sends only what is missing there; with no transport it is a replay, which
cannot reach the network. A transport is any callable `respond(api, params) -> body`; `Http` is the real one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import requests

from hierlandmarks.errors import CorruptInputError, IncompleteError, MissingDataError, UsageError
from hierlandmarks.network import AGENT, Patience, refuse_offline, retry_after
from hierlandmarks.progress import say
from hierlandmarks_pipelines.wikimedia.archive import Archive
from hierlandmarks_pipelines.wikimedia.pace import Bucket

APIS = {
    "commons": "https://commons.wikimedia.org/w/api.php",
    "wikidata": "https://www.wikidata.org/w/api.php",
    "sparql": "https://query.wikidata.org/sparql",
}
_ACTION = {"action": "query", "format": "json", "formatversion": "2"}  # what every request to a MediaWiki says
MAXLAG = "5"
MAX_BYTES = 128 * 2**20  # of one answer, unpacked; fifty of the largest items are about a tenth of it
_BUSY_STATUS = {408, 429, 500, 502, 503, 504}
_BUSY_CODES = ("maxlag", "ratelimited", "readonly", "internal_api_error")
_ANSWERS = {"no-such-entity"}  # errors that say something about what was asked, and so are archived

Respond = Callable[[str, dict[str, str]], dict[str, Any]]


def utc_now() -> str:
    """The time in UTC to the second, ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Client:
    """Answers from the archive; what is missing there is asked of the transport and archived.

    Args:
        archive: opened for writing, unless `respond` is None.
        respond: the transport, or None to answer from the archive only.
        now: the clock whose time is archived.
    """

    def __init__(self, archive: Archive, respond: Respond | None = None, *, now: Callable[[], str] = utc_now) -> None:
        self._archive = archive
        self._respond = respond
        self._now = now
        self.sent = 0  # requests that the archive did not hold

    @property
    def replays(self) -> bool:
        """Whether answers come from the archive only."""
        return self._respond is None

    def recall(self, api: str, params: Mapping[str, str]) -> dict[str, Any] | None:
        """The body of an answer if the archive holds it."""
        body: dict[str, Any] | None = self._archive.get(api, _full(api, params))
        return body

    def ask(self, api: str, params: Mapping[str, str]) -> dict[str, Any]:
        """The body of one answer.

        Raises:
            MissingDataError: replaying, and the archive does not hold it.
            IncompleteError: the API answers with an error.
        """
        body = self.recall(api, params)
        if body is not None:
            return body
        params = _full(api, params)
        if self._respond is None:
            raise MissingDataError(
                f"the archive in {self._archive.folder} holds no answer to a request the categories need",
                got=f"{api} {_short(params)}",
                do="mine without replay to complete it, or replay with the categories it was made from",
            )
        body = self._respond(api, params)
        error = body.get("error")
        if error and error.get("code") not in _ANSWERS:
            raise IncompleteError(
                f"the {api} API refused {_short(params)}", got=f"{error.get('code')}: {error.get('info')}"
            )
        self.sent += 1
        self._archive.append(api, params, body, self._now())
        return body

    def follow(self, api: str, params: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """All parts of an answer: asks again with every `continue` block until there is none.

        Raises:
            CorruptInputError: a `continue` block comes back, which would go on forever.
        """
        more: dict[str, str] = {}
        seen = [more]
        while True:
            body = self.ask(api, {**params, **more})
            yield body
            more = {key: str(value) for key, value in body.get("continue", {}).items()}
            if not more:
                return
            if more in seen:
                raise CorruptInputError(f"the {api} API continues {_short(params)} in a circle", got=more)
            seen.append(more)


class Http:
    """The transport that goes over the network: one request in flight, identified, paced, bounded, retried.

    Args:
        contact: e-mail address or page of whoever runs this, not of the project: limits count per contact.
        apis: address of every API by name; those not named keep their default.
        bucket, patience: pace and retries.

    Raises:
        UsageError: no contact, or an address that is no https address (http is allowed to this machine only).
        OfflineError: HIERLANDMARKS_OFFLINE is set.
    """

    def __init__(
        self,
        contact: str,
        apis: Mapping[str, str] | None = None,
        bucket: Bucket | None = None,
        patience: Patience | None = None,
    ) -> None:
        refuse_offline("mining")
        self._apis = {**APIS, **(apis or {})}
        for name, address in self._apis.items():
            _check_address(name, address)
        self._bucket = bucket or Bucket()
        self._patience = patience or Patience()
        self._session = requests.Session()
        self._session.headers["User-Agent"] = user_agent(contact)
        self._session.headers["Accept"] = "application/sparql-results+json, application/json"

    def __call__(self, api: str, params: dict[str, str]) -> dict[str, Any]:
        """One answer, after as many tries as patience allows.

        Raises:
            IncompleteError: the API is unreachable, busy for longer than patience lasts, or refuses us.
        """
        refuse_offline("mining")
        attempt = 1
        while True:
            self._bucket.take()
            own = {} if api == "sparql" else {"maxlag": MAXLAG}
            body, trouble, asked = self._once(self._apis[api], {**params, **own})
            if body is not None:
                return body
            if self._patience.ends(attempt, asked):
                raise IncompleteError(
                    f"the {api} API gave no answer after {attempt} tries",
                    got=trouble,
                    do="run the same command later; it goes on where it stopped",
                )
            say(f"  the {api} API gave no answer ({trouble}); trying again, {attempt + 1} of {self._patience.tries}")
            self._patience.wait(attempt, asked)
            attempt += 1

    def _once(self, address: str, params: dict[str, str]) -> tuple[dict[str, Any] | None, str, float | None]:
        """One try: the body, or what was wrong and how long the server asks to wait."""
        try:
            # POST, since fifty titles outgrow what servers take as an address.
            with self._session.post(
                address, data=params, timeout=(10, 90), stream=True, allow_redirects=False
            ) as response:
                wait = retry_after(response.headers)
                if response.status_code in _BUSY_STATUS:
                    return None, f"status {response.status_code}", wait
                if response.status_code != 200:
                    raise _refusal(address, response)
                raw = _read(response)
        except requests.RequestException as error:
            return None, type(error).__name__, None
        try:
            body = json.loads(raw)
        except ValueError:
            return None, f"no JSON: {raw[:60]!r}", wait
        if not isinstance(body, dict):
            return None, f"no JSON object: {raw[:60]!r}", wait
        code = str(body.get("error", {}).get("code", ""))
        return (None, f"error {code}", wait) if code.startswith(_BUSY_CODES) else (body, "", None)


def user_agent(contact: str) -> str:
    """The User-Agent Wikimedia's policy asks for: tool, version and the operator's contact.

    >>> user_agent("me@example.org")
    'hierlandmarks/... (me@example.org) python-requests/...'

    Raises:
        UsageError: no contact, or none that a person could be reached by.
    """
    contact = contact.strip()
    if not contact:
        raise UsageError(
            "mining needs a contact, which Wikimedia asks of every program that calls its APIs",
            do="give your own e-mail address or user page with --contact or HIERLANDMARKS_CONTACT",
        )
    reachable = "@" in contact or contact.startswith(("https://", "http://", "User:"))
    if not reachable or not contact.isprintable() or set(contact) & set("()") or not contact.isascii():
        raise UsageError(
            "the contact cannot be used",
            got=repr(contact),
            expected="an e-mail address or the address of your user page",
        )
    return f"{AGENT} ({contact}) python-requests/{requests.__version__}"


def _check_address(name: str, address: str) -> None:
    local = address.startswith(("http://127.0.0.1:", "http://localhost:", "http://[::1]:"))
    if name not in APIS or not (address.startswith("https://") or local):
        raise UsageError(
            f"the address of the {name} API cannot be used",
            got=address,
            expected="an https address (http only to this machine)",
        )


def _refusal(address: str, response: requests.Response) -> IncompleteError:
    status = response.status_code
    if status in (401, 403):
        return IncompleteError(
            f"{address} refuses us", got=f"status {status}", do="check that the contact is yours and wait an hour"
        )
    if 300 <= status < 400:
        return IncompleteError(
            f"{address} redirects elsewhere, which is not followed",
            got=repr(response.headers.get("Location", "")),
            do="give the right address with --commons-api, --wikidata-api or --sparql-api",
        )
    return IncompleteError(f"{address} answers with an error", got=f"status {status}", expected="200")


def _read(response: requests.Response) -> bytes:
    parts, size = [], 0
    for part in response.iter_content(65536):
        size += len(part)
        if size > MAX_BYTES:
            raise IncompleteError("an answer of the API is too large", got=f"over {MAX_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _full(api: str, params: Mapping[str, str]) -> dict[str, str]:
    return dict(params) if api == "sparql" else {**_ACTION, **params}


def _short(params: Mapping[str, str]) -> str:
    text = json.dumps({k: v for k, v in params.items() if k not in ("format", "formatversion")}, ensure_ascii=False)
    return text if len(text) <= 160 else text[:157] + "..."
