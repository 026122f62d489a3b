#!/bin/sh
# Asks whether the router serves. A unary call over the Connect protocol is a POST of JSON to /SERVICE/METHOD.
#
#   sh health.sh [ADDRESS]
address=${1:-127.0.0.1:50051}

curl --silent --show-error --header 'content-type: application/json' --data '{}' \
  "http://$address/grpc.health.v1.Health/Check" || {
  echo "No router answers at $address. Start one with: npm start" >&2
  exit 1
}
echo
