"""A hostile stage: wrong seals, sizes, headers, replies and records. A reader must refuse all of them and not crash."""

from __future__ import annotations

import fcntl
import mmap
import os
import random
import struct
import unittest
from typing import Any, Callable, Optional

from support import GOOD, LIBRARY, PURE, Liar, Place, reply, ring_bytes, sealed

import hanja_tap


def record(count: int = 0, head: int = 256, item: int = 32, magic: bytes = b"HJDT", major: int = 1,
           detections: bytes = b"") -> bytes:
    """A detection record."""
    return struct.pack("<4sHHHHI240x", magic, major, 0, head, item, count) + detections


def one(memory: bytes, **seals: int) -> Callable[[], list[int]]:
    return lambda: [sealed(memory, **seals)]


#: What the server does, and a word of what the reader says to it.
LIES: dict[str, tuple[bytes, Callable[[], list[int]], str]] = {
    "no seals": (reply(), one(ring_bytes(), seals=0), "not sealed"),
    "could shrink": (reply(), one(ring_bytes(), seals=fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL), "not sealed"),
    "could grow": (reply(), one(ring_bytes(), seals=fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL), "not sealed"),
    "empty": (reply(), one(b""), "size"),
    "half a page": (reply(), one(ring_bytes()[:2048]), "size"),
    "cut short": (reply(), one(ring_bytes()[:8192]), "size|layout"),
    "magic": (reply(), one(ring_bytes(magic=b"HANJARNH")), "magic"),
    "version": (reply(), one(ring_bytes(major=2)), "ABI version 2"),
    "another topic": (reply(), one(ring_bytes(topic=1)), "topic"),
    "one slot": (reply(), one(ring_bytes(slots=1)), "slots"),
    "129 slots": (reply(), one(ring_bytes(slots=129)), "slots"),
    "more slots than memory": (reply(), one(ring_bytes(slots=128)), "size|layout"),
    "stride into nowhere": (reply(), one(ring_bytes(stride=1 << 40)), "stride|layout"),
    "stride zero": (reply(), one(ring_bytes(stride=0)), "stride|layout"),
    "metadata over the payload": (reply(), one(ring_bytes(meta_len=4032)), "payload|layout|size"),
    "metadata outside": (reply(), one(ring_bytes(meta_at=1 << 31)), "metadata|layout"),
    "payload outside": (reply(), one(ring_bytes(payload_at=1 << 62)), "payload|layout"),
    "capacity beyond the slot": (reply(), one(ring_bytes(capacity=4096)), "stride|layout|size"),
    "capacity beyond all memory": (reply(), one(ring_bytes(capacity=2**64 - 1)), "capacity|cannot have"),
    "total": (reply(), one(ring_bytes(total=8192)), "size|layout"),
    "no descriptor": (reply(), lambda: [], "0 descriptors"),
    "two descriptors": (reply(), lambda: [sealed(ring_bytes()), sealed(ring_bytes())], "2 descriptors"),
    "not a memfd": (reply(), lambda: [os.open("/dev/null", os.O_RDONLY)], "F_GET_SEALS|Invalid argument"),
    "half a reply": (reply()[:32], one(ring_bytes()), "malformed"),
    "a long reply": (reply() + b"x", one(ring_bytes()), "malformed"),
    "a foreign reply": (reply(magic=b"HTTP"), one(ring_bytes()), "malformed"),
    "a reply of version 9": (reply(major=9), one(ring_bytes()), "version"),
    "a reply of another generation": (reply(generation=8), one(ring_bytes()), "another ring"),
    "a reply of another size": (reply(total=8192), one(ring_bytes()), "another ring"),
    "no such topic": (reply(status=3), lambda: [], "topic|status 3"),
    "full": (reply(status=5), lambda: [], "too many readers|no room"),
}


