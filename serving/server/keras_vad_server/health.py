"""Health of the server, by gRPC's health checking protocol."""

from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health


class HealthServicer(health.HealthServicer):
    """gRPC's own, kept from two faults by which watchers that leave would harm others (grpcio-health-checking 1.85).

    Its default sends answers while it holds its lock, and waits for the thread that serves everything to say that they
    are sent. If that thread has to tell it just then that another watcher has left, it waits for the lock, and the
    server never answers anything again. The other mode waits for no one, and takes a thread for each watcher.

    A watcher that leaves before it is registered would have its thread for ever.
    """

    def __init__(self) -> None:
        super().__init__(experimental_non_blocking=False)

    def Watch(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Answer now and whenever the health changes.

        Args:
            request: A ``HealthCheckRequest``.
            context: Of the call.

        Returns:
            An iterator over ``HealthCheckResponse``, which ends with the call.
        """
        return super().Watch(request, _AlsoIfItHasEnded(context))


class _AlsoIfItHasEnded:
    """A context that calls back at the end of the call, at once if that was before; all that ``Watch`` asks of one."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context

    def add_callback(self, callback: Callable[[], None]) -> None:
        if not self._context.add_callback(callback):
            callback()
