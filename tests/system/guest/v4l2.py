"""The other end of a test camera's cable: pictures into vivid's output or v4l2loopback, at a steady rate."""

import fcntl
import mmap
import os
import struct
import threading
import time

from machine import run

_OUTPUT, _CAPTURE, _MMAP, _FIELD_NONE, _SRGB = 2, 1, 1, 1, 8
_FORMAT = struct.Struct("=II8I168x")  # type, (padding), v4l2_pix_format, rest of the union
_REQUEST = struct.Struct("=5I")
_BUFFER = struct.Struct("=5I4x16x16xIIQI4xi4x")


def _code(direction, number, size):
    return direction << 30 | size << 16 | ord("V") << 8 | number


_S_FMT, _REQBUFS = _code(3, 5, 208), _code(3, 8, 20)
_QUERYBUF, _QBUF, _DQBUF = (_code(3, number, 88) for number in (9, 15, 17))
_STREAMON = _code(1, 18, 4)


def _buffer(fd, code, kind, index=0, used=0):
    """One ioctl about a buffer: its index, length and place in the device's memory."""
    data = bytearray(_BUFFER.pack(index, kind, used, 0, _FIELD_NONE, 0, _MMAP, 0, 0, 0))
    fcntl.ioctl(fd, code, data)
    index, _, _, _, _, _, _, offset, length, _ = _BUFFER.unpack(data)
    return index, length, offset


def _set_format(fd, kind, fourcc, width, height):
    size = width * height * 2
    pixels = int.from_bytes(fourcc.encode(), "little")
    stride = 0 if fourcc == "MJPG" else width * 2
    fcntl.ioctl(fd, _S_FMT, bytearray(_FORMAT.pack(kind, 0, width, height, pixels, _FIELD_NONE, stride, size, _SRGB, 0)))


def _stream(fd, kind):
    """Buffers of the device, mapped."""
    request = bytearray(_REQUEST.pack(4, kind, _MMAP, 0, 0))
    fcntl.ioctl(fd, _REQBUFS, request)
    count = _REQUEST.unpack(request)[0]
    maps = []
    for index in range(count):
        _, length, offset = _buffer(fd, _QUERYBUF, kind, index)
        maps.append(mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset))
    return maps


class Feeder:
    """Shows a picture until it is told to show another."""

    def __init__(self, device, fourcc, picture, size=(640, 480), fps=15):
        self.picture, self.shown = picture, 0
        self._period, self._stop = 1 / fps, threading.Event()
        self._fd = os.open(device, os.O_RDWR)
        _set_format(self._fd, _OUTPUT, fourcc, *size)
        self._maps = _stream(self._fd, _OUTPUT)
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def _feed(self):
        free, due = list(range(len(self._maps))), time.monotonic()
        started = False
        while not self._stop.is_set():
            index = free.pop() if free else _buffer(self._fd, _DQBUF, _OUTPUT)[0]
            picture = self.picture
            self._maps[index][:len(picture)] = picture
            _buffer(self._fd, _QBUF, _OUTPUT, index, len(picture))
            if not free and not started:
                fcntl.ioctl(self._fd, _STREAMON, struct.pack("=i", _OUTPUT))
                started = True
            self.shown += 1
            due = max(due + self._period, time.monotonic() - 1)
            self._stop.wait(max(due - time.monotonic(), 0))

    def close(self):
        self._stop.set()
        self._thread.join(5)
        for buffer in self._maps:
            buffer.close()
        os.close(self._fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Hog:
    """Another program that streams from a camera, so that nobody else can."""

    def __init__(self, device, fourcc="YUYV", size=(640, 480)):
        self._fd = os.open(device, os.O_RDWR)
        _set_format(self._fd, _CAPTURE, fourcc, *size)
        self._maps = _stream(self._fd, _CAPTURE)
        for index in range(len(self._maps)):
            _buffer(self._fd, _QBUF, _CAPTURE, index)
        fcntl.ioctl(self._fd, _STREAMON, struct.pack("=i", _CAPTURE))

    def close(self):
        for buffer in self._maps:
            buffer.close()
        os.close(self._fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def load(module, *parameters):
    run("modprobe", module, *parameters)
    run("udevadm", "settle")


def unload(module):
    run("rmmod", module, check=False)


def webcam():
    """vivid as a webcam: /dev/video0, test pattern, 5 frames a second unless asked for more."""
    load("vivid", "n_devs=1", "node_types=0x1", "num_inputs=1", "input_types=0")


def cable():
    """vivid with its output looped to its input: what goes into /dev/video1 comes out of /dev/video0, at 59.94 Hz."""
    load("vivid", "n_devs=1", "node_types=0x101", "num_inputs=2", "input_types=0xc", "num_outputs=1", "output_types=1")
    control = "v4l2-ctl"
    run(control, "-d", "/dev/video0", "--set-input=1")
    for device in ("/dev/video1", "/dev/video0"):
        run(control, "-d", device, "--set-dv-bt-timings=index=0")
    run(control, "-d", "/dev/video1", "--set-fmt-video-out=pixelformat=YUYV,width=640,height=480")
    run(control, "-d", "/dev/video0", "--set-ctrl=loop_video=1,osd_text_mode=2")


def plug(there):
    """The camera's cable, pulled or put back."""
    with open("/sys/bus/platform/drivers/vivid/" + ("bind" if there else "unbind"), "w", encoding="ascii") as file:
        file.write("vivid.0")
    run("udevadm", "settle")
