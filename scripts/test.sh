#!/usr/bin/env bash
# Runs every test. Needs what scripts/setup.sh installs.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '==> %s\n' "$*"; }

say "Fuzz targets, a smoke run of each"
scripts/fuzz.sh
say "Building the product and its tests (the first time takes some minutes)"
cargo nextest run --locked --workspace --no-run
say "Running the tests"
cargo nextest run --locked --workspace
say "All tests passed"
