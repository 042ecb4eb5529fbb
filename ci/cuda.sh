#!/usr/bin/env bash
# The GPU's kernels: hanja.ptx in the tree is what NVRTC makes of hanja.cu, and ptxas takes it for every generation of
# Jetson from the first Nano on; the CUDA parts pass over a fake driver. Needs no GPU. NVRTC and ptxas come out of
# NVIDIA's PyPI packages, of one version, since another compiler makes other text. Nothing is skipped.
. "$(dirname "$0")/lib.sh"
need gcc python3 python3-venv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    nvidia-cuda-nvrtc-cu12==12.9.86 nvidia-cuda-nvcc-cu12==12.9.86
nvidia=$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nvidia

echo "-- hanja.ptx is made of hanja.cu"
python3 infer/cuda/kernels/make_ptx.py "$nvidia/cuda_nvrtc/lib/libnvrtc.so.12" >"$work/hanja.ptx"
if ! diff -u infer/cuda/kernels/hanja.ptx "$work/hanja.ptx" >"$work/diff"; then
    head -40 "$work/diff" >&2
    echo "make it anew: infer/cuda/kernels/make_ptx.py LIBNVRTC >infer/cuda/kernels/hanja.ptx" >&2
    exit 1
fi

echo "-- every generation takes it"
# Nano, TX2, Xavier, Orin; desktops from 2018 on; Thor's desktop sister.
for arch in sm_53 sm_62 sm_72 sm_75 sm_80 sm_86 sm_87 sm_89 sm_90 sm_120; do
    "$nvidia/cuda_nvcc/bin/ptxas" -arch "$arch" --warning-as-error -o "$work/cubin" infer/cuda/kernels/hanja.ptx
    [ -s "$work/cubin" ]
    echo "$arch"
done
# A file that any compiler would take proves nothing.
sed 's/^\.entry\|ld\.param/nonsense/' infer/cuda/kernels/hanja.ptx >"$work/bad.ptx"
if "$nvidia/cuda_nvcc/bin/ptxas" -arch sm_53 -o "$work/cubin" "$work/bad.ptx" 2>/dev/null; then
    echo "ptxas takes nonsense" >&2
    exit 1
fi

echo "-- the CUDA parts over the fake driver"
cargo test --workspace --locked --test device --test path
cargo test --workspace --locked --lib gpu_tests
