"""Python's C-core as a door: reads one call per line as JSON, makes it by reflection, writes one line with what came of it."""
import base64
import json
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

known = {}


def connection(address):
    if address not in known:
        channel = grpc.insecure_channel(address)
        known[address] = channel, DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    return known[address]


def make(call):
    channel, pool = connection(call["address"])
    method = pool.FindMethodByName(call["path"].replace("/", "."))
    request = ParseDict(call["request"], GetMessageClass(method.input_type)())
    codec = {
        "request_serializer": lambda message: message.SerializeToString(),
        "response_deserializer": GetMessageClass(method.output_type).FromString,
    }
    path, take, messages = "/" + call["path"], call.get("take"), []
    try:
        if call["kind"] == "unary":
            running = channel.unary_unary(path, **codec).future(request, timeout=20)
            messages.append(running.result())
        else:
            is_bidi = call["kind"] == "bidi_streaming"
            streaming = channel.stream_stream if is_bidi else channel.unary_stream
            running = streaming(path, **codec)(iter([request]) if is_bidi else request, timeout=20)
            for message in running:
                messages.append(message)
                if len(messages) == take:
                    running.cancel()
                    return answer(messages, "ok")
    except grpc.RpcError:
        pass
    trailers = dict(running.trailing_metadata() or ())
    return answer(messages, running.code().name.lower(), running.details(), trailers.get("grpc-status-details-bin", b""))


def answer(messages, code, details="", status=b""):
    shown = [MessageToDict(message) for message in messages]
    return {"messages": shown, "code": code, "message": details, "status": base64.b64encode(status).decode()}


for line in sys.stdin:
    print(json.dumps(make(json.loads(line))), flush=True)
