"""Shared by the tests: real processes in a directory of their own, and a server that violates the protocol."""

from __future__ import annotations

import fcntl
import mmap
import os
import pathlib
import platform
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from typing import Callable, Optional

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "bindings" / "python"))


def built(variable: str, name: str) -> str:
    """A file that cargo has built; named by a variable, or where a development build puts it. Never skipped."""
    path = os.environ.get(variable) or str(ROOT / "target" / "debug" / name)
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: build it (see ci/bindings.sh), or name it in {variable}")
    return path


HANJA = built("HANJA", "hanja")
STAMPED = built("HANJA_STAMPED", "examples/stamped")
LIBRARY = built("HANJA_TAP_TEST_LIBRARY", "libhanja_tap.so")
#: What makes pure Python read. Where it may not, its tests go through the library as well.
PURE: Optional[str] = None if platform.machine() == "x86_64" else LIBRARY


# The same backend on every machine, whatever is installed there.
os.environ["ORT_DYLIB_PATH"] = "/nowhere/libonnxruntime.so"


class Place(unittest.TestCase):
    """A runtime directory, and processes that end with the test."""

    def setUp(self) -> None:
        self.top = tempfile.mkdtemp(prefix="hanja-test-")
        self.dir = os.path.join(self.top, "run")
        self.addCleanup(shutil.rmtree, self.top, True)

    def spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = open(os.path.join(self.top, "log"), "ab")
        self.addCleanup(log.close)
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(self.end, process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pipeline(self, source: str) -> subprocess.Popen[bytes]:
        return self.spawn(HANJA, "run", f"--source={source}", "--http=off", "--runtime-dir", self.dir)

    def stage(self, name: str) -> int:
        """Process id of a stage of this place's pipeline."""
        for entry in pathlib.Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            except OSError:
                continue
            if line.split(b"\0")[1:2] == [name.encode()] and self.dir.encode() in line:
                return int(entry.name)
        raise AssertionError(f"no stage {name} runs")


class Liar:
    """A stage that answers every client with ``reply`` and the descriptors of ``fds()``, and keeps the connection."""

    def __init__(self, path: str, reply: bytes, fds: Callable[[], list[int]]) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(8)
        self.reply, self.fds = reply, fds
        self.clients: list[socket.socket] = []
        self.requests: list[bytes] = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            fds: list[int] = []
            try:
                self.requests.append(client.recv(100))
                fds = self.fds()
                socket.send_fds(client, [self.reply], fds)
            except OSError:
                pass  # the client left early
            for fd in fds:
                os.close(fd)
            if self.reply:
                self.clients.append(client)
            else:
                client.close()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        for client in self.clients:
            client.close()


def reply(status: int = 0, magic: bytes = b"HJRP", major: int = 1, generation: int = 7, total: int = 12288) -> bytes:
    """A server's reply; by default for the ring of ``GOOD``."""
    return struct.pack("<4sHHHH4xQQ32x", magic, major, 0, status, 0, generation, total)


#: Numbers of a good ring for detections: 4 slots of 1 KiB; name, offset and type of each.
FIELDS = {"magic": (0, "8s"), "major": (8, "<H"), "header_len": (12, "<I"), "topic": (16, "<I"), "slots": (20, "<I"),
          "generation": (24, "<Q"), "stride": (32, "<Q"), "meta_len": (40, "<I"), "meta_at": (44, "<I"),
          "payload_at": (48, "<Q"), "capacity": (56, "<Q"), "total": (64, "<Q"), "newest": (128, "<Q")}
GOOD = {"magic": b"HANJARNG", "major": 1, "header_len": 4096, "topic": 2, "slots": 4, "generation": 7, "stride": 1088,
        "meta_len": 0, "meta_at": 64, "payload_at": 64, "capacity": 1024, "total": 12288, "newest": 0}


def ring_bytes(size: int = 12288, payload: Optional[bytes] = None, length: Optional[int] = None,
               **changes: object) -> bytes:
    """A ring's memory with ``changes`` to its header; ``payload`` is number 1, in slot 0."""
    memory = bytearray(size)
    values = {**GOOD, **changes}
    if payload is not None and "newest" not in changes:
        values["newest"] = 1 << 8
    for name, value in values.items():
        at, kind = FIELDS[name]
        struct.pack_into(kind, memory, at, value)
    if payload is not None:
        struct.pack_into("<QQ", memory, 4096, 1 << 8, len(payload) if length is None else length)
        memory[4160:4160 + len(payload)] = payload
    return bytes(memory)


def sealed(content: bytes, seals: int = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL) -> int:
    """A memfd with this content."""
    fd = os.memfd_create("hanja-liar", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, len(content))
    if content:
        with mmap.mmap(fd, len(content)) as memory:
            memory[:] = content
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def within(seconds: float, ask: Callable[[], bool]) -> bool:
    """Checks again and again until the condition holds or the time has passed."""
    end = time.monotonic() + seconds
    while not ask():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
