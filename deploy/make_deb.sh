#!/usr/bin/env bash
# make_deb.sh — Debian packages of what is committed, into out/deb: libf5tts0, libf5tts-dev, f5tts, f5tts-voices, for the CPU.
# The version is CMakeLists.txt's, the date that of the last commit; no path and no time of the build is in them.
# JOBS=2 compiles on two processors.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^project(f5tts VERSION \([0-9.]*\) .*/\1/p' CMakeLists.txt)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
build=$(mktemp -d /tmp/f5tts_deb_XXXXXX)
trap 'rm -rf "$build"' EXIT
tree=$build/f5tts-$version
mkdir "$tree"
git archive HEAD | tar -x -C "$tree"
mv "$tree/deploy/debian" "$tree/debian"
{
    echo "f5tts ($version) unstable; urgency=medium"
    echo
    awk -v section="## $version" '/^## / { on = $0 == section; next }
                                  on && sub(/^- /, "  * ") { print; next }
                                  on && sub(/^  /, "    ") { print }' "$tree/deploy/CHANGELOG.md"
    echo
    echo " -- f5tts authors <f5tts@packages.debian.org>  $(date -R -u -d "@$SOURCE_DATE_EPOCH")"
} > "$tree/debian/changelog"
(cd "$tree" && DEB_BUILD_OPTIONS="parallel=${JOBS:-1} nocheck" dpkg-buildpackage -b -us -uc > "$build/log" 2>&1) ||
    { tail -40 "$build/log"; exit 1; }
rm -rf out/deb
mkdir -p out/deb
mv "$build"/*.deb "$build"/*.buildinfo "$build"/*.changes out/deb
(cd out/deb && sha256sum ./*.deb)
