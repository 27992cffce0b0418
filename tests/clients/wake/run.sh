#!/usr/bin/env bash
# Runs real clients, each in a terminal of its own and with a pretend model, and sees whether messages wake them.
#
#   run.sh DIR [CHECK...]   DIR holds molecule-mcp and the stand-in; CHECK is claude, codex, two, gone, bypass or flood
#
# The clients come from npm into the cache of the user; where they cannot be installed, that is said, and nothing fails.
set -uo pipefail

claude=2.1.332
codex=0.171.0
directory=$(cd "${1:?usage: run.sh DIR [CHECK...], the directory with molecule-mcp and standin}" && pwd)
shift
cd "$(dirname "$0")"
programs="${MOLECULE_CLIENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/molecule-mcp/wake/node_modules/.bin}"

has() { [ "$("$programs/$1" --version 2>/dev/null | grep -o '[0-9][0-9.]*' | head -1)" = "$2" ]; }

if ! has claude "$claude" || ! has codex "$codex"; then
    prefix=${programs%/node_modules/.bin}
    mkdir -p "$prefix"
    npm install --prefix "$prefix" --no-audit --no-fund \
        "@anthropic-ai/claude-code@$claude" "@openai/codex@$codex" >"$prefix/npm.log" 2>&1
    # npm runs no script of a package unless it is told to.
    (cd "$prefix/node_modules/@anthropic-ai/claude-code" 2>/dev/null && node install.cjs >/dev/null 2>&1)
fi
for client in "claude $claude" "codex $codex"; do
    # shellcheck disable=SC2086
    has $client || { echo "skipped: $client cannot be installed on this machine"; exit 0; }
done
python3 wake.py "$directory" "$programs" "$@"
