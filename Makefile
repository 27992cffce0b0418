# Every verb of the project. `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help setup toolchain build docs components crate packages demo test clients wake simulate kill9 fuzz bench fleet lint fmt deny check clean

export RUST_BACKTRACE ?= 1
# A test that fails with an error says why; where the error was made is noise.
export RUST_LIB_BACKTRACE ?= 0

# Seconds for each target of `make fuzz`.
FUZZ_SECS ?= 600

TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)

# Demo and tests build the same packages in the same profile, so that one build serves both. Cargo chooses the
# features of a dependency by the packages it builds: another choice of them would compile most of it again.
# The bare server is for the bench alone.
PACKAGES := --locked --workspace --exclude bare-server

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what the project needs beside rustup, python3 and node
	@tests/setup.sh

toolchain:
	@tests/setup.sh toolchain

build: toolchain ## the release binary
	cargo build --release --locked -p molecule-mcp
	@echo "built $(TARGET)/release/molecule-mcp"

components: toolchain ## the tools as WebAssembly components for other hosts (ARGS=--accept takes their interfaces for right)
	cargo run --locked -q -p molecule-packaging -- $(TARGET) $(ARGS)

crate: toolchain ## the library as a crate that builds without this repository
	cargo build $(PACKAGES)
	install -m 644 $(TARGET)/component/wasm32-wasip2/release/molecule_component.wasm host/runtime/component.wasm
	cargo package --locked --allow-dirty -p molecule-journal -p molecule-runtime
	@ls -1 $(TARGET)/package/*.crate

packages: toolchain ## the packages for Python and Node
	tests/setup.sh languages
	cargo build $(PACKAGES)
	tests/languages/packages.sh $(TARGET)
	@ls -1 $(TARGET)/packages/*.whl $(TARGET)/packages/*.tgz

demo: toolchain ## watch a message travel from the canvas to an agent and back
	cargo build $(PACKAGES)
	$(TARGET)/debug/demo $(TARGET)/debug

test: setup ## every test: units, stories, real processes, real MCP clients, each language
	cargo build $(PACKAGES)
	rm -rf $(TARGET)/transcripts
	MOLECULE_TRANSCRIPTS=$(TARGET)/transcripts cargo test $(PACKAGES)
	tests/clients/run.sh $(TARGET)/debug
	$(TARGET)/debug/package-components $(TARGET)
	tests/hosts/run.sh $(TARGET)/debug $(TARGET)/components
	tests/languages/run.sh $(TARGET)/debug

wake: toolchain ## wake real clients in terminals of their own: Claude Code and Codex from npm, with a pretend model
	cargo build --locked -p molecule-mcp -p standin
	tests/clients/wake/run.sh $(TARGET)/debug

clients: setup ## set up, install into real Claude Code, Codex and Gemini CLI, and see them connect
	cargo build $(PACKAGES)
	tests/clients/agents.sh $(TARGET)/debug

simulate: toolchain ## live the lives of many seeds (SEEDS=1000), tell that of one (SEED=7), or ARGS=--cuts, ARGS="--harms 1"
	cargo run --release --locked -q -p molecule-tests --bin simulate -- $(or $(ARGS),$(if $(SEED),--seed $(SEED),--count $(or $(SEEDS),1000)))

kill9: toolchain ## kill the real binary 1,000 times while 10,000 messages flow, and the leader of two 50 times
	cargo build --release --locked -p molecule-mcp
	cargo build $(PACKAGES)
	$(TARGET)/debug/kill9 $(TARGET)/release

bench: toolchain ## speed and memory beside a bare MCP server, against the budgets
	cargo build --release --locked -p molecule-mcp -p standin -p bare-server
	cargo build $(PACKAGES)
	$(TARGET)/debug/bench $(TARGET)/release --write docs/benchmarks.md
	tests/setup.sh languages
	tests/languages/run.sh $(TARGET)/debug bench

fleet: toolchain ## many workspaces in one process (WORKSPACES=1000) for some time (SECS=900), against the budgets
	cargo build --release --locked -p molecule-mcp -p standin
	cargo build $(PACKAGES)
	$(TARGET)/debug/bench $(TARGET)/release --fleet $(or $(WORKSPACES),1000) $(or $(SECS),900)

fuzz: toolchain ## bytes that nobody meant, FUZZ_SECS (600) seconds for each target
	command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	for target in journal activity; do \
		mkdir -p $(TARGET)/fuzz-corpus/$$target && \
		cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none $$target $(TARGET)/fuzz-corpus/$$target \
			tests/fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECS) -timeout=10 -rss_limit_mb=2048 || exit 1; \
	done

lint: ## clippy with the project's rules, and the format
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked -p molecule-component -p molecule-plugin -p molecule-program -p molecule-serve --target wasm32-wasip2 -- -D warnings

fmt: ## put every file into the project's format
	cargo fmt --all

deny: ## licences, sources and banned crates
	@tests/setup.sh toolchain deny
	cargo fetch --locked
	cargo deny --offline --log-level error check bans licenses sources

check: lint deny test ## what CI runs

docs: ## the book of docs/, in docs/book
	@tests/setup.sh docs
	mdbook build docs

clean: ## remove everything that was built
	cargo clean
	rm -rf tests/clients/node_modules