class Pure(Place):
    """Every violation; the subclass repeats them with the C library."""

    library: Optional[str] = PURE

    def setUp(self) -> None:
        super().setUp()
        os.makedirs(self.dir, mode=0o700)

    def ask(self, answer: bytes, fds: Callable[[], list[int]], timeout: float = 0.25) -> Any:
        """The first record that a reader gets from this server."""
        path = os.path.join(self.dir, "infer-tap.sock")
        liar = Liar(path, answer, fds)
        try:
            with hanja_tap.detections(runtime_dir=self.dir, library=self.library, timeout=timeout) as tap:
                return next(tap)
        finally:
            liar.close()
            os.unlink(path)
            self.assertEqual(liar.requests[0], struct.pack("<4sHHHH52x", b"HJRQ", 1, 2, 2, 0))

    def test_a_good_ring_is_read(self) -> None:
        detections = struct.pack("<5fHHII", 1, 2, 3, 4, 0.5, 9, 0, 7, 0) + struct.pack("<5fHHII", *[0] * 9)
        memory = ring_bytes(payload=record(2, detections=detections))
        got = self.ask(reply(), one(memory), timeout=5)
        self.assertEqual((got.generation, got.seq, len(got.detections)), (7, 1, 2))
        self.assertEqual(got.detections[0], hanja_tap.Detection("十", 0.5, (1, 2, 3, 4), 9, 7))

    def test_every_violation_is_refused_with_a_message(self) -> None:
        descriptors = len(os.listdir("/proc/self/fd"))
        for name, (answer, fds, word) in LIES.items():
            with self.subTest(name):
                # Pure Python stops; the library goes on trying, and says why nothing came.
                kind = (ValueError, OSError) if self.library is None and name != "full" else TimeoutError
                with self.assertRaisesRegex(kind, f"(?i){word}"):
                    self.ask(answer, fds)
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), descriptors, "descriptors of refused rings are closed")

    def test_a_state_that_cannot_be_is_nothing(self) -> None:
        for newest in (1 << 8 | 1, 1 << 8 | 4 << 1, 2**64 - 1, 2 << 8):
            with self.subTest(newest=newest), self.assertRaises(TimeoutError):
                self.ask(reply(), one(ring_bytes(payload=record(), newest=newest)))

    def test_a_length_beyond_the_slot_is_cut(self) -> None:
        got = self.ask(reply(), one(ring_bytes(payload=record(), length=2**64 - 1)), timeout=5)
        self.assertEqual(got.detections, ())

    def test_records_that_cannot_be(self) -> None:
        for payload, word in ((record()[:100], "cut short"), (record(magic=b"JUNK"), "not a detection"),
                              (record(major=3), "ABI version 3"), (record(count=301), "count 301"),
                              (record(count=2**32 - 1), "impossible"), (record(head=255), "header 255"),
                              (record(item=31), "item 31"), (record(count=10), "count 10|cut short")):
            with self.subTest(word), self.assertRaisesRegex(ValueError, word):
                self.ask(reply(), one(ring_bytes(payload=payload)), timeout=5)
        # Longer ones, of a later minor version, are stepped over.
        longer = record(1, head=264, item=40, detections=bytes(8) + struct.pack("<5fHHII8x", 1, 2, 3, 4, 1, 0, 0, 0, 0))
        self.assertEqual(self.ask(reply(), one(ring_bytes(payload=longer)), timeout=5).detections[0].label, "一")

    def test_a_server_that_hangs_up_or_says_nothing(self) -> None:
        with self.assertRaisesRegex(TimeoutError, "hung up|Connection reset|not run"):
            self.ask(b"", lambda: [])


class ThroughTheLibrary(Pure):
    """The same, read by the C library."""

    library = LIBRARY


class Rubbish(unittest.TestCase):
    """Damage at random, with a seed: whatever is accepted can be read without leaving the memory."""

    def test_headers(self) -> None:
        chance = random.Random(1)
        accepted = 0
        for _ in range(3000):
            memory = bytearray(ring_bytes(payload=record()))
            for _ in range(chance.randint(1, 3)):
                at = chance.choice([chance.randrange(200), 4096 + chance.randrange(16)])
                memory[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
            fd = sealed(bytes(memory))
            try:
                ring = hanja_tap._Ring(fd, GOOD["topic"])  # type: ignore[arg-type]
            except ValueError:
                continue
            finally:
                os.close(fd)
            accepted += 1
            for state in (ring.newest(), ring.find(1), 1 << 8):
                if state >> 1 & 127 < ring.slots:
                    copied = ring.copy(state)
                    self.assertTrue(copied is None or len(copied[1]) <= ring.capacity)
            ring.close()
        self.assertTrue(100 < accepted < 2900, accepted)


class Overtaken(unittest.TestCase):
    """The writer comes back to a slot while it is being copied, at the worst moment."""

    def test_a_copy_that_was_overtaken_is_thrown_away(self) -> None:
        fd = sealed(ring_bytes(payload=record()))
        ring = hanja_tap._Ring(fd, 2)
        writer = mmap.mmap(fd, 12288)
        os.close(fd)

        class Slow:
            """The ring's memory; the writer marks the slot between the last copy and the check."""

            def __init__(self, memory: mmap.mmap) -> None:
                self.memory = memory

            def __getitem__(self, part: slice) -> bytes:
                copied = self.memory[part]
                struct.pack_into("<Q", writer, 4096, 5 << 8 | 1)
                return copied

            def close(self) -> None:
                self.memory.close()

        self.assertEqual(ring.copy(ring.newest()), (b"", memoryview(record())))
        ring._map = Slow(ring._map)  # type: ignore[assignment]
        self.assertIsNone(ring.copy(ring.newest()))
        ring.close()
        writer.close()


if __name__ == "__main__":
    unittest.main()
