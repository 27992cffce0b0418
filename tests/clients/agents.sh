#!/usr/bin/env bash
# Sets up and installs the program as a person does, and has the real agents say that they are connected to it. No model is
# needed: the agents have none that answers.
#
#   agents.sh DIR    DIR holds molecule-mcp and standin; one line a check; ends with "N passed, N failed, N skipped"
set -uo pipefail

directory=$(cd "${1:?usage: agents.sh DIR, the directory with molecule-mcp and standin}" && pwd)
agents="${XDG_CACHE_HOME:-$HOME/.cache}/molecule-mcp/agents"
# The versions that the documents speak of.
versions=("@anthropic-ai/claude-code@2.1.332" "@openai/codex@0.171.0" "@google/gemini-cli@0.61.0")

for program in "$directory/molecule-mcp" "$directory/standin"; do
    [ -x "$program" ] || { echo "$program is missing: cargo build -p molecule-mcp -p standin" >&2; exit 1; }
done

# One after the other: where one cannot be installed, the others can.
mkdir -p "$agents"
for version in "${versions[@]}"; do
    [ -e "$agents/${version//\//-}" ] && continue
    npm install --prefix "$agents" --silent --no-audit --no-fund "$version" && touch "$agents/${version//\//-}"
done

scratch=$(mktemp -d)
home="$scratch/home"
mkdir -p "$home/work"
"$directory/standin" --demo >"$scratch/environment" 2>"$scratch/standin.log" &
standin=$!
trap 'kill "$standin" 2>/dev/null; wait "$standin" 2>/dev/null; rm -rf "$scratch"' EXIT
for _ in $(seq 200); do
    grep -q POLL_PEER_ID "$scratch/environment" && break
    kill -0 "$standin" 2>/dev/null || { cat "$scratch/standin.log" >&2; exit 1; }
    sleep 0.05
done
# shellcheck source=/dev/null
. "$scratch/environment"

person() { # person SECONDS COMMAND...: in a home of its own, without any variable of this one
    local seconds=$1
    shift
    (cd "$home/work" && timeout "$seconds" env -i HOME="$home" LANG=C.UTF-8 TERM=dumb \
        PATH="$agents/node_modules/.bin:$(dirname "$(command -v node)"):/usr/bin:/bin" \
        ANTHROPIC_API_KEY=none OPENAI_API_KEY=none GEMINI_API_KEY=none ANTHROPIC_BASE_URL=http://127.0.0.1:9 "$@" \
        >"$scratch/out" 2>&1)
}

passed=0 failed=0 skipped=0
ok() { echo "ok    $1"; passed=$((passed + 1)); }
fail() { echo "FAIL  $1"; sed 's/^/      /' "$scratch/out" | tail -40; failed=$((failed + 1)); }
check() { if "${@:2}"; then ok "$1"; else fail "$1"; fi; }

agent() { # agent PROGRAM CLIENT: installs into it, or says that it is not there
    if [ ! -x "$agents/node_modules/.bin/$1" ]; then
        echo "skip  $1: npm could not install it"
        skipped=$((skipped + 1))
        return 1
    fi
    check "$1: install" person 60 "$directory/molecule-mcp" install "$2" --yes --allow-tools
}

connected() { person 90 "$@"; grep -Eq 'molecule: .*Connected' "$scratch/out"; }

registered() { # Codex connects in a session alone: what the platform gave at register is on disk then.
    local secret="$home/.molecule-workspace/.platform_inbound_secret" codex
    person 60 codex exec --skip-git-repo-check hello &
    codex=$!
    for _ in $(seq 300); do
        [ -s "$secret" ] && break
        kill -0 "$codex" 2>/dev/null || break
        sleep 0.1
    done
    kill "$codex" 2>/dev/null
    wait "$codex" 2>/dev/null
    [ -s "$secret" ]
}

set_up() {
    printf '%s' "$MOLECULE_WORKSPACE_TOKEN" | person 60 "$directory/molecule-mcp" setup \
        --platform-url "$PLATFORM_URL" --workspace-id "$WORKSPACE_ID" --token-stdin --no-install
}

removed() { person 60 "$directory/molecule-mcp" uninstall --yes && ! grep -rqs molecule "$home"/.claude.json "$home"/.codex/config.toml "$home"/.gemini/settings.json; }

check "setup" set_up
agent claude claude-code && check "claude: connected" connected claude mcp list
if agent gemini gemini; then
    # What a person answers when it asks.
    echo "{\"$home/work\": \"TRUST_FOLDER\"}" >"$home/.gemini/trustedFolders.json"
    check "gemini: connected" connected gemini mcp list
fi
agent codex codex && check "codex: the server has registered" registered
check "uninstall" removed

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
