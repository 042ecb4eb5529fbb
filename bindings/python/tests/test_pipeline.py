"""hanja_tap against the real executable, once in pure Python and once through the C library."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import time
import unittest
import unittest.mock
from typing import Any, Optional

from support import HANJA, LIBRARY, PURE, STAMPED, Place

import hanja_tap

ODD = 0x9E3779B97F4A7C15  # bindings/c/examples/stamped.rs


class Pure(Place):
    """Every test; the subclass runs them again."""

    library: Optional[str] = PURE

    def setUp(self) -> None:
        super().setUp()
        self.options: dict[str, Any] = {"runtime_dir": self.dir, "library": self.library, "timeout": 20}

    def test_records_are_those_of_the_command(self) -> None:
        self.pipeline("synth:?size=320x240&glyphs=4")
        with hanja_tap.detections(**self.options) as tap:
            self.assertEqual(tap.library, self.library)
            first = next(tap)
            command = subprocess.Popen(
                [HANJA, "tap", "detections", "--json", "--count=40", "--runtime-dir", self.dir], stdout=subprocess.PIPE)
            ours = {first.seq: first}
            for record in tap:
                self.assertEqual(record.seq, max(ours) + 1 + record.lapped)
                ours[record.seq] = record
                if command.poll() is not None and len(ours) > 60:
                    break
        assert command.stdout
        theirs = [json.loads(line) for line in command.stdout]
        command.stdout.close()
        common = [(record, ours[record["seq"]]) for record in theirs if record["seq"] in ours]
        self.assertGreater(len(common), 20)
        self.assertTrue(any(record.detections for _, record in common), "synth draws numerals")
        for json_record, record in common:
            frame = json_record["frame"]
            self.assertEqual(
                (record.generation, record.frame_generation, record.frame_seq, record.driver_seq, record.width,
                 record.height, record.status, record.backend, record.model, record.candidates, record.suppressed,
                 record.capped),
                (json_record["generation"], frame["generation"], frame["seq"], frame["driver_seq"], frame["width"],
                 frame["height"], json_record["status"], json_record["backend"], json_record["model"],
                 json_record["candidates"], json_record["suppressed"], json_record["capped"]))
            self.assertEqual({k: v for k, v in record.times._asdict().items() if v}, json_record["times_ns"])
            self.assertAlmostEqual(record.end_to_end_ms, json_record["end_to_end_ms"], 2)
            self.assertEqual(len(record.detections), len(json_record["detections"]))
            for found, json_found in zip(record.detections, json_record["detections"]):
                self.assertEqual((found.label, found.class_number), (json_found["label"], json_found["class"]))
                for mine, its in zip((found.score, *found.box), (json_found["score"], *json_found["box"])):
                    self.assertAlmostEqual(mine, its, 3)

    def test_frames_of_every_shape(self) -> None:
        self.pipeline("synth:?size=322x242&fps=60")
        with hanja_tap.frames(**self.options) as tap:
            last = 0
            for _ in range(10):
                frame = next(tap)
                self.assertGreater(frame.seq, last)
                last = frame.seq
                # Drawn anew each time, with a number and a time of its own.
                self.assertEqual((frame.new_number_ns, frame.new_time_ns, frame.new_picture_ns),
                                 (frame.times.dequeued,) * 3)
                self.assertEqual((frame.format, frame.width, frame.height, frame.stride), ("YUYV", 322, 242, 644))
                self.assertEqual((frame.shape, len(frame.data)), ((242, 322, 2), 242 * 322 * 2))
                self.assertTrue(frame.data.readonly and frame.synthetic and not frame.no_signal)
                # Limited-range luma of light paper, and synth's fixed chroma.
                self.assertEqual((set(frame.data[1::4].tobytes()), set(frame.data[3::4].tobytes())), ({126}, {129}))
                luma = frame.data[0::2].tobytes()
                self.assertTrue(16 <= min(luma) and max(luma) <= 235 and sum(luma) / len(luma) > 100)
                self.assertLessEqual(frame.times.sensor, frame.times.published)
                self.assertLess(abs(time.monotonic_ns() - frame.times.published), 10**9)
        self.assertRaises(StopIteration, next, tap)

    def test_statistics_of_every_stage(self) -> None:
        running = self.pipeline("synth:?size=320x240")
        self.assertIsNone(running.poll())
        seen: dict[str, hanja_tap.Stats] = {}
        with hanja_tap.stats(**self.options) as tap:
            while not all(name in seen and seen[name].fps > 5 for name in ("capture", "infer")):
                item = next(tap)
                seen[item.stage] = item
        self.assertIn("synth", seen["capture"].what)
        self.assertEqual(seen["infer"].backend, "rten")
        self.assertRegex(seen["infer"].backend_choice, r"^rten; not tensorrt: .+; not onnxruntime: .+$")
        self.assertEqual(seen["capture"].backend_choice, "")
        for name in ("capture", "infer"):
            self.assertEqual(seen[name].pid, self.stage(name))
            self.assertGreater(seen[name].rss_kib, 1000)
        metric = seen["infer"].metrics["inference"]
        self.assertTrue(0 < metric.p50_us <= metric.p99_us <= metric.max_us and metric.count > 0)
        self.assertEqual((seen["infer"].unbalanced, seen["capture"].unbalanced), (0, 0))
        self.assertGreaterEqual(seen["infer"].rss_peak_kib, seen["infer"].rss_kib)
        self.assertEqual(seen["infer"].readers, seen["infer"].leases + seen["infer"].taps)
        self.assertEqual(set(seen["capture"].histograms), {"dequeue", "publish"})
        with hanja_tap.stats("infer", **self.options) as tap:
            first, second = next(tap), next(tap)
        self.assertEqual((first.stage, second.stage), ("infer", "infer"))
        before, after = first.histograms["inference"], second.histograms["inference"]
        grown, metric = after.since(before), second.metrics["inference"]
        self.assertEqual(grown.count, metric.count)
        self.assertEqual(before.merged(grown), after)
        self.assertAlmostEqual(grown.quantile(0.5) or 0, metric.p50_us, delta=1 + metric.p50_us / 8)
        self.assertEqual(sum(count for _, count in after.buckets()), after.count)

    def test_records_as_render_had_them(self) -> None:
        self.pipeline("synth:?size=320x240")
        with hanja_tap.presented(**self.options) as tap:
            records = [next(tap) for _ in range(5)]
        for record in records:
            self.assertGreaterEqual(record.times.render_acquired, record.times.detections_published)
            self.assertEqual(record.times.presented, 0, "nobody watches")
            self.assertGreater(record.frame_seq, 0)

    def test_killed_and_restarted_under_the_reader(self) -> None:
        self.pipeline("synth:?size=320x240&fps=60")
        descriptors = len(os.listdir("/proc/self/fd"))
        with hanja_tap.frames(newest=False, **self.options) as tap:
            generations = [next(tap).generation]
            attached = len(os.listdir("/proc/self/fd"))
            for _ in range(2):
                os.kill(self.stage("capture"), signal.SIGKILL)
                last = 0
                for frame in tap:
                    if frame.generation != generations[-1]:
                        break
                    self.assertGreater(frame.seq, last)
                    last = frame.seq
                generations.append(frame.generation)
                self.assertLessEqual(frame.seq - frame.lapped, 1, "what the reader missed of the new one is counted")
                self.assertEqual(set(frame.data[1::4].tobytes()), {126})
            self.assertEqual(generations, sorted(set(generations)))
            self.assertEqual(len(os.listdir("/proc/self/fd")), attached)
        self.assertEqual(len(os.listdir("/proc/self/fd")), descriptors)

    def whole(self, frame: hanja_tap.Frame) -> None:
        word = struct.pack("<Q", frame.seq * ODD % 2**64)
        self.assertTrue(frame.data == word * (len(frame.data) // 8), f"frame {frame.seq} is torn")

    def test_no_torn_frame_from_a_writer_that_never_rests(self) -> None:
        self.spawn(STAMPED, self.dir)
        for newest in (True, False):
            with hanja_tap.frames(newest=newest, **self.options) as tap:
                copies, last, end = 0, 0, time.monotonic() + 4
                while time.monotonic() < end or copies < 100:
                    frame = next(tap)
                    self.whole(frame)
                    self.assertGreater(frame.seq, last)
                    if not newest and last:
                        self.assertEqual(frame.seq, last + 1 + frame.lapped)
                    last = frame.seq
                    copies += 1
                print(f"\n{type(self).__name__}, newest={newest}: {copies} whole frames of {last}, {tap.torn} torn "
                      f"copies thrown away, {tap.lapped} lapped", end=" ")

    def test_whole_frames_at_240_a_second(self) -> None:
        self.spawn(STAMPED, self.dir, "240")
        with hanja_tap.frames(newest=False, **self.options) as tap:
            for _ in range(480):
                self.whole(next(tap))

    def test_a_slow_reader_is_told(self) -> None:
        self.spawn(STAMPED, self.dir, "200")
        with hanja_tap.frames(newest=False, **self.options) as tap:
            first = next(tap)
            time.sleep(0.5)
            late = next(tap)
            self.assertGreater(late.lapped, 10)
            self.assertEqual((late.seq, tap.lapped), (first.seq + 1 + late.lapped, late.lapped + first.lapped))

    def test_nobody_there(self) -> None:
        started = time.monotonic()
        with hanja_tap.detections(runtime_dir=self.dir, library=self.library, timeout=0.3) as tap:
            with self.assertRaisesRegex(TimeoutError, f"{self.dir}/infer-tap.sock.*hanja run"):
                next(tap)
            self.assertTrue(0.25 < time.monotonic() - started < 3)
            os.makedirs(self.dir, mode=0o700)
            self.spawn(STAMPED, self.dir)  # a capture, but no detections
            with self.assertRaises(TimeoutError):
                next(tap)
        with hanja_tap.truth(runtime_dir=self.dir, library=self.library, timeout=1) as tap:
            with self.assertRaisesRegex(TimeoutError, "does not have this topic"):
                next(tap)

    def test_waiting_for_ever_says_so_and_can_be_interrupted(self) -> None:
        class Interrupted(Exception):
            pass

        def interrupt(*_: object) -> None:
            raise Interrupted

        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, interrupt))
        with hanja_tap.frames(runtime_dir=self.dir, library=self.library) as tap:
            signal.setitimer(signal.ITIMER_REAL, 1.5)
            with self.assertLogs("hanja_tap", "WARNING") as logs, self.assertRaises(Interrupted):
                next(tap)
        self.assertEqual(len(logs.output), 1, logs.output)
        self.assertIn("hanja run", logs.output[0])


class ThroughTheLibrary(Pure):
    """All of the above, read by the C library."""

    library = LIBRARY


class Choices(Place):
    """Tests that need no pipeline."""

    def test_the_default_directory_is_the_products(self) -> None:
        for variables in ({"RUNTIME_DIRECTORY": "/nowhere/a", "XDG_RUNTIME_DIR": "/nowhere/b"},
                          {"RUNTIME_DIRECTORY": "", "XDG_RUNTIME_DIR": "/nowhere/b"}, {"TMPDIR": "/nowhere/c"}, {}):
            environment = {"PATH": os.environ["PATH"], **variables}
            command = subprocess.Popen([HANJA, "tap", "detections"], stderr=subprocess.PIPE, env=environment)
            assert command.stderr
            line = command.stderr.readline().decode()
            command.kill()
            command.wait()
            command.stderr.close()
            theirs = re.search("nothing to tap in (.*) yet", line)
            assert theirs, line
            with unittest.mock.patch.dict(os.environ, environment, clear=True):
                self.assertEqual(hanja_tap.default_runtime_dir(), theirs.group(1))

    def test_which_way_is_chosen(self) -> None:
        with unittest.mock.patch.dict(os.environ, {"HANJA_TAP_LIBRARY": LIBRARY}):
            with hanja_tap.frames(runtime_dir=self.dir) as tap:
                self.assertEqual(tap.library, LIBRARY)
        with unittest.mock.patch("platform.machine", return_value="aarch64"), \
                unittest.mock.patch("ctypes.util.find_library", return_value=None):
            with self.assertRaisesRegex(OSError, "aarch64.*install.sh"):
                hanja_tap.frames(runtime_dir=self.dir)
        with unittest.mock.patch("platform.machine", return_value="aarch64"), \
                unittest.mock.patch("ctypes.util.find_library", return_value=LIBRARY):
            with hanja_tap.frames(runtime_dir=self.dir) as tap:
                self.assertEqual(tap.library, LIBRARY)
        with self.assertRaisesRegex(ValueError, "capture, infer, render"):
            hanja_tap.stats("kitchen")


if __name__ == "__main__":
    unittest.main()
