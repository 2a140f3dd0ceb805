#!/bin/sh
# Chromium for the browser tests: found on PATH, else installed by apt where that is allowed, else named.
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Chromium for the browser tests ..."
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null && exit 0
fi
echo "No Chromium found: the browser tests will be skipped. Install 'chromium' (Debian: apt install chromium," \
     "Fedora: dnf install chromium, macOS: brew install --cask chromium) to run them."
[ -z "$REQUIRE_BROWSER" ] || exit 1
