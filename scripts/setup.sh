#!/usr/bin/env bash
# Installs what building (`build`) or building and testing (`all`) need, and says what and why. Can be run again: what is
# there is left alone. Works as root or with sudo on Debian and Ubuntu; elsewhere it prints what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}

say() { printf '==> %s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }
case $what in
    build | all) ;;
    *) say "Usage: scripts/setup.sh [build|all]: what building needs, or what building and testing need (the default)"; exit 2 ;;
esac

# package:command-or-file-that-proves-it:why
build_needs=(
    "gcc:gcc:links the binary and compiles SQLite and the cryptography"
    "g++:g++:compiles the cryptography's C++ parts"
    "libc6-dev:/usr/include/stdlib.h:headers of the C library"
    "make:make:runs this project's targets"
    "pkg-config:pkg-config:finds system libraries"
    "ca-certificates:/etc/ssl/certs/ca-certificates.crt:the system's certificate authorities"
    "curl:curl:the command that the start-up message suggests"
    "git:git:builds record the commit"
)
test_needs=(
    "postgresql:/usr/lib/postgresql:the tests start a private PostgreSQL"
    "sqlite3:sqlite3:the tests tamper with the database file through it"
    "python3:python3:runs the Python SDKs"
    "python3-venv:/usr/share/doc/python3-venv:keeps the Python SDKs inside the project"
    "nodejs:node:runs the Node SDKs"
    "npm:npm:installs the Node SDKs"
    "util-linux:setpriv:starts the private PostgreSQL as an ordinary user"
)

proven() { case $1 in /*) [ -e "$1" ] ;; *) have "$1" ;; esac; }

missing=() names=()
collect() {
    local entry package proof why
    for entry in "$@"; do
        IFS=: read -r package proof why <<<"$entry"
        proven "$proof" || { missing+=("$package: $why"); names+=("$package"); }
    done
}
collect "${build_needs[@]}"
[ "$what" = build ] || collect "${test_needs[@]}"

if [ ${#names[@]} -gt 0 ]; then
    say "Missing:"
    printf '    %s\n' "${missing[@]}"
    if ! have apt-get; then
        say "This system has no apt-get. Install the packages above by your system's own means, then run this again."
        exit 2
    fi
    root=()
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || { say "Installing needs root or sudo. As root: apt-get update && apt-get install ${names[*]}"; exit 2; }
        root=(sudo)
    fi
    say "Installing: ${names[*]}"
    "${root[@]}" apt-get update -q
    DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -q --no-install-recommends "${names[@]}"
fi

have cargo || { say "Rust is missing: install it with rustup (https://rustup.rs), then run this again."; exit 2; }

if [ "$what" != build ]; then
    if ! have cargo-nextest; then
        say "Installing cargo-nextest, the test runner (built from source: some minutes)"
        cargo install --locked --quiet cargo-nextest
    fi
    [ ! -x scripts/sdk.sh ] || scripts/sdk.sh
fi
say "Everything needed for '$what' is there."
