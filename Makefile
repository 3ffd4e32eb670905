# Thin by intent: each target is one line into cargo or a script. `make help` lists them.
SHELL := /bin/bash
CARGO ?= cargo
.DEFAULT_GOAL := help

.PHONY: help run test test-rust lint fmt bench release fuzz setup clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what building and testing need (Debian, Ubuntu; elsewhere it says what is missing)
	@scripts/setup.sh all

run: ## Build Keyward and start it with a sandbox provider; prints a command to try
	@scripts/setup.sh build
	@echo "==> Building (the first time takes a few minutes)"
	$(CARGO) build --locked -p keyward
	@echo "==> Starting; Ctrl-C stops it"
	@exec $${CARGO_TARGET_DIR:-target}/debug/keyward serve --demo

test: ## Run every test: Rust, both databases, real SDKs, fuzz targets
	@scripts/setup.sh all
	@scripts/test.sh

lint: ## Formatting, clippy, documentation, walls and tidiness
	@scripts/lint.sh

fmt: ## Format the code
	$(CARGO) fmt --all

fuzz: ## Build the fuzz targets and run each for FUZZ_SECONDS (default 10)
	@scripts/fuzz.sh

bench: ## Measure the gateway against a bare proxy, the scanner against rg; BENCH="c1 tree" or BENCH=--help
	@scripts/setup.sh build
	@scripts/bench.sh $(BENCH)

release: ## Build the optimised binary: target/release/keyward
	@scripts/setup.sh build
	$(CARGO) build --locked --release -p keyward

clean: ## Remove what was built and installed inside the project
	rm -rf target .cache fuzz/target bench/target
