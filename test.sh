#!/usr/bin/env bash
# Checks everything: formatting, lints, documentation, tests, examples, benches, packages, other platforms, the demo.
#
# Needs Rust (https://rustup.rs, or the distribution's if it is new enough), a network or a filled cargo cache, and 64-bit
# Linux. On Debian and its like these packages are installed by apt-get, and only if they are missing:
#
#   gcc, libc6-dev   cc and the C library's files: rustc calls them to link, and LMDB is built for the comparison
#   procps           kill: some tests send signals by it
#   findutils        xargs: the README shows it, and what it shows is run
#   make, dash       locks are set and freed from a Makefile and from the plainest shell, too
#   git              whether the figures in the README are of an earlier commit is asked of it
#   util-linux, hostname   unshare: the command is tried from two hosts, each with a name of its own
#   openssl          certificates for the tests of TLS
#   etcd-server      etcd, which the tests of that driver start on ports of their own; no service is left running
#
# The comparison with others (benches/compare) also measures Redis where redis-server is installed; nothing here needs it.
#
# rustfmt, clippy and other targets' libraries are used where the toolchain has them; nothing is fetched from rustup. What
# was skipped for want of them is told in the last line.
#
# Everything takes less than 40 minutes on two cores. CARGO_TARGET_DIR, CARGO_BUILD_JOBS and the like work as usual.
set -euo pipefail
cd "$(dirname "$0")"

# With --sanitizers, only the tests that are worth it, built with AddressSanitizer and LeakSanitizer (some more minutes).
sanitizers=no
[ "${1:-}" != --sanitizers ] || sanitizers=yes

part=""
skipped=()
times=()
began=$SECONDS

# Says how long a part took, and which one failed.
finish() {
    local status=$?
    if [ "$status" -ne 0 ]; then
        printf '\nFAILED after %d s: %s (exit code %d)\n' "$((SECONDS - began))" "${part:-preparation}" "$status"
    fi
}
trap finish EXIT

run() {
    part=$1
    shift
    local start=$SECONDS
    printf '\n== %s\n' "$part"
    "$@"
    times+=("$(printf '%5d s  %s' "$((SECONDS - start))" "$part")")
}

skip() {
    printf '\n== %s: skipped, %s\n' "$1" "$2"
    skipped+=("$1 ($2)")
}

install_what_is_missing() {
    local packages=()
    command -v cc > /dev/null || packages+=(gcc libc6-dev)
    command -v kill > /dev/null && [ -n "$(type -P kill)" ] || packages+=(procps)
    command -v xargs > /dev/null || packages+=(findutils)
    command -v make > /dev/null || packages+=(make)
    command -v dash > /dev/null || packages+=(dash)
    command -v git > /dev/null || packages+=(git)
    command -v unshare > /dev/null || packages+=(util-linux)
    command -v hostname > /dev/null || packages+=(hostname)
    command -v openssl > /dev/null || packages+=(openssl)
    command -v etcd > /dev/null || packages+=(etcd-server)
    if [ "${#packages[@]}" -gt 0 ]; then
        local as_root=()
        [ "$(id -u)" -eq 0 ] || as_root=(sudo)
        if ! command -v apt-get > /dev/null || { [ "${#as_root[@]}" -gt 0 ] && ! command -v sudo > /dev/null; }; then
            echo "missing: ${packages[*]}; install what your system calls them, then start this again" >&2
            return 1
        fi
        "${as_root[@]}" apt-get update -q
        # Nobody asked for an etcd that runs all the time.
        local masked=no
        if [[ " ${packages[*]} " == *" etcd-server "* ]] && [ -d /run/systemd/system ]; then
            "${as_root[@]}" systemctl mask --quiet etcd.service && masked=yes
        fi
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"
        if [ "$masked" = yes ]; then
            "${as_root[@]}" systemctl unmask --quiet etcd.service
            "${as_root[@]}" systemctl disable --quiet etcd.service
        fi
    fi
    if ! command -v cargo > /dev/null && [ -f "${CARGO_HOME:-$HOME/.cargo}/env" ]; then
        # shellcheck source=/dev/null
        . "${CARGO_HOME:-$HOME/.cargo}/env"
    fi
    command -v cargo > /dev/null || { echo "missing: Rust; see https://rustup.rs" >&2; return 1; }
    rustc --version
    cargo fetch --locked
}

# Warnings of dependencies' versions and features of ours are one thing: everything at once.
lint() {
    cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
    cargo clippy --locked --package shmsync --lib -- -D warnings
}

