#!/usr/bin/env bash
# Lets schemathesis (PyPI: schemathesis, msgpack) try the server by its own description:
#
#     cargo build --release --features full
#     tests/server/schemathesis.sh target/release/badbatch [EXAMPLES]
#
# Streams do not end and a shutdown does, so both are left out; tests/server/streams.rs and program.rs have them.
set -euo pipefail
program=${1:?usage: schemathesis.sh PROGRAM [EXAMPLES]}
examples=${2:-50}
hooks=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mktemp -d)
trap 'kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT

"$program" server --bind 127.0.0.1:0 --data-dir "$folder/data" --log-level error >"$folder/greeting" &
server=$!
until grep -q Ctrl-C "$folder/greeting"; do
    kill -0 "$server"
    sleep 0.1
done
address=$(sed -n 's,.*API *\(http://[^/]*\)/.*,\1,p' "$folder/greeting")

cd "$folder"
PYTHONPATH=$hooks SCHEMATHESIS_HOOKS=schemathesis_hooks schemathesis run "$address/openapi.json" \
    --max-examples "$examples" --request-timeout 20 --generation-database none --suppress-health-check all \
    --exclude-operation-id shut_down --exclude-operation-id stream --exclude-operation-id stream_events
kill -0 "$server"
