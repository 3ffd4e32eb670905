#!/usr/bin/env bash
# Installs the vendors' own SDKs, which the tests run against the gateway, into .cache/sdk: pinned by
# tests/sdk/requirements.txt and tests/sdk/package-lock.json. Says what it installs; what is there is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."
home=.cache/sdk
say() { printf '==> %s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }
for tool in python3 node npm sha256sum; do
    have "$tool" || { say "$tool is missing: run scripts/setup.sh"; exit 2; }
done

# A stamp holds the digest of the pins: installed once per version of them.
stamped() { [ -f "$1" ] && [ "$(cat "$1")" = "$(cat "${@:2}" | sha256sum)" ]; }
stamp() { cat "${@:2}" | sha256sum >"$1"; }

python_sdks() {
    local pins=tests/sdk/requirements.txt
    if stamped $home/python/stamp $pins && $home/python/bin/python -c '' 2>/dev/null; then return; fi
    say "Installing the Python SDKs: $(grep -E '^(openai|anthropic|google-genai|cohere)==' $pins | tr '\n' ' ')"
    rm -rf $home/python
    mkdir -p $home
    if python3 -m venv $home/python 2>/dev/null; then
        $home/python/bin/python -m pip install --quiet --disable-pip-version-check -r $pins
    else
        # No python3-venv: packages in a folder, and a small program that points Python at it.
        rm -rf $home/python
        mkdir -p $home/python/bin
        python3 -m pip install --quiet --disable-pip-version-check --target $home/python/packages -r $pins
        printf '#!/bin/sh\nPYTHONPATH="%s" exec python3 "$@"\n' "$PWD/$home/python/packages" >$home/python/bin/python
        chmod 755 $home/python/bin/python
    fi
    $home/python/bin/python -m compileall -q $home/python >/dev/null 2>&1 || true
    stamp $home/python/stamp $pins
}

node_sdks() {
    local pins=(tests/sdk/package.json tests/sdk/package-lock.json tests/sdk/.npmrc)
    if stamped $home/node/stamp "${pins[@]}"; then return; fi
    say "Installing the Node SDKs: $(sed -n 's/^    "\(.*\)": "\(.*\)".*/\1@\2/p' tests/sdk/package.json | tr '\n' ' ')"
    rm -rf $home/node
    mkdir -p $home/node
    cp "${pins[@]}" $home/node/
    npm ci --prefix $home/node --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error
    stamp $home/node/stamp "${pins[@]}"
}

python_sdks
node_sdks
say "The SDKs are installed."
