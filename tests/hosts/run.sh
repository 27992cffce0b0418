#!/usr/bin/env bash
# Runs the components for other hosts in real ones, against the stand-in in DIR.
#
#   run.sh DIR COMPONENTS [HOST...]      one line a check; ends with "N passed, N failed" and the hosts that were skipped
set -uo pipefail

directory=$(cd "${1:?usage: run.sh DIR COMPONENTS [HOST...]}" && pwd)
COMPONENTS=$(cd "${2:?usage: run.sh DIR COMPONENTS [HOST...]}" && pwd)
shift 2
cd "$(dirname "$0")"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/molecule-mcp/hosts"
python="$cache/python/bin/python"
[ -x "$directory/standin" ] || { echo "the stand-in is missing: cargo build -p standin" >&2; exit 1; }
[ -x "$python" ] && [ -d "$cache/node/node_modules" ] || { echo "the hosts are missing: make setup" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A platform of its own for each host: a new directory for state brings in what others have handled.
start() {
    "$directory/standin" --demo --set rate_limit=1000000 >"$scratch/environment" 2>"$scratch/standin.log" &
    standin=$!
    for _ in $(seq 200); do
        grep -q POLL_PEER_ID "$scratch/environment" && break
        kill -0 "$standin" 2>/dev/null || { cat "$scratch/standin.log" >&2; exit 1; }
        sleep 0.05
    done
    # shellcheck source=/dev/null
    . "$scratch/environment"
}

stop() {
    [ -n "$standin" ] && kill "$standin" 2>/dev/null && wait "$standin" 2>/dev/null
    standin=
}

cp "$COMPONENTS"/*.wasm "$scratch"
WASMTIME=$(echo "$cache"/python/lib/python3.*/site-packages/wasmtime_cli/wasmtime)
# Wassette as it is, or with the C library that `make setup` has found for it; a list of words as JSON.
wassette="$(echo "$cache"/python/lib/python3.*/site-packages/wassette_cli/wassette)" glibc="$cache/glibc/usr/lib/x86_64-linux-gnu"
WASSETTE=
if "$wassette" --version >/dev/null 2>&1; then
    WASSETTE="[\"$wassette\"]"
elif "$glibc/ld-linux-x86-64.so.2" --library-path "$glibc" "$wassette" --version >/dev/null 2>&1; then
    WASSETTE="[\"$glibc/ld-linux-x86-64.so.2\", \"--library-path\", \"$glibc\", \"$wassette\"]"
fi
export WASSETTE COMPONENTS="$scratch" PYTHONDONTWRITEBYTECODE=1 NODE_HOST="$cache/node" WASMTIME

checks() {
    standin=
    trap stop EXIT
    for host in "$@"; do
        if [ "$host" = wassette ] && [ -z "$WASSETTE" ]; then
            echo "skip  Wassette: its program does not run here, because it needs glibc 2.39"
            continue
        fi
        start
        "$python" plugin.py "$host"
        case "$?" in 0 | 3) ;; *) echo "FAIL  $host: the script broke off" ;; esac
        stop
    done
}

hosts=("$@")
[ "$#" -gt 0 ] || hosts=(wasmtime-py wasmtime jco wassette served)
checks "${hosts[@]}" | tee "$scratch/all"
[ "$#" -gt 0 ] || echo "skip  ACT and wash: nothing is tried there" >>"$scratch/all"
passed=$(grep -c '^ok ' "$scratch/all")
failed=$(grep -c '^FAIL ' "$scratch/all")
echo "$passed passed, $failed failed"
grep '^skip ' "$scratch/all"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
