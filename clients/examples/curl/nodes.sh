#!/bin/sh
# Lists the nodes of the fleet: who takes work, which models they have, how busy they are.
#
#   sh nodes.sh [ADDRESS]
address=${1:-127.0.0.1:50051}

curl --silent --show-error --header 'content-type: application/json' --data '{}' \
  "http://$address/drover.router.v1.RouterService/ListNodes" || {
  echo "No router answers at $address. Start one with: npm start" >&2
  exit 1
}
echo
