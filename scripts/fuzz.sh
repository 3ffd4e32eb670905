#!/usr/bin/env bash
# Builds the fuzz targets with coverage feedback on the stable compiler and runs each for FUZZ_SECONDS (default 10).
# Arguments: names of targets; all when none is given.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
seconds=${FUZZ_SECONDS:-10}
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for file in fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi
host=$(rustc -vV | sed -n 's/^host: //p')
# The host is named so that build scripts and macros are compiled without the coverage flags.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1"
cargo build --locked --release --target "$host" --quiet
built=${CARGO_TARGET_DIR:-target}/$host/release
for target in "${targets[@]}"; do
    printf '==> fuzz %s for %s s\n' "$target" "$seconds"
    mkdir -p "corpus/$target" "artifacts/$target"
    "$built/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" -max_total_time="$seconds" \
        -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 2>&1 |
        { grep -E 'ERROR|panicked|SUMMARY|stat::number_of_executed_units|Test unit written' || true; }
    # grep hides the status of the fuzzer: an artifact is what tells of a failure.
    if [ -n "$(ls -A "artifacts/$target")" ]; then
        echo "fuzz $target failed: see fuzz/artifacts/$target" >&2
        exit 1
    fi
done
