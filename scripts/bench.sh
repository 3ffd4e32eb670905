#!/usr/bin/env bash
# Builds the optimised binary and the bench, and runs it. Arguments: names of scenarios (idle c1 c64 c256 64k sse paced
# open tls); all when none is given.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --release -p keyward
cargo build --locked --release --manifest-path bench/Cargo.toml
ulimit -n 16384 2>/dev/null || true
exec bench/target/release/keyward-bench target/release/keyward "$@"
