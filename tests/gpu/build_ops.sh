#!/bin/sh
# The ops alone, and their C references, as a shared library, for the GPU tests and f5bench.py kernels: quicker than the
# whole build, and all that they need. Prints the library's path.
# Usage: tests/gpu/build_ops.sh [folder, default /tmp/f5ops] [architecture, default 90a]
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
out=${1:-/tmp/f5ops}
arch=${2:-90a}
mkdir -p "$out"
rm -f "$out"/*.o
hopper=
case $arch in 90a) hopper=-DF5_CUDA_HOPPER=1 ;; esac
flags="-std=c++17 -O3 -lineinfo -gencode=arch=compute_$arch,code=sm_$arch $hopper -I$root"
flags="$flags -Xcompiler -fPIC,-Wall,-Wextra,-fno-exceptions,-fno-rtti"

# every source at once; a file that fails to compile fails the script
ls "$root"/kernels/*.cu "$root"/kernels/cuda/*.cu | xargs -P "$(nproc)" -I{} sh -c 'nvcc '"$flags"' -c {} -o '"$out"'/$(basename {}).o' >&2
# the C references, which the small ops are held against, for this machine's instruction set alone
ls "$root"/kernels/*.c "$root"/kernels/cpu/*.c | xargs -P "$(nproc)" -I{} sh -c 'gcc -std=gnu11 -O3 -march=native -fno-math-errno \
    -fno-trapping-math -fPIC -I'"$root"' -c {} -o '"$out"'/$(basename {}).o' >&2
nvcc -shared -cudart static "$out"/*.o -o "$out/libf5ops.so" -lcublasLt
echo "$out/libf5ops.so"
