"""A stranger's client: gRPC's C-core through Python, knowing nothing but the port.

Learns the contract by reflection (v1alpha, what grpcio-reflection speaks), then chats and provokes errors. Prints one JSON
object with what it saw.
"""
import json
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICE = "drover.inference.v1.InferenceService"


def main(address, model):
    channel = grpc.insecure_channel(address)
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)
    request_type = GetMessageClass(pool.FindMessageTypeByName("drover.inference.v1.ChatRequest"))
    response_type = GetMessageClass(pool.FindMessageTypeByName("drover.inference.v1.ChatResponse"))
    chat = channel.unary_stream(
        f"/{SERVICE}/Chat",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=response_type.FromString,
    )

    def call(fields, timeout=60, compression=None):
        request = ParseDict(fields, request_type())
        stream = chat(request, timeout=timeout, compression=compression)
        text, kinds = "", []
        try:
            for message in stream:
                kind = message.WhichOneof("event")
                kinds.append(kind)
                if kind != "progress":
                    text += MessageToDict(getattr(message, kind)).get("message", {}).get("content", "")
        except grpc.RpcError:
            pass
        return {
            "code": stream.code().name,
            "details": stream.details(),
            "kinds": kinds,
            "text": text,
            "trailers": {key: value for key, value in stream.trailing_metadata() if isinstance(value, str)},
        }

    hello = {"model": model, "messages": [{"role": "user", "content": "Say hello."}]}
    short = {"options": {"numPredict": 12, "temperature": 0, "seed": 1}}
    print(
        json.dumps(
            {
                "services": sorted(database.get_services()),
                "health": health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status,
                "chat": call({**hello, **short}),
                "gzip": call({**hello, **short}, compression=grpc.Compression.Gzip),
                "unknown": call({**hello, "model": "nobody-has-this"}),
                # A small model on a fast machine says all it has to say within 400 ms.
                "late": call({**hello, "options": {"numPredict": 4000}}, timeout=0.05),
            }
        )
    )


main(*sys.argv[1:])
