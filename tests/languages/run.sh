#!/usr/bin/env bash
# Tests the runtime of each language, with the packages that users install, against the stand-in in DIR.
#
#   run.sh DIR        ends with "N passed, N failed" of the scenarios
#   run.sh DIR bench  measures a start and a local call of Python and Node instead
set -euo pipefail

directory=$(cd "${1:?usage: run.sh DIR, the directory with standin and agent}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/molecule-mcp/languages"
"$here/packages.sh" "$(dirname "$directory")"

# A fresh environment, so that nothing but the package is there.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp -r "$cache" "$scratch/python"
export PYTHON="$scratch/python/bin/python"
wheel=$(ls -t "$(dirname "$directory")"/packages/molecule_runtime-*.whl | head -1)
"$PYTHON" -m pip install --quiet --disable-pip-version-check --no-deps --no-index --target "$scratch/site" "$wheel"
export PYTHONPATH="$scratch/site"

npm install --silent --no-audit --no-fund --prefix "$scratch" "$(ls -t "$(dirname "$directory")"/packages/molecule-runtime-*.tgz | head -1)"
installed="$scratch/node_modules/molecule-runtime"
cp "$here/agents/agent.mjs" "$scratch/agent.mjs"
export NODE_AGENT="$scratch/agent.mjs"
if [ "${2:-}" = bench ]; then
    "$PYTHON" "$here/bench.py" "$directory" "$installed"
    exit
fi

echo "python: types"
"$PYTHON" -m mypy --strict --no-error-summary --cache-dir "$scratch/mypy" "$here/../../host/python/src/molecule_runtime"
echo "python: units"
(cd "$here/../../host/python" && "$PYTHON" -W error::RuntimeWarning -m unittest discover --start-directory tests)
echo "python: the first example of its README"
"$PYTHON" "$here/readme.py" "$directory" "$here/../../host/python/README.md" "$PYTHON"

echo "node: units"
(cd "$here/../../host/node" && node --test --test-reporter=dot test/)
echo "node: the first example of its README"
EXAMPLE_DIR="$scratch" "$here/readme.py" "$directory" "$here/../../host/node/README.md" node

transcripts="$(dirname "$directory")/transcripts"
[ -d "$transcripts" ] || { echo "the transcripts are missing: MOLECULE_TRANSCRIPTS=$transcripts cargo test --test stories" >&2; exit 1; }
echo "python: the stories, told again"
"$PYTHON" "$here/replay.py" "$transcripts"
echo "node: the stories, told again"
node "$here/replay.mjs" "$transcripts" "$installed"

"$PYTHON" "$here/scenarios.py" "$directory" rust python node
