# SPDX-License-Identifier: MIT OR Apache-2.0
"""Frames, detections and statistics of a running hanja pipeline.

    import hanja_tap

    for record in hanja_tap.detections():
        for found in record.detections:
            print(record.frame_seq, found.label, found.score, found.box)

One file, standard library only: install it with pip, or copy it. A tap writes nothing that the pipeline reads; it may
be slow, stopped or killed. It waits for a pipeline that does not run yet, and attaches again to a stage that was
restarted (which then has a new ``generation``). The guide is docs/tap.md.

Where this is sound. Whether a copy is whole is decided by reading a word before and after it, so loads must happen in
program order. Pure Python has no memory barrier, but x86-64 keeps loads in order, and the interpreter neither merges
nor moves the reads of different bytecodes. Elsewhere (aarch64), or when asked to (``library=``, or the variable
HANJA_TAP_LIBRARY), all reading goes through the C library of bindings/c, which has the barriers.

A tap belongs to one thread at a time; make one per thread. After ``os.fork`` only one side may go on using it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import fcntl
import logging
import math
import mmap
import os
import platform
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Callable, Generic, Iterator, NamedTuple, TypeVar

__version__ = "0.1.0"
__all__ = ["Detection", "Frame", "Histogram", "Metric", "Record", "Stats", "Tap", "Times", "default_runtime_dir",
           "detections", "frames", "presented", "stats", "truth"]

LABELS = "一二三四五六七八九十"
_FRAMES, _DETECTIONS, _STATS, _TRUTH, _PRESENTED = 1, 2, 3, 4, 5
_STAGES = {"capture": 1, "infer": 2, "render": 3}
_BACKENDS = {1: "rten", 2: "onnxruntime", 3: "tensorrt", 100: "truth"}
_METRICS = ("dequeue", "publish", "queue", "preprocess", "submit", "inference", "postprocess", "announce", "deliver",
            "present", "end_to_end", "show")
_MAX_WORDS = 384
_BUCKETS = 192
_POLL = 0.05  # polling interval: longest sleep, seconds, before checking whether the writer is still there
_RETRY = 0.02  # seconds between two attempts to attach
_log = logging.getLogger("hanja_tap")


class Times(NamedTuple):
    """The times of a frame, nanoseconds of CLOCK_MONOTONIC (``time.monotonic_ns``); 0: not (yet)."""

    sensor: int
    dequeued: int
    published: int
    acquired: int = 0
    preprocessed: int = 0
    submitted: int = 0
    inferred: int = 0
    postprocessed: int = 0
    detections_published: int = 0
    #: These two are set in the records of :func:`presented` only, the second one only while somebody watches.
    render_acquired: int = 0
    presented: int = 0


@dataclass(frozen=True)
class Detection:
    """One found numeral."""

    label: str
    score: float
    #: Left, top, right, bottom in pixels of the frame.
    box: tuple[float, float, float, float]
    class_number: int
    #: 0: not tracked.
    track: int


@dataclass(frozen=True)
class Record:
    """What was found in one frame."""

    generation: int
    seq: int
    frame_generation: int
    frame_seq: int
    driver_seq: int
    width: int
    height: int
    detections: tuple[Detection, ...]
    #: "ok", "undecodable", "no_signal" or "unknown".
    status: str
    #: "rten", "onnxruntime", "tensorrt", "truth" or "none".
    backend: str
    #: Beginning of the model file's hash, 16 hexadecimal digits; None: no model.
    model: str | None
    times: Times
    candidates: int
    suppressed: int
    capped: int
    #: Records overwritten since the one before, before they could be read.
    lapped: int

    @property
    def end_to_end_ms(self) -> float:
        """From the sensor to the record being visible."""
        return max(self.times.detections_published - self.times.sensor, 0) / 1e6


@dataclass(frozen=True)
class Frame:
    """One picture, copied: it stays as it is for as long as you keep it."""

    generation: int
    seq: int
    driver_seq: int
    #: V4L2's four letters: YUYV, NV12, YU12, MJPG, GREY, RGB3.
    format: str
    width: int
    height: int
    #: Bytes per line of the first plane, 0 for MJPG.
    stride: int
    #: The bytes, read-only.
    data: memoryview
    #: numpy.frombuffer(f.data, "u1").reshape(f.shape) is the picture: (lines, columns[, bytes per pixel]), padding
    #: included; NV12 and YU12 have their chroma below, as OpenCV expects it. (bytes,) where there is no such shape.
    shape: tuple[int, ...]
    times: Times
    #: The source has no picture; the bytes are grey.
    no_signal: bool
    driver_error: bool
    synthetic: bool
    #: Totals of this generation: lost in the driver, dropped because every slot was leased.
    lost: int
    dropped: int
    #: In order: frames overwritten between the one before and this.
    lapped: int
    #: The driver has no usable time: times.sensor is when capture had the frame.
    host_time: bool = False
    #: times.sensor is the beginning of the exposure, not the end of the frame.
    exposure_time: bool = False
    #: Since when the number, the sensor time, the picture have been the same: times.dequeued of the first such frame,
    #: which is this frame's own where they have changed, as they should. 0 before ABI 1.2.
    new_number_ns: int = 0
    new_time_ns: int = 0
    new_picture_ns: int = 0


@dataclass(frozen=True)
class Metric:
    """One latency over the last second."""

    count: int
    p50_us: int
    p90_us: int
    p99_us: int
    max_us: int


def _bucket_us(bucket: int) -> int:
    """Where a bucket of a histogram begins, microseconds."""
    octave, sub = divmod(bucket, 8)
    return sub if octave == 0 else (8 + sub) << (octave - 1)


@dataclass(frozen=True)
class Histogram:
    """How often each latency was measured since the stage's process started."""

    #: All latencies added up, nanoseconds.
    sum_ns: int
    counts: tuple[int, ...] = (0,) * _BUCKETS

    @property
    def count(self) -> int:
        """Latencies measured."""
        return sum(self.counts)

    def buckets(self) -> Iterator[tuple[float, int]]:
        """(Upper bound in microseconds, count) of every bucket, ascending; the bound of the last is infinity."""
        for bucket, count in enumerate(self.counts):
            yield (_bucket_us(bucket + 1) if bucket + 1 < _BUCKETS else float("inf")), count

    def quantile(self, q: float) -> float | None:
        """Microseconds that a share ``q`` (0 to 1) of all does not exceed, to an eighth of the value or better; None
        if nothing was measured."""
        total, below = self.count, 0
        rank = min(max(math.ceil(min(max(q, 0.0), 1.0) * total), 1), total)
        for bucket, count in enumerate(self.counts):
            if count and below + count >= rank:
                begin, end = _bucket_us(bucket), _bucket_us(bucket + 1)
                return begin + (end - begin) * (rank - below - 0.5) / count
            below += count
        return None

    def since(self, earlier: Histogram) -> Histogram:
        """What was measured between two records of one process (their ``started_ns`` is the same)."""
        return Histogram(max(self.sum_ns - earlier.sum_ns, 0),
                         tuple(max(a - b, 0) for a, b in zip(self.counts, earlier.counts)))

    def merged(self, other: Histogram) -> Histogram:
        """The sum of both: of two stages, or of two processes of one."""
        return Histogram(self.sum_ns + other.sum_ns, tuple(a + b for a, b in zip(self.counts, other.counts)))


