#!/usr/bin/env bash
# Builds for this machine's GPU and runs the GPU tests: needs the CUDA toolkit, cmake, ninja and a Python with PyTorch
# and pytest; nothing else. Usage: tests/gpu/run.sh [pytest arguments]
#   F5_BUILD   build folder, default build-gpu          PYTHON   default python3
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export F5_BUILD=${F5_BUILD:-$root/build-gpu}
command -v nvidia-smi > /dev/null || { echo "these tests need an NVIDIA GPU and its driver: nvidia-smi is not here"; exit 1; }
# this GPU alone: several times quicker than all; Hopper's own instructions need the a
arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
[ "$arch" = 90 ] && arch=90a
arch=$arch-real
cmake -S "$root" -B "$F5_BUILD" -G Ninja -DCMAKE_BUILD_TYPE=Release -DF5_CUDA=ON \
      -DF5_CUDA_ARCHITECTURES="${F5_CUDA_ARCHITECTURES:-$arch}" > "$F5_BUILD.log"
cmake --build "$F5_BUILD" >> "$F5_BUILD.log" || { tail -40 "$F5_BUILD.log"; exit 1; }
cd "$root"
exec "${PYTHON:-python3}" -m pytest -p no:cacheprovider -q -s tests/gpu "$@"
