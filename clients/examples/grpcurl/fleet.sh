#!/bin/sh
# Looks at the fleet with grpcurl: the services, the models, and where the next call for a model would go and why.
#
#   sh fleet.sh [ADDRESS] [MODEL]
address=${1:-127.0.0.1:50051}
model=${2:-llama3.2:1b}

if ! grpcurl -plaintext -connect-timeout 2 "$address" list; then
  echo "No router answers at $address. Start one with: npm start" >&2
  exit 1
fi
grpcurl -plaintext "$address" drover.router.v1.RouterService/ListModels
# SelectNode is a dry run: nothing is sent to any node.
grpcurl -plaintext -d "{\"model\": \"$model\"}" "$address" drover.router.v1.RouterService/SelectNode
