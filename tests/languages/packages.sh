#!/usr/bin/env bash
# Makes the packages for other languages from the component that a build has left below TARGET.
#
#   packages.sh TARGET     leaves a wheel and an npm package in TARGET/packages
set -euo pipefail

target=$(cd "${1:?usage: packages.sh TARGET, the target directory of cargo}" && pwd)
cd "$(dirname "$0")/../.."
python="${XDG_CACHE_HOME:-$HOME/.cache}/molecule-mcp/languages/bin/python"
component="$target/component/wasm32-wasip2/release/molecule_component.wasm"
[ -f "$component" ] || { echo "packages: $component is missing: cargo build" >&2; exit 1; }
[ -x "$python" ] || { echo "packages: the tools are missing: tests/setup.sh languages" >&2; exit 1; }

mkdir -p "$target/packages"
install -m 644 "$component" host/python/src/molecule_runtime/component.wasm
"$python" -m build --no-isolation --wheel --outdir "$target/packages" host/python >"$target/packages/python.log" 2>&1 ||
    { cat "$target/packages/python.log" >&2; exit 1; }

node tests/languages/packages.mjs "$component" host/node/component
(cd host/node && npm pack --silent --pack-destination "$target/packages" >/dev/null)
