"""HTTP to one host: its pool of connections is looked up once, and cookies are not kept."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict


class OneHostAdapter(HTTPAdapter):
    """
    An adapter for requests that all go the same way: one host, one proxy, one set of CA settings.

    :param connections: connections kept open, at most.
    """

    def __init__(self, connections: int) -> None:
        self._pool: Any = None
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=0)

    def get_connection_with_tls_context(self, *args: Any, **settings: Any) -> Any:
        """Give the pool of connections; requests 2.32 and newer ask for it so."""
        if self._pool is None:
            self._pool = super().get_connection_with_tls_context(*args, **settings)
        return self._pool

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Wrap an answer: its status, its headers, and its body as far as it was not read."""
        response = requests.Response()
        response.status_code = resp.status
        response.headers = CaseInsensitiveDict(resp.headers)
        response.raw = resp
        response.request = req
        return response
