#!/usr/bin/env bash
# compute-sanitizer's four tools over a short synthesis and every n-th op test. After tests/gpu/run.sh has built.
# Usage: F5_BUILD=folder tests/gpu/sanitize.sh [n, default 40]; ends with a line for each tool and fails on any error.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export F5_BUILD=${F5_BUILD:-$root/build-gpu} F5_GPU_SAMPLE=${1:-40} F5_TEST_SEED=1 PYTORCH_NO_CUDA_MEMORY_CACHING=1
cd "$root"
failed=0
for tool in memcheck racecheck initcheck synccheck; do
    for what in "tests/gpu/short_synth.py" "-m pytest -q -p no:cacheprovider tests/gpu/test_gpu_attention.py
                tests/gpu/test_gpu_linear.py tests/gpu/test_gpu_small_ops.py"; do
        # torch's own kernels are not ours to judge, and initcheck cannot see what its allocator hands out uninitialised
        [ $tool = initcheck ] && [[ $what == *pytest* ]] && continue
        log=$(mktemp)
        timeout -s KILL 240 compute-sanitizer --tool $tool --error-exitcode 9 ${PYTHON:-python3} $what > "$log" 2>&1
        rc=$?
        printf '%-10s %-26s exit %d  %s\n' $tool "${what:0:26}" $rc "$(grep -E 'ERROR SUMMARY|RACECHECK SUMMARY' "$log" | tail -1)"
        [ $rc = 0 ] || { failed=1; grep -v '^$' "$log" | head -${F5_SANITIZE_LINES:-40}; }
    done
done
exit $failed
