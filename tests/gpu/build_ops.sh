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
sm90a=
case $arch in 90a) sm90a=-DF5_CUDA_SM90A=1 ;; esac
flags="-std=c++17 -O3 -lineinfo -gencode=arch=compute_$arch,code=sm_$arch $sm90a -I$root"
flags="$flags -Xcompiler -fPIC,-Wall,-Wextra,-fno-exceptions,-fno-rtti"

# an object by its source's whole path: kernels/linear.c and kernels/cuda/plan/linear.c are two
object="$out"'/$(echo {} | tr / _).o'
cd "$root"
# every source at once; a file that fails to compile fails the script
ls kernels/*.cu kernels/cuda/*.cu | xargs -P "$(nproc)" -I{} sh -c "nvcc $flags -c {} -o $object >&2"
# the C references, which the ops are held against, for this machine's instruction set alone, and the dispatch
ls kernels/*.c kernels/cpu/*.c kernels/cuda/*.c kernels/cuda/plan/*.c | xargs -P "$(nproc)" -I{} sh -c "gcc -std=gnu11 \
    -O3 -march=native -fno-math-errno -fno-trapping-math -fPIC -I$root -c {} -o $object >&2"
nvcc -shared -cudart static "$out"/*.o -o "$out/libf5ops.so" -lcublasLt
echo "$out/libf5ops.so"