document() {
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --all-features
}

# As they were built for the tests, so that nothing is built again.
run_examples() {
    local programs program
    programs=$(cargo build --locked --quiet --workspace --all-features --examples --message-format json |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
    [ "$(wc -l <<< "$programs")" -eq "$(find examples -name '*.rs' | wc -l)" ]
    while read -r program; do
        printf -- '-- %s\n' "${program##*/}"
        "$program" < /dev/null
    done <<< "$programs"
}

# The figures in the README are those that were measured, on a commit that led here. (That the comparison runs at all was
# seen among the tests.) Built as the tests are, so that nothing is built again.
check_figures() {
    cargo test --locked --quiet --workspace --all-features --test quick -- the_table_in_the_readme_is_as_it_was_written
}

# Each bench once, unoptimised: they compile and run. Figures come from `cargo bench`.
run_benches_once() {
    cargo test --locked --quiet --workspace --all-features --bench store -- --test
}

# Every interleaving and every point of death, in small worlds. A build of its own: another `cfg` makes all others anew.
check_models() {
    RUSTFLAGS="--cfg loom" CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0 \
        cargo test --locked --quiet --release --package shmsync --lib --target-dir "${CARGO_TARGET_DIR:-target}/models" -- loom_
}

# As on a system without regions: the unit tests, with the suite for drivers on `memory:`.
test_portable_build() {
    local program
    program=$(cargo rustc --locked --quiet --package shmsync --lib --profile test --message-format json -- \
        --cfg shmsync_portable -D warnings | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    "$program" --quiet
}

# Every other target for which the toolchain has a standard library.
check_other_targets() {
    local host target
    host=$(rustc --version --verbose | sed -n 's/^host: //p')
    for target in "$(rustc --print sysroot)"/lib/rustlib/*/; do
        target=$(basename "$target")
        if [ "$target" != "$host" ] && [ -n "$(rustc --print target-libdir --target "$target" 2> /dev/null)" ] &&
            compgen -G "$(rustc --print target-libdir --target "$target")/libstd-*" > /dev/null; then
            printf -- '-- %s\n' "$target"
            cargo check --locked --quiet --package shmsync --lib --target "$target"
        fi
    done
}

package() {
    cargo package --locked --quiet --allow-dirty --no-verify --package shmsync
    cargo package --allow-dirty --package shmsync --list > /dev/null
    local file
    for file in README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE docs/errors.md docs/format.md docs/design.md; do
        cargo package --allow-dirty --package shmsync --list | grep -qx "$file"
    done
}

demo() {
    cargo run --locked --quiet --release -- --store "demo-of-test-$$" demo --kill
}

# The unit tests, and those that hand garbage to a store. Children that are killed or leave by `_exit` are not asked for
# leaks. `too_many_addresses` limits what AddressSanitizer needs itself.
check_with_sanitizer() {
    local host
    host=$(rustc --version --verbose | sed -n 's/^host: //p')
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=$1" cargo test --locked --package shmsync --all-features --target "$host" \
        --target-dir "${CARGO_TARGET_DIR:-target}/$1" --lib --test store --test security --test damage --test bytes -- \
        --skip too_many_addresses
}

run "tools" install_what_is_missing
if [ "$sanitizers" = yes ]; then
    run "address sanitizer" check_with_sanitizer address
    run "leak sanitizer" check_with_sanitizer leak
    exit
fi
if cargo fmt --version > /dev/null 2>&1; then
    run "formatting" cargo fmt --all --check
else
    skip "formatting" "the toolchain has no rustfmt"
fi
if cargo clippy --version > /dev/null 2>&1; then
    run "lints" lint
else
    skip "lints" "the toolchain has no clippy"
fi
run "documentation" document
run "building the tests" cargo test --locked --quiet --workspace --all-features --no-run
# The tests of the driver for etcd are not passed over for want of it.
run "tests" env SHMSYNC_NEEDS_ETCD=yes cargo test --locked --workspace --all-features
run "figures in the README" check_figures
run "models" check_models
run "examples" run_examples
run "benches, once" run_benches_once
run "as elsewhere than on Linux" test_portable_build
run "other targets" check_other_targets
run "package" package
run "demo" demo

part="summary"
printf '\n'
printf '%s\n' "${times[@]}"
if [ "${#skipped[@]}" -gt 0 ]; then
    printf 'skipped: %s\n' "${skipped[@]}"
fi
printf 'all is well after %d s, %d skipped\n' "$((SECONDS - began))" "${#skipped[@]}"
