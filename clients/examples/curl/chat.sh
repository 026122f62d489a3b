#!/bin/sh
# Streams a chat. A stream of the Connect protocol is a row of envelopes: one byte of flags, four bytes of length (big endian),
# then the JSON. curl neither writes nor reads those, so printf and perl do. For more than a look, grpcurl is the better tool.
#
#   sh chat.sh [ADDRESS] [MODEL]
address=${1:-127.0.0.1:50051}
model=${2:-llama3.2:1b}
body="{\"model\": \"$model\", \"messages\": [{\"role\": \"user\", \"content\": \"Say hello.\"}]}"

# The length in bytes, not characters, as four octal escapes.
length=$(printf %s "$body" | wc -c)
prefix=$(printf '\\000\\%03o\\%03o\\%03o\\%03o' $((length >> 24)) $((length >> 16 & 255)) $((length >> 8 & 255)) $((length & 255)))

# One line for each message as it comes. The last one, with flag 2, is the end: its `error`, if there is one, and the trailers.
read_envelopes='$| = 1; while (read(STDIN, $head, 5) == 5) { read STDIN, $json, (unpack "CN", $head)[1]; print "$json\n" }'

{
  printf "$prefix"
  printf %s "$body"
} | {
  curl --silent --show-error --no-buffer --header 'content-type: application/connect+json' --data-binary @- \
    "http://$address/drover.inference.v1.InferenceService/Chat" ||
    echo "No router answers at $address. Start one with: npm start" >&2
} | perl -e "$read_envelopes"
