#!/usr/bin/env bash
# Everything that can be found without running the product, fastest first.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '==> %s\n' "$*"; }

say "Formatting"
cargo fmt --all -- --check
say "Walls between the rooms"
cargo run --quiet --locked -p xtask -- walls
say "Lock files"
cargo tree --locked --quiet >/dev/null
cargo tree --locked --quiet --manifest-path fuzz/Cargo.toml >/dev/null
cargo tree --locked --quiet --manifest-path bench/Cargo.toml >/dev/null
say "Clippy"
cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
say "Documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items --quiet
if command -v cargo-deny >/dev/null 2>&1; then
    say "Dependencies: licences, sources, bans"
    cargo deny --offline check licenses bans sources
else
    say "Dependencies: cargo-deny is not installed; skipped (install it with: cargo install --locked cargo-deny)"
fi
say "Lint: all good"
