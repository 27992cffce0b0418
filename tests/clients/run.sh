#!/usr/bin/env bash
# Runs real MCP clients against the binary in DIR, which also holds the stand-in platform.
#
#   run.sh DIR      one line a check; ends with "N passed, N failed"
set -uo pipefail

directory=$(cd "${1:?usage: run.sh DIR, the directory with molecule-mcp and standin}" && pwd)
cd "$(dirname "$0")"
python="${XDG_CACHE_HOME:-$HOME/.cache}/molecule-mcp/clients/bin/python"

for program in "$directory/molecule-mcp" "$directory/standin"; do
    [ -x "$program" ] || { echo "$program is missing: cargo build -p molecule-mcp -p standin" >&2; exit 1; }
done
[ -x "$python" ] && [ -d node_modules ] || { echo "the clients are missing: make setup" >&2; exit 1; }

scratch=$(mktemp -d)
"$directory/standin" --demo >"$scratch/environment" 2>"$scratch/standin.log" &
standin=$!
trap 'kill "$standin" 2>/dev/null; wait "$standin" 2>/dev/null; rm -rf "$scratch"' EXIT
for _ in $(seq 200); do
    grep -q POLL_PEER_ID "$scratch/environment" && break
    kill -0 "$standin" 2>/dev/null || { cat "$scratch/standin.log" >&2; exit 1; }
    sleep 0.05
done
grep -q POLL_PEER_ID "$scratch/environment" || { echo "the stand-in does not start" >&2; exit 1; }
# shellcheck source=/dev/null
. "$scratch/environment"
export CONFIGS_DIR="$scratch/configs" MOLECULE_MCP="$directory/molecule-mcp"

# What the README tells its readers to give to a client, with the words of this platform in place of the examples.
configured() {
    printf '%s' "$MOLECULE_WORKSPACE_TOKEN" >"$scratch/token"
    chmod 600 "$scratch/token"
    "$python" - ../../README.md "$scratch/token" <<'EOF'
import json, os, re, sys

readme, token = sys.argv[1:]
config = json.loads(re.search(r"```json\n(.*?)```", open(readme).read(), re.S).group(1))
server = config["mcpServers"]["molecule"]
server["command"] = os.environ["MOLECULE_MCP"]
actual = {name: os.environ.get(name, token) for name in server["env"]}
assert set(actual) == {"PLATFORM_URL", "WORKSPACE_ID", "MOLECULE_WORKSPACE_TOKEN_FILE"}, actual
server["env"] = {**actual, "CONFIGS_DIR": os.environ["CONFIGS_DIR"]}
print(json.dumps(config))
EOF
}

inspector() { # inspector ERA EXPECTED NAME ARGUMENTS...: one check through the Inspector's command line
    local era=$1 expected=$2 name="inspector $1: $3"
    shift 3
    if timeout 60 node_modules/.bin/mcp-inspector --cli --config "$scratch/config.json" --server molecule \
        "$@" --protocol-era "$era" >"$scratch/out" 2>"$scratch/err" && grep -q "$expected" "$scratch/out"; then
        echo "ok    $name"
    else
        echo "FAIL  $name"
        sed 's/^/      /' "$scratch/out" "$scratch/err" | tail -40
    fi
}

everything() {
    configured >"$scratch/config.json"
    timeout 120 "$python" python_sdk.py || echo "FAIL  python: ended with $?"
    timeout 120 node typescript_sdk.js || echo "FAIL  typescript: ended with $?"
    for era in legacy modern; do
        inspector "$era" '"inbox_pop"' "the tools are portable" --method tools/list --strict --format json
        inspector "$era" "$ECHO_PEER_ID" "a tool is called" \
            --method tools/call --tool-name list_peers --format json
    done
}

everything 2>"$scratch/noise" | tee "$scratch/all"
passed=$(grep -c '^ok ' "$scratch/all")
failed=$(grep -c '^FAIL ' "$scratch/all")
[ "$failed" -eq 0 ] || { echo "what was said on standard error:"; tail -100 "$scratch/noise"; }
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
