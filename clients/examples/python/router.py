"""What the examples share: a channel to a router, and its methods by reflection.

With generated code instead (pip install grpcio-tools), this whole file is one command:

    python -m grpc_tools.protoc -I node_modules/@drover/proto --python_out=. --grpc_python_out=. \
        drover/inference/v1/inference.proto

and `inference_pb2_grpc.InferenceServiceStub(channel).Chat(request)` is the call.
"""
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

CONNECT_SECONDS = 2
DEADLINE_SECONDS = 60


class Router:
    def __init__(self, address):
        self._channel = grpc.insecure_channel(address)
        try:
            grpc.channel_ready_future(self._channel).result(timeout=CONNECT_SECONDS)
        except grpc.FutureTimeoutError:
            sys.exit(f"No router answers at {address}. Start one with: npm start")
        self._pool = DescriptorPool(ProtoReflectionDescriptorDatabase(self._channel))

    def unary(self, method, fields, metadata=()):
        """Calls `package.Service/Method` with a message made of `fields`, and returns the answer."""
        request, call = self._prepare(method, fields, self._channel.unary_unary)
        return call(request, timeout=DEADLINE_SECONDS, metadata=metadata)

    def stream(self, method, fields, metadata=()):
        """The same for a method that answers with a stream. Leaving it early: `stream.cancel()`, which frees the node."""
        request, call = self._prepare(method, fields, self._channel.unary_stream)
        return call(request, timeout=DEADLINE_SECONDS, metadata=metadata)

    def reason_of(self, error):
        """Why a call failed, such as MODEL_NOT_FOUND: for programs, while `error.details()` is for people."""
        details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        for detail in self._class("google.rpc.Status").FromString(details).details:
            if detail.type_url.endswith("/google.rpc.ErrorInfo"):
                return self._class("google.rpc.ErrorInfo").FromString(detail.value).reason
        return "no reason"

    def _prepare(self, method, fields, kind):
        described = self._pool.FindMethodByName(method.replace("/", "."))
        request = ParseDict(fields, GetMessageClass(described.input_type)())
        response_class = GetMessageClass(described.output_type)
        call = kind(
            f"/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response_class.FromString,
        )
        return request, call

    def _class(self, name):
        return GetMessageClass(self._pool.FindMessageTypeByName(name))
