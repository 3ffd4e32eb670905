#!/usr/bin/env bash
# Runs every test. Needs what scripts/setup.sh installs.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '==> %s\n' "$*"; }

say "Building the tests"
cargo build --locked -p keyward
say "Running the tests"
cargo nextest run --locked --workspace
say "Documentation examples"
cargo test --locked --workspace --doc --quiet
say "Fuzz targets, a smoke run of each"
scripts/fuzz.sh
say "All tests passed"
