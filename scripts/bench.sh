#!/usr/bin/env bash
# Builds the optimised binary and the bench, and runs it. Arguments: names of scenarios, all when none is given; or
# --help, which lists them.
set -euo pipefail
cd "$(dirname "$0")/.."
product=${CARGO_TARGET_DIR:-target} bench=${CARGO_TARGET_DIR:-bench/target}
cargo build --locked --release --manifest-path bench/Cargo.toml
case " $* " in *" --help "*) exec "$bench/release/keyward-bench" --help ;; esac
cargo build --locked --release -p keyward
# A build of its own, so that what only examples need does not get into the binary that is measured.
case " ${*:-keys} " in *" keys "* | *" purses "*) cargo build --locked --release -p keyward-control --example seed ;; esac
exec "$bench/release/keyward-bench" "$product/release/keyward" "$@"