@dataclass(frozen=True)
class Stats:
    """One second of a stage."""

    stage: str
    pid: int
    #: Of the topic the stage writes.
    generation: int
    t_ns: int
    started_ns: int
    fps: float
    frames: int
    rss_kib: int
    cpu_us: int
    readers: int
    #: Frames not handled, by reason; totals of this process.
    counters: dict[str, int]
    #: Source, model or address.
    what: str
    backend: str
    metrics: dict[str, Metric]
    #: Of infer: its backend, and why better ones are not used. Empty before ABI 1.1.
    backend_choice: str = ""
    #: Since the process started, by latency. This and all that follows is empty or 0 before ABI 1.2.
    histograms: dict[str, Histogram] = field(default_factory=dict)
    #: Of the readers, those that lease slots (stages), and those that tap.
    leases: int = 0
    taps: int = 0
    #: The kernel's part of cpu_us.
    cpu_system_us: int = 0
    rss_peak_kib: int = 0
    #: The longest wait of an input taken in the last second.
    queue_age_us: int = 0
    #: In all records of this process.
    detections: int = 0
    #: Sensor time of the newest frame handled: the age of the data is t_ns - newest_ns.
    newest_ns: int = 0
    #: Of render: pictures whose first byte left.
    presented: int = 0
    #: Frames whose times or counts did not add up: a bug if it is not 0.
    unbalanced: int = 0


