"""Messages that are none."""

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError


class _Malformed:
    """Stands for a request that could not be parsed."""


class ParseErrors(grpc.ServerInterceptor):
    """Answers INTERNAL when a request cannot be parsed, as TensorFlow Serving; a stream takes it for an empty one.

    gRPC for Python (1.85) would answer so, too, but keep the call: after as many malformed messages as a connection
    may have streams, it would refuse all that follow.
    """

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """The method's handler, with a parser that does not fail."""
        handler = continuation(details)
        if handler is None:
            return None
        parse = handler.request_deserializer
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                _refusing(handler.unary_unary), _parser(parse, _Malformed), handler.response_serializer
            )
        parse_stream = _parser(parse, lambda: parse(b""))
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(handler.unary_stream, parse_stream, handler.response_serializer)
        return grpc.stream_stream_rpc_method_handler(handler.stream_stream, parse_stream, handler.response_serializer)


def _parser(parse: Callable[[bytes], Any], otherwise: Callable[[], Any]) -> Callable[[bytes], Any]:
    def deserialize(content: bytes) -> Any:
        try:
            return parse(content)
        except DecodeError:
            return otherwise()

    return deserialize


def _refusing(behavior: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        if isinstance(request, _Malformed):
            return context.abort(grpc.StatusCode.INTERNAL, "The request could not be parsed")
        return behavior(request, context)

    return answer
