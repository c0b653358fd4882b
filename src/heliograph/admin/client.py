"""A client of the HTTP admin API, for the shell: one call, one `Result`."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx
import msgspec

from heliograph.admin import BASE
from heliograph.errors import PeerError, UnavailableError, UsageError
from heliograph.model.decoding import decode
from heliograph.model.results import Result
from heliograph.model.tls import NO_TLS, TlsProperties
from heliograph.net.tls import TlsContexts

CONNECT_S = 5.0
ANSWER_S = 90.0
"""Longer than a site takes at most for any command (`locator.cluster.APPLY_S`)."""

_decode = msgspec.json.Decoder(Result).decode


def read_result(data: bytes) -> Result:
    """Decode an answer of the admin API. Raises PeerError when it is none."""
    return decode(_decode, data, "result")


class AdminClient:
    """Talks to the admin API at `url` (`http://host:port`, or https). Close it, or use it as a context manager.

    tls: how https is done. authorization: the header of that name, see `admin.guarding`.
    Raises UsageError when that is no such url, or not one that goes with `tls`.
    """

    def __init__(self, url: str, tls: TlsProperties = NO_TLS, authorization: str = "") -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url!r} is no url of an admin API: write http://host:port")
        context = TlsContexts(tls).connecting("web")
        if parts.scheme == "https" and context is None:
            raise UsageError(f"the admin API at {self.url} speaks TLS: connect with --use-ssl and --trust-store")
        if parts.scheme == "http" and context is not None:
            raise UsageError(f"the admin API at {self.url} does not speak TLS, and this end does (component web)")
        self._http = httpx.Client(
            base_url=self.url + BASE,
            headers={"Authorization": authorization} if authorization else None,
            verify=context or True,
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            trust_env=False,
        )

    def call(
        self, method: str, path: str, body: object = None, query: Mapping[str, str | bool] | None = None
    ) -> Result:
        """Make a request and return its result, an ERROR one too.

        path: as in the table of routes, with names already quoted where they may hold special characters.
        body: a msgspec struct or anything JSON has, None for none. query: values of query parameters.
        Raises UnavailableError when the API can't be reached or does not answer in time, UsageError when something
        else answers at that url.
        """
        content = None if body is None else msgspec.json.encode(body)
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            response = self._http.request(method, path, content=content, params=query, headers=headers)
        except httpx.TimeoutException as exc:
            raise UnavailableError(f"the admin API at {self.url} does not answer: {type(exc).__name__}") from exc
        except httpx.HTTPError as exc:
            raise UnavailableError(f"the admin API at {self.url} can't be reached: {exc}") from exc
        try:
            return read_result(response.content)
        except PeerError as exc:
            raise UsageError(
                f"what answers at {self.url} is no heliograph admin API (HTTP {response.status_code})"
            ) from exc

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
