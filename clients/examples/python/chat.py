"""Streams a chat from Python. The messages come from the router itself (gRPC reflection), so no code is generated.

    pip install grpcio grpcio-reflection
    python chat.py [ADDRESS] [MODEL]
"""
import sys

import grpc
from router import Router

address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"
model = sys.argv[2] if len(sys.argv) > 2 else "llama3.2:1b"

router = Router(address)
stream = router.stream(
    "drover.inference.v1.InferenceService/Chat",
    {"model": model, "messages": [{"role": "user", "content": "Say hello."}]},
    # Metadata of the call: calls of one session prefer the node that served the last one.
    metadata=[("drover-session", "python-example")],
)
try:
    for message in stream:
        kind = message.WhichOneof("event")
        if kind == "progress":
            # Said when nothing came for 2 s: the call waits, or its model is loaded.
            print(f"({message.progress.WhichOneof('kind')})", file=sys.stderr)
            continue
        # The last message may carry text too.
        print(getattr(message, kind).message.content, end="", flush=True)
        if kind == "done":
            completion = message.done.completion
            print(f"\n{completion.eval_count} tokens from {completion.node}")
except grpc.RpcError as error:
    sys.exit(f"{error.code().name} ({router.reason_of(error)}): {error.details()}")
