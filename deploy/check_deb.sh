#!/usr/bin/env bash
# check_deb.sh — are the packages in out/deb good? As root, on a Debian with lintian and debootstrap:
#
#   deploy/check_deb.sh             lintian, then an installation into a Debian 12 of its own under /tmp
#   deploy/check_deb.sh FOLDER      the same in a Debian 12 that debootstrap has made there already
#
# There the installed program speaks, and manual pages, completion, service and backend are where they belong. Nothing of the
# host is mounted into it.
set -euo pipefail
cd "$(dirname "$0")/.."
lintian --allow-root --fail-on error,warning out/deb/*.changes
root=${1:-}
if [ -z "$root" ]; then
    made=$(mktemp -d /tmp/f5tts_root_XXXXXX)
    trap 'rm -rf "$made"' EXIT
    root=$made/bookworm
    debootstrap --variant=minbase bookworm "$root" http://deb.debian.org/debian > "$made/log" || { tail "$made/log"; exit 1; }
fi
mkdir -p "$root/debs"
cp out/deb/*.deb "$root/debs"
in_root() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
in_root apt-get update -qq
in_root sh -c 'apt-get install -y -qq --no-install-recommends --reinstall /debs/*.deb > /debs/log 2>&1' || { tail -20 "$root/debs/log"; exit 1; }
in_root f5tts --version
in_root sh -c 'cd /tmp && f5tts infer --gen_text "Good morning." --nfe_step 4 --seed 1 -o out -w a.wav && ls -l out/a.wav'
for file in /usr/share/man/man1/f5tts.1.gz /usr/share/man/man1/f5tts-infer.1.gz /usr/share/bash-completion/completions/f5tts \
            /usr/share/zsh/vendor-completions/_f5tts /usr/share/fish/vendor_completions.d/f5tts.fish \
            /lib/systemd/system/f5tts.service /usr/include/f5tts.h; do
    in_root test -s "$file" || { echo "$file is missing"; exit 1; }
done
in_root sh -c '! ldd /usr/bin/f5tts /usr/lib/*/libf5tts.so.0 | grep "not found"'
in_root sh -c 'ldd /usr/lib/*/f5tts/triton-backends/f5tts/libtriton_f5tts.so | grep -q "libf5tts.so.0 => /"'
in_root f5tts serve --check_config
in_root sh -c 'f5tts triton-repo /tmp/models > /dev/null && test -s /tmp/models/f5_tts/1/model.f5'
in_root apt-get purge -y -qq f5tts f5tts-voices libf5tts-dev libf5tts0 > /dev/null
in_root sh -c '! test -e /usr/bin/f5tts && ! test -e /usr/share/f5tts'
echo "the packages are good"
