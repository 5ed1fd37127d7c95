#!/usr/bin/env bash
# compute-sanitizer's four tools, side by side, over a short synthesis and every n-th op test; after tests/gpu/run.sh has
# built. Usage: F5_BUILD=folder tests/gpu/sanitize.sh [n, default 100]; prints a line for each and fails on any error or after
# F5_SANITIZE_SECONDS (280) of one of them.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export F5_BUILD=${F5_BUILD:-$root/build-gpu} F5_GPU_SAMPLE=${1:-100} F5_TEST_SEED=1 PYTORCH_NO_CUDA_MEMORY_CACHING=1
command -v compute-sanitizer > /dev/null || { echo "compute-sanitizer is not here: it comes with the CUDA toolkit"; exit 1; }
cd "$root"
logs=$(mktemp -d)
ops() { # the tests of these ops
    echo "-m pytest -q -p no:cacheprovider $(printf 'tests/gpu/test_gpu_%s.py ' "$@")"
}

# racecheck runs without a kernel filter. With one (--kernel-name, --kernel-name-exclude) the kernels left out run
# uninstrumented, and the tool of CUDA 13.0 fails on cuBLASLt's nvjet kernels among them: "The Sanitizer failed to handle a
# hardware exception", which the program sees as an illegal memory access. One product of PyTorch alone shows it:
#   compute-sanitizer --tool racecheck --kernel-name kernel_substring=zzz python3 -c "import torch; ...linear in fp16..."
check() { # name, tool, what
    timeout -s KILL "${F5_SANITIZE_SECONDS:-280}" compute-sanitizer --tool "$2" --error-exitcode 9 \
        ${PYTHON:-python3} $3 > "$logs/$1" 2>&1
    echo $? > "$logs/$1.rc"
}
for tool in memcheck racecheck initcheck synccheck; do
    small=
    [ $tool = racecheck ] && small=--small
    check "$tool synthesis" $tool "tests/gpu/short_synth.py $small" &
    # initcheck cannot see what torch's allocator hands out uninitialised, and its kernels are not ours to judge;
    # racecheck instruments PyTorch's double products too, which takes many minutes, and the synthesis launches every
    # kernel of ours
    case $tool in
        initcheck | racecheck) ;;
        *) check "$tool ops" $tool "$(ops attention linear ops one_op)" & ;;
    esac
done
wait
failed=
for log in "$logs"/*.rc; do
    log=${log%.rc}
    rc=$(cat "$log.rc")
    summary=$(grep -E 'ERROR SUMMARY|RACECHECK SUMMARY' "$log" | tail -1)
    done=$(grep -E ' passed|short synthesis' "$log" | tail -1)
    printf '%-22s exit %d  %s  %s\n' "${log##*/}" "$rc" "${summary#========= }" "$done"
    [ "$rc" = 0 ] || failed=x
done
for log in "$logs"/*.rc; do # what was wrong comes after all that was right
    [ "$(cat "$log")" = 0 ] && continue
    log=${log%.rc}
    printf '\n%s\n' "${log##*/}"
    grep -v '^$' "$log" | head -"${F5_SANITIZE_LINES:-30}"
done
[ -z "$failed" ]
