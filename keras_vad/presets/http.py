"""A zoo folder on a web server; any server of static files will do.

requests does the work: proxies and certificates as its environment variables say (``HTTPS_PROXY``, ``NO_PROXY``,
``REQUESTS_CA_BUNDLE``), passwords from ``~/.netrc``, and patience with a server that is busy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from keras_vad.presets.store import CHUNK, Store, StoreError, TransferError, shown_address

_TIMEOUT = (10, 60)  # seconds to connect, and without a byte
_PATIENCE = Retry(
    total=4,
    backoff_factor=0.3,  # waits 0.6, 1.2, 2.4 seconds, or what the server asks for
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=("GET",),
    raise_on_status=False,
    retry_after_max=30,
)


class HttpStore(Store):
    """A zoo folder behind ``http://`` or ``https://``.

    Args:
        address: Of the folder.
    """

    def __init__(self, address: str) -> None:
        super().__init__(shown_address(address))
        self._address = address.rstrip("/")
        host = urlsplit(address).hostname or ""
        # No proxy leads back to this machine.
        self._proxies = {"no_proxy": host} if host in ("localhost", "::1") or host.startswith("127.") else None
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=_PATIENCE))

    @contextmanager
    def open(self, path: str, start: int = 0) -> Iterator[tuple[int, Iterator[bytes]]]:
        """See ``Store``."""
        headers = {"Accept-Encoding": "identity"}  # the bytes of the file, so that a part of them can be asked for
        if start:
            headers["Range"] = f"bytes={start}-"
        url = f"{self._address}/{quote(path)}"
        try:
            answer = self._session.get(url, headers=headers, stream=True, timeout=_TIMEOUT, proxies=self._proxies)
        except requests.RequestException as error:
            raise StoreError(f"{self.name} cannot be reached ({_reason(error)}).") from error
        with answer:
            if self._address.startswith("https://") and not answer.url.startswith("https://"):
                raise StoreError(f"{self.name} leads to {shown_address(answer.url)}, which is not encrypted.")
            if answer.status_code == 416:
                raise StoreError(f"{self.name} has only {start} bytes of {path}.")
            if answer.status_code not in (200, 206):
                raise StoreError(f"{self.name} answers {answer.status_code} {answer.reason} for {path}.")
            begin = start if answer.status_code == 206 else 0
            if begin and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                raise StoreError(f"{self.name} sends another part of {path} than it was asked for.")
            yield begin, _pieces(answer)


def _pieces(answer: requests.Response) -> Iterator[bytes]:
    try:  # not iter_content, which throws away what arrived since its last full piece when a transfer breaks off
        while piece := answer.raw.read1(CHUNK, decode_content=True):
            yield piece
    except (HTTPError, OSError) as error:
        raise TransferError(_reason(error)) from error


def _reason(error: BaseException) -> str:
    """What went wrong, without the objects that the libraries print around it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return " ".join(str(error).split())[:200] or type(error).__name__
