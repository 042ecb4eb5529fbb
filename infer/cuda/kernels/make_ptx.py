"""Makes hanja.ptx of hanja.cu with NVRTC: `make_ptx.py LIBNVRTC > hanja.ptx`.

LIBNVRTC is libnvrtc.so.12, for instance out of the PyPI package nvidia-cuda-nvrtc-cu12. Plain ctypes, so that nothing
else has to be installed. ci/cuda.sh runs this and compares the result with the file in the tree.
"""

import ctypes
import pathlib
import re
import sys

OPTIONS = [
    b"--gpu-architecture=compute_53",  # the first Jetson Nano; newer devices compile it for themselves
    b"--fmad=false",  # the same arithmetic, to the bit, as the CPU's
    b"--std=c++11",
]
# What the kernels use is old: without this only a driver as new as the compiler would load the file.
PTX_VERSION = "6.5"  # CUDA 10.2


def main() -> None:
    nvrtc = ctypes.CDLL(sys.argv[1])
    nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
    program = ctypes.c_void_p()

    def check(code: int) -> None:
        if code != 0:
            size = ctypes.c_size_t()
            nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
            log = ctypes.create_string_buffer(size.value + 1)
            nvrtc.nvrtcGetProgramLog(program, log)
            sys.exit(f"{nvrtc.nvrtcGetErrorString(code).decode()}\n{log.value.decode()}")

    source = pathlib.Path(__file__).with_name("hanja.cu").read_bytes()
    check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, b"hanja.cu", 0, None, None))
    check(nvrtc.nvrtcCompileProgram(program, len(OPTIONS), (ctypes.c_char_p * len(OPTIONS))(*OPTIONS)))
    size = ctypes.c_size_t()
    check(nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size)))
    ptx = ctypes.create_string_buffer(size.value)
    check(nvrtc.nvrtcGetPTX(program, ptx))
    text, lowered = re.subn(r"^\.version .*$", f".version {PTX_VERSION}", ptx.value.decode(), flags=re.MULTILINE)
    if lowered != 1:
        sys.exit("no .version line in what NVRTC made")
    # A hint for NVIDIA's memory checker, which old versions of the language do not have.
    text = re.sub(r'^\s*\.pragma "used_bytes_mask .*\n', "", text, flags=re.MULTILINE)
    # Which compiler build made it says nothing about the program.
    text = re.sub(r"^//.*\n", "", text, flags=re.MULTILINE)
    sys.stdout.write("// Made by make_ptx.py of hanja.cu; do not edit.\n" + text.strip() + "\n")


main()