T = TypeVar("T")


class _Raw(NamedTuple):
    """A slot, copied."""

    generation: int
    seq: int
    lapped: int
    meta: bytes
    payload: memoryview


class Tap(Generic[T]):
    """An iterator over a topic. Also a context manager; :meth:`close` ends it early."""

    def __init__(self, topic: int, stages: list[str], parse: Callable[[_Raw], T], *, timeout: float | None,
                 newest: bool, runtime_dir: str | os.PathLike[str] | None, library: str | os.PathLike[str] | None
                 ) -> None:
        self._timeout, self._parse, self._next_source = timeout, parse, 0
        path = os.fspath(runtime_dir) if runtime_dir is not None else default_runtime_dir()
        #: Path of the C library that reads, or None: pure Python does.
        self.library = _choose_library(library)
        lib = _load(self.library) if self.library else None
        self._sources: list[_Pure | _Library] = [
            _Library(lib, path, stage, topic, newest) if lib else _Pure(path, stage, topic, newest)
            for stage in stages]
        #: Items overwritten before they could be read, in all.
        self.lapped = 0

    @property
    def torn(self) -> int:
        """Copies discarded because the writer overwrote the slot meanwhile; none of them is ever returned."""
        return sum(source.torn for source in self._sources)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        """The next item. TimeoutError after ``timeout`` seconds; ValueError if the ring's content is invalid."""
        if not self._sources:
            raise StopIteration
        started = time.monotonic()
        warned = self._timeout is not None
        while True:
            left = _POLL if self._timeout is None else started + self._timeout - time.monotonic()
            for _ in self._sources:
                source = self._sources[self._next_source % len(self._sources)]
                self._next_source += 1
                raw = source.next(max(min(left, _POLL) / len(self._sources), 0))
                if raw is not None:
                    self.lapped += raw.lapped
                    return self._parse(raw)
            if self._timeout is not None and time.monotonic() - started >= self._timeout:
                raise TimeoutError(f"nothing within {self._timeout} s: {self._why()}")
            if not warned and time.monotonic() - started > 1 and (problem := self._problem()):
                warned = True
                _log.warning("%s; waiting", problem)

    def _problem(self) -> str | None:
        return next((s.problem for s in self._sources if s.problem), None)

    def _why(self) -> str:
        return self._problem() or "attached, but nothing new came"

    def close(self) -> None:
        """Detaches; iteration ends."""
        for source in self._sources:
            source.close()
        self._sources = []

    def __enter__(self) -> Tap[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
                 ) -> None:
        self.close()


def detections(*, timeout: float | None = None, runtime_dir: str | os.PathLike[str] | None = None,
               newest: bool = False, library: str | os.PathLike[str] | None = None) -> Tap[Record]:
    """What infer finds, one record per frame it looked at.

    ``timeout``: seconds to wait for each, then TimeoutError says why; None waits for ever (and logs it).
    ``runtime_dir``: as for ``hanja run``. ``newest``: skip to the newest each time, instead of one after the other.
    ``library``: path of libhanja_tap.so, to read through it.
    """
    return Tap(_DETECTIONS, ["infer"], _record, timeout=timeout, newest=newest, runtime_dir=runtime_dir,
               library=library)


def truth(*, timeout: float | None = None, runtime_dir: str | os.PathLike[str] | None = None, newest: bool = False,
          library: str | os.PathLike[str] | None = None) -> Tap[Record]:
    """The ground truth of ``--source 'synth:?truth=1'``; the arguments of :func:`detections`."""
    return Tap(_TRUTH, ["capture"], _record, timeout=timeout, newest=newest, runtime_dir=runtime_dir,
               library=library)


def presented(*, timeout: float | None = None, runtime_dir: str | os.PathLike[str] | None = None,
              newest: bool = False, library: str | os.PathLike[str] | None = None) -> Tap[Record]:
    """The records as render handled them, with its own times (``times.render_acquired``, ``times.presented``), each
    as soon as these are known: not always in order. The arguments of :func:`detections`."""
    return Tap(_PRESENTED, ["render"], _record, timeout=timeout, newest=newest, runtime_dir=runtime_dir,
               library=library)


