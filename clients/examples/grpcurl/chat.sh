#!/bin/sh
# Streams a chat with grpcurl, which learns the methods from the router (gRPC reflection): no .proto files are needed.
#
#   sh chat.sh [ADDRESS] [MODEL]
address=${1:-127.0.0.1:50051}
model=${2:-llama3.2:1b}

# One JSON object for each message: `chunk` with some text, `progress` while nothing comes, `done` at the end.
# -max-time is the deadline; a caller that ends earlier (Ctrl-C) frees the node at once.
grpcurl -plaintext -connect-timeout 2 -max-time 60 \
  -d "{\"model\": \"$model\", \"messages\": [{\"role\": \"user\", \"content\": \"Say hello.\"}]}" \
  "$address" drover.inference.v1.InferenceService/Chat
status=$?

# grpcurl ends with 64 and the gRPC status for what the router answered, and with 1 where it met nobody.
if [ $status -eq 1 ]; then echo "No router answers at $address. Start one with: npm start" >&2; fi
exit $status
