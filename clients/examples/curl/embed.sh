#!/bin/sh
# Turns two texts into vectors. Errors are JSON too: `code` is the gRPC status, `details` say the reason.
#
#   sh embed.sh [ADDRESS] [MODEL]
address=${1:-127.0.0.1:50051}
model=${2:-nomic-embed-text}

# connect-timeout-ms is the caller's deadline: it holds at every hop, down to Ollama.
curl --silent --show-error \
  --header 'content-type: application/json' --header 'connect-timeout-ms: 60000' \
  --data "{\"model\": \"$model\", \"input\": [\"a sheep\", \"a herd of sheep\"]}" \
  "http://$address/drover.inference.v1.InferenceService/Embed" || {
  echo "No router answers at $address. Start one with: npm start" >&2
  exit 1
}
echo