def frames(*, timeout: float | None = None, runtime_dir: str | os.PathLike[str] | None = None, newest: bool = True,
           library: str | os.PathLike[str] | None = None) -> Tap[Frame]:
    """Pictures as the camera sent them; the arguments of :func:`detections`, but the newest by default."""
    return Tap(_FRAMES, ["capture"], _frame, timeout=timeout, newest=newest, runtime_dir=runtime_dir,
               library=library)


def stats(stage: str | None = None, *, timeout: float | None = None,
          runtime_dir: str | os.PathLike[str] | None = None, library: str | os.PathLike[str] | None = None
          ) -> Tap[Stats]:
    """The statistics of every stage once a second, or only of ``stage``: "capture", "infer" or "render"."""
    if stage is not None and stage not in _STAGES:
        raise ValueError(f"there is no stage {stage!r}: use {', '.join(_STAGES)}")
    stages = [stage] if stage else list(_STAGES)
    return Tap(_STATS, stages, _stats, timeout=timeout, newest=False, runtime_dir=runtime_dir, library=library)


def default_runtime_dir() -> str:
    """Where ``hanja run`` puts its sockets by default; if there is no such directory, where the service puts them."""
    if path := os.environ.get("RUNTIME_DIRECTORY"):
        own = path
    elif path := os.environ.get("XDG_RUNTIME_DIR"):
        own = os.path.join(path, "hanja")
    else:
        own = os.path.join(os.environ.get("TMPDIR") or "/tmp", f"hanja-{os.getuid()}")
    service = "/run/hanja"
    return service if not os.path.exists(own) and os.path.exists(service) else own


# ---------------------------------------------------------------------------------- records, as docs/abi.md has them

_HEAD = struct.Struct("<4sHHHHIQQQQQQHHIIIII8x11Q")
_DETECTION = struct.Struct("<5fHHII")
_FRAME = struct.Struct("<QQQ4sIIIQI4xQQQQQQQQ")
_STATS_HEAD = struct.Struct("<4sHHHHIQQQQIIQ6QIIIHHIIQIIQ")
_STATS_TAIL = struct.Struct("<QQQ")
_HISTOGRAM = struct.Struct(f"<HHIQ{_BUCKETS}I")
_METRIC = struct.Struct("<HHIIIII")


def _magic(payload: memoryview, least: int, magic: bytes, what: str) -> None:
    if len(payload) < least:
        raise ValueError(f"{what} of {len(payload)} bytes is cut short: it needs {least}")
    if bytes(payload[:4]) != magic:
        raise ValueError(f"not a {what}: it begins with {bytes(payload[:4])!r}")
    major = int.from_bytes(payload[4:6], "little")
    if major != 1:
        raise ValueError(f"{what} of ABI version {major}, this reads version 1: use the same release on both sides")


def _record(raw: _Raw) -> Record:
    payload = raw.payload
    _magic(payload, 256, b"HJDT", "detection record")
    (_, _, _, head_len, item_len, count, _, _, frame_generation, frame_seq, driver_seq, model, backend, status, width,
     height, candidates, suppressed, capped, *times) = _HEAD.unpack_from(payload)
    if head_len < 256 or item_len < 32 or count > 300 or head_len + item_len * count > len(payload):
        raise ValueError(f"detection record of {len(payload)} bytes with impossible lengths "
                         f"(header {head_len}, item {item_len}, count {count})")
    found = []
    for at in range(head_len, head_len + item_len * count, item_len):
        x1, y1, x2, y2, score, number, _, track, _ = _DETECTION.unpack_from(payload, at)
        label = LABELS[number] if number < len(LABELS) else f"class {number}"
        found.append(Detection(label, score, (x1, y1, x2, y2), number, track))
    return Record(
        generation=raw.generation, seq=raw.seq, frame_generation=frame_generation, frame_seq=frame_seq,
        driver_seq=driver_seq, width=width, height=height, detections=tuple(found),
        status=("ok", "undecodable", "no_signal")[status] if status < 3 else "unknown",
        backend=_BACKENDS.get(backend, "none"), model=f"{model:016x}" if model else None, times=Times(*times),
        candidates=candidates, suppressed=suppressed, capped=capped, lapped=raw.lapped)


