"""Put the RO-Crate 1.1 context into the validator's HTTP cache, so that it needs no network: cache_context.py CACHE.

The context is the one that version 0.14 of the package `rocrate` ships. Run it with the validator's own Python.
"""

import sys
from importlib.metadata import distribution
from io import BytesIO
from pathlib import Path

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests_cache import CachedSession
from urllib3 import HTTPResponse

CONTEXT = "https://w3id.org/ro/crate/1.1/context"


class Shipped(HTTPAdapter):
    """Answers every request with the file that was shipped."""

    def send(self, request: PreparedRequest, **_: object) -> Response:
        """Return the context as the web would."""
        path = Path(str(distribution("rocrate").locate_file("rocrate/data/ro-crate.jsonld")))
        content = path.read_bytes()
        if CONTEXT.encode() not in content:
            sys.exit(f"cache_context: {path} is another context than {CONTEXT}")
        headers = {"Content-Type": "application/ld+json"}
        raw = HTTPResponse(BytesIO(content), headers, 200, preload_content=False, request_url=CONTEXT)
        return self.build_response(request, raw)


with CachedSession(cache_name=sys.argv[1], backend="sqlite", expire_after=-1) as session:
    session.mount("https://", Shipped())
    session.get(CONTEXT).raise_for_status()
