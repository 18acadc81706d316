# Covey: what people and CI run. Every goal does its own set-up first (scripts/setup.sh), which takes
# no time when everything is there. Extra arguments go in ARGS: make run ARGS="--name Ada".

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# A Rust that was just installed is not in the PATH of the shell that called make.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

# CI refuses a Cargo.lock that does not fit; at home cargo mends it.
LOCKED := $(if $(filter true,$(CI)),--locked)
COVEY := $(or $(CARGO_TARGET_DIR),target)/release/covey

.PHONY: help run demo build web openapi test bench fixtures lint format clippy tidy deny setup-build setup-test setup-lint

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build, then start a node in the foreground (Ctrl-C stops it)
	@exec $(COVEY) up $(ARGS)

demo: build ## build, then watch three nodes on this machine pair and sync
	@exec $(COVEY) demo $(ARGS)

test: setup-test web ## run the tests
	@scripts/test.sh $(ARGS)

bench: build ## measure, print a table, write target/bench/report.json
	@cargo build --release $(LOCKED) --manifest-path bench/rivals/Cargo.toml \
		--target-dir $(or $(CARGO_TARGET_DIR),target)
	@cargo build --release $(LOCKED) --package covey-sim
	@exec cargo run --release $(LOCKED) --package covey-bench -- $(ARGS)

fixtures: ## make the fixtures that are missing, and the seeds of the fuzz targets anew
	@cargo run --quiet $(LOCKED) --package covey-fuzz -- fixtures
	@cargo run --quiet $(LOCKED) --package covey-fuzz -- seeds

openapi: ## make docs/protocol/openapi.json and the types of the TypeScript client anew
	@document=$$(mktemp) && cargo run --quiet $(LOCKED) --package covey-api --example openapi > $$document \
		&& cat $$document > docs/protocol/openapi.json && rm $$document
	@cd web && npm run --silent schema

lint: setup-lint format clippy tidy deny ## check format, clippy, the repository's rules, licences

web: setup-build ## build the web app, which the node's build takes into the binary
	@scripts/web.sh

build: setup-build web ## build the release binary
	@cargo build --release $(LOCKED) --package covey

# The single checks that `make lint` and .ci/run are made of.

format:
	@cargo fmt --all --check

clippy:
	@cargo clippy --workspace --all-targets $(LOCKED) -- -D warnings

tidy:
	@cargo xtask tidy

deny:
	@scripts/deny.sh

setup-build setup-test setup-lint: setup-%:
	@scripts/setup.sh $*
