"""The V4L2 path of capture under the real units: Linux's test drivers as cameras, pictures of numerals in, detections
out, and everything cameras do to people."""

import os
import re
import time
import unittest

import hanja_tap

import machine
import stills
import v4l2
from machine import RUN, UNIT, Reader, active, pids, show, systemctl, until

STILLS = 6


def tearDownModule():
    systemctl("stop", UNIT)
    for module in ("vivid", "v4l2loopback"):
        v4l2.unload(module)


def frames(seconds=20):
    return hanja_tap.frames(runtime_dir=RUN, timeout=seconds * machine.SLACK)


def rate(tap, seconds):
    """Frames per second by the camera's own numbers and times."""
    first = next(tap)
    last = first
    while last.times.sensor - first.times.sensor < seconds * 1e9:
        last = next(tap)
        assert last.generation == first.generation
    return (last.driver_seq - first.driver_seq) / ((last.times.sensor - first.times.sensor) / 1e9)


class Camera(unittest.TestCase):
    def tearDown(self):
        systemctl("stop", UNIT)
        for module in ("vivid", "v4l2loopback"):
            v4l2.unload(module)

    def recognise(self, feeder, pictures):
        """Shows one picture after the other; most must be read without a fault."""
        good = 0
        with Reader() as reader, frames() as tap:
            for still in pictures:
                feeder.picture = still.data
                frame = next(tap)
                deadline = time.monotonic() + 20 * machine.SLACK
                while bytes(frame.data[:len(still.data)]) != still.data:
                    self.assertLess(time.monotonic(), deadline, "the picture does not come out as it went in")
                    frame = next(tap)
                record = reader.wait_for(
                    lambda r, f=frame: (r["frame"]["generation"], r["frame"]["seq"]) >= (f.generation, f.seq), 20,
                    "a record of the picture")
                good += stills.right(record, still)
        print(f"{self.id().split('.')[-1]}: {good} of {len(pictures)} pictures read without a fault", flush=True)
        self.assertGreaterEqual(good, len(pictures) - 1)

    def test_own_pictures_through_vivid(self):
        pictures = [stills.drawn(seed, "YUYV") for seed in range(1, STILLS + 1)]
        v4l2.cable()
        with v4l2.Feeder("/dev/video1", "YUYV", pictures[0].data) as feeder:
            machine.running("v4l2:/dev/video0?size=640x480&fps=30&format=YUYV")
            self.recognise(feeder, pictures)

    def test_motion_jpeg_through_v4l2loopback(self):
        pictures = [stills.compressed(seed) for seed in range(1, STILLS + 1)]
        v4l2.load("v4l2loopback", "devices=1", "video_nr=9", "card_label=hanja-cam", "exclusive_caps=1")
        with v4l2.Feeder("/dev/video9", "MJPG", pictures[0].data) as feeder:
            machine.running("v4l2:/dev/video9?size=640x480&fps=15&format=MJPG")
            with frames() as tap:
                self.assertEqual(next(tap).format, "MJPG")
            self.recognise(feeder, pictures)

    def test_yuyv_through_v4l2loopback(self):
        pictures = [stills.drawn(seed, "YUYV") for seed in range(1, STILLS + 1)]
        v4l2.load("v4l2loopback", "devices=1", "video_nr=9", "card_label=hanja-cam", "exclusive_caps=1")
        with v4l2.Feeder("/dev/video9", "YUYV", pictures[0].data) as feeder:
            machine.running("v4l2:/dev/video9?size=640x480&fps=15")
            self.recognise(feeder, pictures)

    def test_automatic_source_takes_the_camera(self):
        v4l2.webcam()
        machine.running("auto")
        self.assertIn("/dev/video0", show("hanja-capture", "StatusText"))
        with frames() as tap:
            frame = next(tap)
            self.assertEqual((frame.format, frame.width, frame.height), ("YUYV", 640, 480))
            self.assertFalse(frame.no_signal)

    def test_rate_is_negotiated(self):
        """vivid gives 5 frames a second until it is asked for more; 25 are the most at this size."""
        v4l2.webcam()
        for asked, least, most in ((30, 20, 27), (15, 12, 17)):
            with self.subTest(asked=asked):
                machine.running(f"v4l2:/dev/video0?size=640x480&fps={asked}")
                with frames() as tap:
                    got = rate(tap, 3)
                print(f"asked for {asked} fps, got {got:.1f}", flush=True)
                self.assertTrue(least < got < most, got)

    def test_sizes(self):
        """vivid's sizes are a range with steps, not a list."""
        v4l2.webcam()
        for asked, given in (("320x180", (320, 180)), ("640x360", (640, 360)), ("1280x720", (1280, 720))):
            with self.subTest(asked):
                machine.running(f"v4l2:/dev/video0?size={asked}&fps=10")
                with frames() as tap:
                    frame = next(tap)
                self.assertEqual((frame.width, frame.height), given)

    def test_wrong_format(self):
        """A format that the camera has not: said with those it has; not a crash, not a storm; mended, it goes on."""
        v4l2.webcam()
        machine.running("v4l2:/dev/video0")
        others = {stage: number for stage, number in pids().items() if stage != "capture"}
        mark = machine.cursor()
        machine.configure(source="v4l2:/dev/video0?format=MJPG")
        systemctl("restart", "hanja-capture", check=False)
        until(lambda: "YUYV" in machine.said_since(mark, "hanja-capture"), 20, "capture says what the camera offers")
        self.assertIn("MJPG", machine.said_since(mark, "hanja-capture"))
        restarts = int(show("hanja-capture", "NRestarts"))
        time.sleep(4)
        self.assertLessEqual(int(show("hanja-capture", "NRestarts")) - restarts, 4)
        for stage, number in others.items():
            self.assertEqual(machine.pid(stage), number)
        machine.running("v4l2:/dev/video0")

    def test_unplugged_and_plugged_in_again(self):
        v4l2.webcam()
        machine.running("v4l2:/dev/video0?size=640x480&fps=15")
        before = pids()
        with Reader() as reader, frames() as tap:
            reader.wait_for(lambda r: r["status"] == "ok", 20, "a record of the camera")
            for _ in range(3):
                next(tap)
                v4l2.plug(False)
                self.assertFalse(os.path.exists("/dev/video0"))
                mark = len(reader.records)
                reader.wait_for(lambda r: r["status"] == "no_signal", 20, "a record flagged no_signal", mark)
                until(lambda: re.search("(?i)no signal|no camera|lost", show("hanja-capture", "StatusText")), 10,
                      "the status line says that the camera is away")
                v4l2.plug(True)
                mark, began = len(reader.records), time.monotonic()
                reader.wait_for(lambda r: r["status"] == "ok", 30, "a record of the camera that is back", mark)
                print(f"plugged in again, and a detection record after {time.monotonic() - began:.2f} s", flush=True)
        self.assertEqual(pids(), before, "nobody had to die for it")

    def test_camera_comes_later(self):
        """Boot without a camera, plug it in an hour later."""
        machine.running("auto")
        self.assertEqual(active("hanja-capture"), "active")
        before = pids()
        with Reader() as reader:
            reader.wait_for(lambda r: r["status"] == "no_signal", 20, "a record flagged no_signal")
            v4l2.webcam()
            reader.wait_for(lambda r: r["status"] == "ok", 30, "a record of the camera")
        self.assertEqual(pids(), before)

    def test_input_without_a_signal(self):
        """A capture card whose cable is pulled: its driver fills the buffers with noise, and tells those who ask."""
        v4l2.cable()
        machine.running("v4l2:/dev/video0?size=640x480")
        before = pids()
        with Reader() as reader:
            for mode, status in ((0, "ok"), (1, "no_signal"), (0, "ok")):
                machine.run("v4l2-ctl", "-d", "/dev/video0", f"--set-ctrl=dv_timings_signal_mode={mode}")
                reader.wait_for(lambda r, s=status: r["status"] == s, 20, f"a record that says {status}",
                                len(reader.records))
                said = mode and "no signal"
                until(lambda s=said: not s or s in show("hanja-capture", "StatusText"), 10, "the status line says so, too")
        self.assertEqual(pids(), before)

    def test_loop_that_nobody_feeds(self):
        """Noise, which the driver calls a picture: nothing to be found, and nobody the worse for it."""
        v4l2.cable()
        machine.running("v4l2:/dev/video0?size=640x480")
        before = pids()
        with Reader() as reader:
            reader.wait_for(lambda r: r["status"] == "ok", 20, "a record of noise")
            time.sleep(3)
        self.assertEqual(pids(), before)

    def test_device_busy(self):
        """Another program streams: said so with a remedy, and taken over once that program ends."""
        v4l2.webcam()
        machine.running("v4l2:/dev/video0")
        systemctl("stop", UNIT)
        mark = machine.cursor()
        with v4l2.Hog("/dev/video0"):
            systemctl("start", UNIT, check=False)
            until(lambda: "another program" in machine.said_since(mark, "hanja-capture"), 20, "capture says: busy")
        with Reader() as reader:
            reader.wait_for(lambda r: r["status"] == "ok", 30, "a record once the camera is free")

    def test_only_cameras_can_be_opened(self):
        """The sandbox is real: what capture's control group may not open fails even with the file's permissions."""
        v4l2.webcam()
        machine.running("v4l2:/dev/video0")
        group = "/sys/fs/cgroup" + show("hanja-capture", "ControlGroup")
        for device, may in (("/dev/video0", True), ("/dev/null", True), ("/dev/ubda", False), ("/dev/mem", False)):
            if not os.path.exists(device):
                continue
            opened = machine.run("sh", "-c", f"echo $$ > {group}/cgroup.procs && exec head -c 0 {device}", check=False)
            self.assertEqual(opened.returncode == 0, may, f"{device}: {opened.stderr}")