def _frame(raw: _Raw) -> Frame:
    if len(raw.meta) < 256:
        raise ValueError(f"frame metadata of {len(raw.meta)} bytes is cut short: it needs 256")
    (generation, seq, driver_seq, code, width, height, stride, _, flags, sensor, dequeued, published, lost, dropped,
     *new_since) = _FRAME.unpack_from(raw.meta)
    name = code.decode("ascii", "replace")
    rows = height + (height + 1) // 2
    shape: tuple[int, ...] = {"YUYV": (height, stride // 2, 2), "GREY": (height, stride),
                              "RGB3": (height, stride // 3, 3), "NV12": (rows, stride), "YU12": (rows, stride)
                              }.get(name, (0,))
    size = 1
    for side in shape:
        size *= side
    if size != len(raw.payload):
        shape = (len(raw.payload),)
    return Frame(generation, seq, driver_seq, name, width, height, stride, raw.payload, shape,
                 Times(sensor, dequeued, published), bool(flags & 1), bool(flags & 2), bool(flags & 4), lost, dropped,
                 raw.lapped, bool(flags & 8), bool(flags & 16), *new_since)


def _stats(raw: _Raw) -> Stats:
    payload = raw.payload
    _magic(payload, 640, b"HJST", "statistics record")
    (_, _, _, stage, backend, pid, t_ns, started, generation, frames_total, fps, rss, cpu, lost, dropped, busy,
     undecodable, no_signal, newest, readers, words, at, many, step, leases, taps, system, peak, queue_age,
     detections_total) = _STATS_HEAD.unpack_from(payload)
    missed, presented, unbalanced = _STATS_TAIL.unpack_from(payload, 576)
    metrics = {}
    for place in range(288, 576, 24):
        number, _, *values = _METRIC.unpack_from(payload, place)
        if 1 <= number <= len(_METRICS):
            metrics[_METRICS[number - 1]] = Metric(*values)
    name = next((name for name, n in _STAGES.items() if n == stage), "unknown")
    counters = {"lost": lost, "dropped": dropped, "skipped_busy": busy, "skipped_undecodable": undecodable,
                "skipped_no_signal": no_signal, "missed": missed}
    what = bytes(payload[160:288]).split(b"\0", 1)[0].decode("utf-8", "replace")
    # Since ABI 1.1; a writer of 1.0 says 0. A length that is not true is cut to what is there.
    choice = bytes(payload[640:640 + min(words, _MAX_WORDS)]).decode("utf-8", "replace")
    return Stats(name, pid, generation, t_ns, started, fps / 1000, frames_total, rss, cpu, readers, counters, what,
                 _BACKENDS.get(backend, "none"), metrics, choice, _histograms(payload, at, many, step), leases, taps,
                 system, peak, queue_age, detections_total, newest, presented, unbalanced)


def _histograms(payload: memoryview, at: int, many: int, step: int) -> dict[str, Histogram]:
    """Those that are whole and known to this version."""
    found = {}
    if step >= _HISTOGRAM.size:
        for place in range(at, min(at + step * many, len(payload) - step + 1), step):
            number, _, _, sum_ns, *counts = _HISTOGRAM.unpack_from(payload, place)
            if 1 <= number <= len(_METRICS):
                found[_METRICS[number - 1]] = Histogram(sum_ns, tuple(counts))
    return found


# ------------------------------------------------------------------------- reading in pure Python: x86-64 only, see top


class _Futex:
    """The futex that every publish wakes. It has a mapping of its own: ctypes cannot take the address of mmap's."""

    def __init__(self, fd: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.mmap.restype = ctypes.c_void_p
        self._libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                                    ctypes.c_long]
        self._libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        address = self._libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
        if address in (None, ctypes.c_void_p(-1).value):
            raise OSError(ctypes.get_errno(), "mmap of the ring's first page failed")
        self._address: int = address

    def wait(self, count: int, seconds: float) -> None:
        """Sleeps until the word differs from ``count``, a wake-up comes, or ``seconds`` have passed."""
        nanoseconds = max(int(seconds * 1e9), 0)
        timespec = (ctypes.c_long * 2)(nanoseconds // 10**9, nanoseconds % 10**9)
        self._libc.syscall(ctypes.c_long(202), ctypes.c_void_p(self._address + 192), ctypes.c_int(0),  # FUTEX_WAIT
                           ctypes.c_uint32(count), timespec, None, ctypes.c_int(0))

    def close(self) -> None:
        if self._address:
            self._libc.munmap(self._address, 4096)
            self._address = 0


class _Ring:
    """One generation, mapped and checked. The header is read once: later changes of it have no effect."""

    def __init__(self, fd: int, topic: int) -> None:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        if ~seals & (fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL):
            raise ValueError(f"shared memory is not sealed (seals {seals:#x}): refused, its owner could shrink it")
        self.size = size = os.fstat(fd).st_size
        if size < 8192 or size % 4096:
            raise ValueError(f"not a usable ring: size is {size}")
        self._map = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
        # One aligned 8-byte load each, as struct's "<Q" is not.
        self._words = memoryview(self._map).cast("Q")
        self._counts = memoryview(self._map).cast("I")
        try:
            self._check(size, topic)
            self._futex = _Futex(fd)
        except BaseException:
            self._unmap()
            raise

    def _check(self, size: int, topic: int) -> None:
        def check(good: bool, what: str, value: int) -> None:
            if not good:
                raise ValueError(f"not a usable ring: {what} is {value:#x}")

        magic, major, _, head, kind, self.slots, self.generation, self.stride, self.meta_len, meta_at, \
            self.payload_at, self.capacity, total = struct.unpack_from("<QHHIIIQQIIQQQ", self._map)
        check(magic == int.from_bytes(b"HANJARNG", "little"), "magic", magic)
        if major != 1:
            raise ValueError(f"ring of ABI version {major}, this reads version 1: use the same release on both sides")
        check(head == 4096, "header length", head)
        check(kind == topic, "topic", kind)
        check(2 <= self.slots <= 128, "number of slots", self.slots)
        check(meta_at == 64, "offset of the metadata", meta_at)
        check(self.meta_len <= 4032 and self.meta_len % 8 == 0, "metadata length", self.meta_len)
        check(64 + self.meta_len <= self.payload_at <= 8192 and self.payload_at % 8 == 0, "payload offset",
              self.payload_at)
        check(1 <= self.capacity <= 256 << 20, "payload capacity", self.capacity)
        check(self.stride % 8 == 0 and self.payload_at + self.capacity <= self.stride <= 1 << 30, "stride",
              self.stride)
        check(total == size and 4096 + self.slots * self.stride <= size, "size", size)

    def newest(self) -> int:
        """State word of the newest slot; 0: none yet, or an invalid one."""
        state = self._words[16]
        return 0 if state & 1 or state >> 1 & 127 >= self.slots else state

    def find(self, seq: int) -> int:
        """State word of the slot with this number; 0: it is in none."""
        for slot in range(self.slots):
            state = seq << 8 | slot << 1
            if self._words[(4096 + slot * self.stride) // 8] == state:
                return state
        return 0

    def copy(self, state: int) -> tuple[bytes, memoryview] | None:
        """Metadata and payload; None: it was overwritten meanwhile. The order of these lines is the protocol."""
        at = 4096 + (state >> 1 & 127) * self.stride
        if self._words[at // 8] != state:
            return None
        length = min(self._words[at // 8 + 1], self.capacity)
        meta = self._map[at + 64:at + 64 + self.meta_len]
        payload = self._map[at + self.payload_at:at + self.payload_at + length]
        return (meta, memoryview(payload)) if self._words[at // 8] == state else None

    def wait_newer(self, seen: int, seconds: float) -> bool:
        count = self._counts[48]
        if self.newest() >> 8 <= seen:
            self._futex.wait(count, seconds)
        return self.newest() >> 8 > seen

    def _unmap(self) -> None:
        self._words.release()
        self._counts.release()
        self._map.close()

    def close(self) -> None:
        self._futex.close()
        self._unmap()


def _readable(connection: socket.socket, seconds: float) -> bool:
    """Whether a message or a hang-up is there within the time. Not select(): it fails beyond descriptor 1023."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(max(seconds, 0) * 1000))


class _Pure:
    """Reads in pure Python; attaches to a stage again whenever that is restarted."""

    def __init__(self, runtime_dir: str, stage: str, topic: int, newest: bool) -> None:
        self._path, self._topic, self._newest = os.path.join(runtime_dir, f"{stage}-tap.sock"), topic, newest
        self._socket: socket.socket | None = None
        self._ring: _Ring | None = None
        self._generation = self._seen = self.torn = 0
        self._retry_at = 0.0
        self.problem: str | None = None

    def next(self, timeout: float) -> _Raw | None:
        """Something new within ``timeout`` seconds, or None."""
        deadline = time.monotonic() + timeout
        while True:
            ring = self._ring or self._attach(deadline)
            if ring is None:
                return None
            if ring.generation != self._generation:
                # The first time, reading begins with the newest; after a restart, with the first of the new generation.
                self._seen = 0 if self._generation else max((ring.newest() >> 8) - 1, 0)
                self._generation = ring.generation
            left = max(deadline - time.monotonic(), 0)
            raw = self._read(ring)
            if raw is None and not ring.wait_newer(self._seen, min(left, _POLL)) and self._hung_up():
                raw = self._read(ring)  # published after the last check and before the writer ended
                if raw is None:
                    self.close()
            if raw is not None or left == 0:
                return raw

    def _read(self, ring: _Ring) -> _Raw | None:
        seen = self._seen
        newest = ring.newest()
        if self._newest:
            candidates = (ring.newest() for _ in range(ring.slots))
        else:
            oldest = max((newest >> 8) - ring.slots + 1, seen + 1)
            candidates = (ring.find(seq) for seq in range(oldest, (newest >> 8) + 1))
        for state in candidates:
            if state >> 8 <= seen:
                if self._newest:
                    return None
                continue
            copied = ring.copy(state)
            if copied:
                self._seen = state >> 8
                return _Raw(ring.generation, state >> 8, 0 if self._newest else self._seen - seen - 1, *copied)
            self.torn += 1
        if newest >> 8 > seen:
            time.sleep(0.0005)  # the writer is faster than this copies, or violates the protocol: do not spin
        return None

    def _attach(self, deadline: float) -> _Ring | None:
        """Connects, sends the request, maps the ring. ValueError for errors that another attempt would not mend."""
        while self._socket is None:
            wait = self._retry_at - time.monotonic()
            if wait > deadline - time.monotonic():
                time.sleep(max(deadline - time.monotonic(), 0))
                return None
            time.sleep(max(wait, 0))
            self._retry_at = time.monotonic() + _RETRY
            self._request()
        if not _readable(self._socket, deadline - time.monotonic()):
            self.problem = self.problem or f"{self._path}: connected, but the stage does not have this topic yet"
            return None
        connection, self._socket = self._socket, None
        fds: list[int] = []
        try:
            reply, fds, _, _ = socket.recv_fds(connection, 65, 4, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
            self._ring = self._accept(reply, fds)
        except OSError as error:
            self.problem = f"{self._path}: {error}"
        finally:
            for fd in fds:
                os.close(fd)
            if self._ring:
                self._socket, self.problem = connection, None
            else:
                connection.close()
        return self._ring

    def _request(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.settimeout(0)
            connection.connect(self._path)
            connection.send(struct.pack("<4sHHHH52x", b"HJRQ", 1, 2, self._topic, 0))
            self._socket, self.problem = connection, None
        except OSError as error:
            connection.close()
            absent = isinstance(error, (FileNotFoundError, ConnectionRefusedError))
            why = "the stage does not run; start it with: hanja run, or name its runtime_dir" if absent else str(error)
            if isinstance(error, PermissionError):
                why += "; to read along with the installed service: sudo usermod -aG hanja-tap $USER, and log in again"
            self.problem = f"{self._path}: {why}"

    def _accept(self, reply: bytes, fds: list[int]) -> _Ring | None:
        if not reply:
            self.problem = f"{self._path}: the stage hung up"
            return None
        if len(reply) != 64 or reply[:4] != b"HJRP":
            raise ValueError(f"{self._path}: the reply is malformed")
        major, _, status = struct.unpack_from("<HHH", reply, 4)
        if major != 1 or status == 2:
            raise ValueError(f"{self._path}: the stage runs another ABI version: use the same release on both sides")
        if status in (5, 6):
            self.problem = f"{self._path}: the stage has no room for another reader"
            return None
        if status != 0 or len(fds) != 1:
            raise ValueError(f"{self._path}: refused with status {status} and {len(fds)} descriptors")
        ring = _Ring(fds[0], self._topic)
        if struct.unpack_from("<QQ", reply, 16) != (ring.generation, ring.size):
            ring.close()
            raise ValueError(f"{self._path}: the reply describes another ring than the one it brings")
        return ring

    def _hung_up(self) -> bool:
        return self._socket is None or _readable(self._socket, 0)

    def close(self) -> None:
        """Detaches. The next attempt to attach comes without delay, since a successor may already run."""
        if self._ring:
            self._ring.close()
        if self._socket:
            self._socket.close()
        self._ring = self._socket = None
        self._retry_at = 0.0


# ------------------------------------------------------------------------------- reading through the C library


class _Sample(ctypes.Structure):
    """hanja_tap_sample."""

    _fields_ = [("generation", ctypes.c_uint64), ("seq", ctypes.c_uint64), ("lapped", ctypes.c_uint64),
                ("torn", ctypes.c_uint64), ("payload_length", ctypes.c_uint64), ("meta", ctypes.c_ubyte * 256)]


def _choose_library(library: str | os.PathLike[str] | None) -> str | None:
    path = os.fspath(library) if library is not None else os.environ.get("HANJA_TAP_LIBRARY", "")
    if path:
        return path
    if platform.machine() in ("x86_64", "AMD64") and sys.maxsize > 2**32:
        return None
    path = ctypes.util.find_library("hanja_tap") or ""
    if not path:
        raise OSError(f"on {platform.machine()} pure Python cannot read shared memory soundly, and libhanja_tap is not "
                      "installed: run bindings/c/install.sh, or name the library in HANJA_TAP_LIBRARY")
    return path


def _load(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    library.hanja_tap_version.restype = library.hanja_tap_last_error.restype = ctypes.c_char_p
    version = library.hanja_tap_version().decode()
    if version.split(".")[:2] != __version__.split(".")[:2]:
        raise OSError(f"{path} is version {version}, this module {__version__}: use the same release of both")
    library.hanja_tap_open.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_char_p, ctypes.c_int, ctypes.c_int,
                                       ctypes.c_int]
    library.hanja_tap_next.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Sample)]
    library.hanja_tap_copy.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    library.hanja_tap_close.argtypes = [ctypes.c_void_p]
    library.hanja_tap_close.restype = None
    return library


class _Library:
    """The same as :class:`_Pure`, through the C library."""

    def __init__(self, library: ctypes.CDLL, runtime_dir: str, stage: str, topic: int, newest: bool) -> None:
        self._library, self._tap, self._sample = library, ctypes.c_void_p(), _Sample()
        self._lapped = self.torn = 0
        self.problem: str | None = None
        if library.hanja_tap_open(ctypes.byref(self._tap), os.fsencode(runtime_dir), _STAGES[stage], topic,
                                  0 if newest else 1):
            raise ValueError(self._last_error())

    def _last_error(self) -> str:
        return str(self._library.hanja_tap_last_error().decode("utf-8", "replace"))

    def next(self, timeout: float) -> _Raw | None:
        """Something new within ``timeout`` seconds, or None; perhaps a little earlier."""
        sample = self._sample
        # Short time-outs only (Tap ensures it): the library waits through signals, and Python must handle them.
        code = self._library.hanja_tap_next(self._tap, int(timeout * 1000) + (timeout > 0), ctypes.byref(sample))
        self.problem = self._last_error() if code == 2 else None
        if code in (1, 2):
            return None
        length = sample.payload_length
        payload = bytearray(length)
        if code == 0:
            buffer = (ctypes.c_ubyte * length).from_buffer(payload) if length else None
            code = self._library.hanja_tap_copy(self._tap, buffer, length, None)
            del buffer
        self.torn = sample.torn + (code == 3)
        self._lapped += sample.lapped
        if code == 3:
            return None  # counted as lapped by the library, with the next sample
        if code:
            raise ValueError(self._last_error())
        lapped, self._lapped = self._lapped, 0
        return _Raw(sample.generation, sample.seq, lapped, bytes(sample.meta), memoryview(payload).toreadonly())

    def close(self) -> None:
        """Ends the tap."""
        self._library.hanja_tap_close(self._tap)
        self._tap = ctypes.c_void_p()
