#!/usr/bin/env bash
# Runs the fuzzers one after the other, each for so many seconds: fuzz/run.sh [seconds] [target ...]
#
# Needs what `test.sh` needs and a C++ compiler, for libFuzzer. `cargo fuzz run TARGET` works as well. What is found lies
# in fuzz/found, what covers something new in fuzz/corpus; both can be given to a later run.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-60}
shift || true
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || targets=(region codec arguments)

# What cargo-fuzz passes, without the tool: counters at each edge, comparisons traced, addresses checked.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
host=$(rustc --version --verbose | sed -n 's/^host: //p')
target_folder=${CARGO_TARGET_DIR:-target}
# What proc macros are built for is the host too, so a target has to be named for flags to be theirs alone.
cargo build --release --target "$host"

for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" "found/$target"
    printf '\n== %s, %d s\n' "$target" "$seconds"
    # 5 s for a lock that is held, and ten of those in one input. Leaks are for `test.sh --sanitizers`.
    "$target_folder/$host/release/$target" -max_total_time="$seconds" -timeout=60 -detect_leaks=0 -malloc_limit_mb=64 -max_len=120000 \
        -print_final_stats=1 -verbosity=1 -artifact_prefix="found/$target/" "corpus/$target" "seeds/$target" 2>&1 |
        grep -E 'INITED|DONE|ERROR|SUMMARY|panicked|stat::|Test unit' || true
    [ -z "$(ls -A "found/$target")" ]
done
