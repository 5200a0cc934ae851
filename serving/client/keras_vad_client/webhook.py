"""Events posted to an address on the web, by a thread of its own so that a slow one never stops the scoring."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from keras_vad_client.errors import VadClientError
from keras_vad_client.video import masked


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves a redirect an error: to follow it, urllib would turn the event into a question without content."""

    def redirect_request(self, *arguments: Any) -> None:
        """Nothing is asked instead."""


_OPENER = urllib.request.build_opener(_NoRedirect)


class Webhook:
    """Posts JSON, in order; what cannot be delivered is dropped, and said.

    Args:
        url: ``http://`` or ``https://`` address.
        say: Called with a sentence for every event that is dropped.
        capacity: Events that may wait; further ones are dropped.
        attempts: Times that one event is sent before it is dropped. Repeated are what may pass: no connection, and the
            answers 408, 429 and 5xx.
        timeout: Seconds to wait for one answer.
        first_wait: Seconds before the second attempt; doubled before each further one.

    Raises:
        VadClientError: If the address is none.
    """

    def __init__(
        self,
        url: str,
        say: Callable[[str], None],
        *,
        capacity: int = 1000,
        attempts: int = 5,
        timeout: float = 10.0,
        first_wait: float = 0.5,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise VadClientError(
                f"the webhook is {url!r}, but must be an address that starts with http:// or https://."
            )
        self._url = url
        self._say = say
        self._attempts = attempts
        self._timeout = timeout
        self._first_wait = first_wait
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(capacity)
        self._stopped = threading.Event()
        # A daemon, so that an address that does not answer cannot keep the program from ending.
        self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)
        self._thread.start()

    def post(self, event: dict[str, Any]) -> None:
        """Have an event delivered; never waits."""
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self._dropped(event, f"{self._queue.maxsize} events wait already")

    def close(self, timeout: float = 30.0) -> None:
        """Deliver what waits, for at most ``timeout`` seconds, and say what was not delivered."""
        end = time.monotonic() + timeout
        with contextlib.suppress(queue.Full):  # then the rest is dropped below
            self._queue.put(None, timeout=timeout)
        self._thread.join(max(0.0, end - time.monotonic()))
        self._stopped.set()
        while True:
            try:
                event = self._queue.get_nowait()
            except queue.Empty:
                return
            if event is not None:
                self._dropped(event, f"it was not taken within {timeout:g} s after the end")

    def _work(self) -> None:
        while not self._stopped.is_set():
            event = self._queue.get()
            if event is None:
                return
            reason = self._deliver(event)
            if reason is not None:
                self._dropped(event, reason)

    def _deliver(self, event: dict[str, Any]) -> str | None:
        """Why the event was not taken; ``None`` if it was."""
        body = json.dumps(event).encode()
        wait = self._first_wait
        for attempt in range(1, self._attempts + 1):
            request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"}, method="POST")
            try:
                with _OPENER.open(request, timeout=self._timeout):
                    return None
            except urllib.error.HTTPError as error:
                reason = f"it answers {error.code} {error.reason}"
                passes = error.code in (408, 429) or error.code >= 500
                error.close()
            except (OSError, ValueError) as error:  # no connection, no answer in time, or none of HTTP
                reason, passes = f"it does not answer ({getattr(error, 'reason', error)})", True
            except Exception as error:  # http.client's errors derive from Exception alone
                reason, passes = f"it does not speak HTTP ({error!r})", True
            if not passes or attempt == self._attempts or self._stopped.wait(wait):
                return reason
            wait *= 2
        return None

    def _dropped(self, event: dict[str, Any], reason: str) -> None:
        which = " ".join(str(event[key]) for key in ("state", "number") if key in event)
        self._say(
            f"warning: an event ({which}) was dropped, as the webhook {masked(self._url)} did not take it: {reason}."
        )
