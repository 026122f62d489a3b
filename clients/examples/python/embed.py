"""Turns texts into vectors from Python and compares them.

    pip install grpcio grpcio-reflection
    python embed.py [ADDRESS] [MODEL]
"""
import sys

import grpc
from router import Router

address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"
model = sys.argv[2] if len(sys.argv) > 2 else "nomic-embed-text"
texts = ["a sheep", "a herd of sheep", "a tax return"]

router = Router(address)
try:
    response = router.unary("drover.inference.v1.InferenceService/Embed", {"model": model, "input": texts})
except grpc.RpcError as error:
    sys.exit(f"{error.code().name} ({router.reason_of(error)}): {error.details()}")

first, *others = [embedding.values for embedding in response.embeddings]
for text, vector in zip(texts[1:], others):
    # The vectors have length 1, so their product is the cosine.
    print(f"{texts[0]} ~ {text}: {sum(a * b for a, b in zip(first, vector)):.3f}")
