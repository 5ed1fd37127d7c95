#!/bin/sh
# The ops alone as a shared library, for the GPU tests and bench/gpu_ops.py: quicker than the whole build, and all that
# they need. Usage: tests/gpu/build_ops.sh [folder, default /tmp/f5ops] [architecture, default 90a]; prints the library.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
out=${1:-/tmp/f5ops}
arch=${2:-90a}
mkdir -p "$out"
hopper=
case $arch in 90a) hopper=-DF5_CUDA_HOPPER=1 ;; esac
flags="-std=c++17 -O3 -lineinfo -gencode=arch=compute_$arch,code=sm_$arch $hopper -I$root/kernels"
flags="$flags -Xcompiler -fPIC,-Wall,-Wextra,-fno-exceptions,-fno-rtti"

# every source at once; a file that fails to compile fails the script
ls "$root"/kernels/*.cu | xargs -P "$(nproc)" -I{} sh -c 'nvcc '"$flags"' -c {} -o '"$out"'/$(basename {}).o' >&2
gcc -std=gnu11 -O2 -fPIC -I"$root/kernels" -c "$root/kernels/error.c" -o "$out/error.o"
nvcc -shared -cudart static "$out"/*.o -o "$out/libf5ops.so" -lcublasLt
echo "$out/libf5ops.so"
