#!/usr/bin/env bash
# check_reproducible.sh — are the packages of the last commit the same bytes whoever builds them? Each is built twice: in two
# folders of different names and depths, in two time zones and two languages.
#
#   deploy/check_reproducible.sh                  deb, wheel and tarball; JOBS=2 compiles on two processors
#   deploy/check_reproducible.sh wheel tarball    some of them
#
# Prints the SHA-256 of each and ends with 1 where two differ; what was built stays in the folder that it names then.
set -euo pipefail
cd "$(dirname "$0")/.."
kinds=${*:-deb wheel tarball}
work=$(mktemp -d /tmp/f5tts_twice_XXXXXX)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
for python in "${PYTHON:-/usr/bin/python3}" python3; do "$python" -c 'import numpy' 2> /dev/null && break; done

build() { # build FOLDER: packages of all kinds into FOLDER/out
    (
        cd "$1"
        for kind in $kinds; do
            case $kind in
            deb) bash deploy/make_deb.sh > "$work/log" 2>&1 || { tail -20 "$work/log"; exit 1; } ;;
            wheel | tarball)
                if [ ! -d build ]; then
                    { cmake --preset release -Wno-dev && cmake --build build -j "${JOBS:-1}"; } > "$work/log" 2>&1 ||
                        { tail -20 "$work/log"; exit 1; }
                fi
                if [ "$kind" = wheel ]; then
                    "$python" host/python/backend.py --build build --output out > "$work/log" 2>&1 || { tail -20 "$work/log"; exit 1; }
                else
                    (cd build && cpack > "$work/log" 2>&1) || { tail -20 "$work/log"; exit 1; }
                fi
                ;;
            *) echo "$kind: deb, wheel or tarball"; exit 2 ;;
            esac
        done
    )
}

first=$work/one second=$work/another/and/deeper
mkdir -p "$(dirname "$second")"
git clone -q . "$first"
git clone -q "$first" "$second" # of the same commit, whatever is committed meanwhile
(export TZ=UTC LC_ALL=C && build "$first")
(export TZ=Asia/Tokyo LC_ALL=C.UTF-8 && build "$second")
files() { (cd "$1/out" && find . -path ./_CPack_Packages -prune -o \( -name '*.deb' -o -name '*.whl' -o -name '*.tar.gz' \) -print | sed 's/^..//' | sort); }
diff <(files "$first") <(files "$second") || { echo "not the same files: see $work"; exit 1; }
differ=0 count=0
while read -r file; do
    a=$(sha256sum < "$first/out/$file") b=$(sha256sum < "$second/out/$file") || true
    count=$((count + 1))
    if [ "$a" = "$b" ]; then
        echo "${a%% *}  $file  twice"
    else
        echo "${a%% *}  $file, and then ${b%% *}"
        differ=1
    fi
done < <(files "$first")
[ "$count" -gt 0 ] || { echo "nothing was built"; exit 1; }
[ "$differ" = 0 ] || { echo "they differ: see $work"; exit 1; }
rm -rf "$work"
