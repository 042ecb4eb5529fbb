"""Configuration that cannot be: the stage says so, does not spin, the others live on, and it comes back when it is
mended."""

import socket
import time
import unittest

import machine
from machine import STAGES, UNIT, Reader, active, pid, pids, show, systemctl, until

BROKEN = {
    "broken TOML": ('[infer\nconf = 0.5\n', "hanja.toml"),
    "unknown key": ('[infer]\ncnof = 0.5\n', "did you mean 'conf'"),
    "wrong type": ('[infer]\nconf = "high"\n', "hanja.toml"),
    "out of range": ('[infer]\nsize = 100\n', "multiple of 32"),
    "missing model": ('[infer]\nmodel = "/nowhere/model.onnx"\n', "/nowhere/model.onnx"),
    "unknown backend": ('[infer]\nbackend = "abacus"\n', "abacus"),
}


def setUpModule():
    machine.running()


def tearDownModule():
    machine.configure()
    systemctl("reset-failed")
    systemctl("restart", UNIT)


class Hostile(unittest.TestCase):
    def setUp(self):
        machine.configure()
        systemctl("start", UNIT)
        for stage in STAGES:
            until(lambda s=stage: active(f"hanja-{s}") == "active", 20, f"{stage} is active")

    def mend(self):
        """As a person would: mend the file, start the service."""
        machine.configure()
        systemctl("restart", UNIT)
        with Reader() as reader:
            reader.wait_for(lambda r: r["status"] == "ok", 10, "a detection once it is mended")

    def test_one_stage_with_a_broken_configuration(self):
        for name, (text, words) in BROKEN.items():
            with self.subTest(name):
                others = {stage: pid(stage) for stage in ("capture", "render")}
                mark = machine.cursor()
                machine.configure(text=f'[capture]\nsource = "{machine.SYNTH}"\n' + text)
                systemctl("restart", "hanja-infer", check=False)
                self.assertNotEqual(active("hanja-infer"), "active")
                said = machine.said_since(mark, "hanja-infer")
                self.assertIn(words, said)
                self.assertNotIn("panicked", said)
                self.calm("hanja-infer")
                for stage, number in others.items():
                    self.assertEqual(pid(stage), number, f"{stage} lives on")
                self.mend()

    def calm(self, unit):
        """Not started more than about once a second, and what it says does not flood the journal."""
        mark, before = machine.cursor(), int(show(unit, "NRestarts"))
        time.sleep(4)
        self.assertLessEqual(int(show(unit, "NRestarts")) - before, 4, f"{unit} is started again and again")
        self.assertLess(len(machine.said_since(mark, unit)), 20_000)

    def test_whole_pipeline_with_a_broken_configuration(self):
        mark = machine.cursor()
        machine.configure(text="[capture\n")
        done = systemctl("restart", UNIT, check=False)
        self.assertNotEqual(done.returncode, 0, "systemctl reports the failure")
        for stage in STAGES:
            # The journal reads what a dead process said when it comes to it.
            until(lambda s=stage: "hanja.toml" in machine.said_since(mark, f"hanja-{s}"), 5, f"{stage} names the file")
            self.calm(f"hanja-{stage}")
        self.mend()

    def test_port_in_use(self):
        """No failure of the start, but said: render is tried again, and comes up once the port is free."""
        mark = machine.cursor()
        systemctl("stop", UNIT)
        with socket.create_server(("127.0.0.1", 8080)):
            systemctl("start", UNIT)
            self.assertIn("hanja-render is not up yet", machine.said_since(mark, UNIT))
            self.assertEqual([active(f"hanja-{stage}") for stage in ("capture", "infer")], ["active"] * 2)
            self.assertIn("8080", machine.said_since(mark, "hanja-render"))
            self.calm("hanja-render")
        until(lambda: active("hanja-render") == "active", 20, "render comes up by itself")

    def test_missing_configuration(self):
        """Somebody deleted the file: either the defaults, or words that name it; not a crash."""
        mark = machine.cursor()
        machine.run("mv", machine.CONFIG, machine.CONFIG + ".away")
        self.addCleanup(machine.run, "rm", "-f", machine.CONFIG + ".away")
        systemctl("restart", UNIT, check=False)
        for stage in STAGES:
            if active(f"hanja-{stage}") != "active":
                self.assertIn("hanja.toml", machine.said_since(mark, f"hanja-{stage}"))
        self.mend()

    def test_missing_camera_is_a_stated_state(self):
        """No camera is no failure: the service runs, says so, and shows frames flagged as no signal."""
        machine.configure(source="v4l2:/dev/video77")
        systemctl("restart", UNIT)
        self.assertEqual(active("hanja-capture"), "active")
        self.assertRegex(show("hanja-capture", "StatusText"), "(?i)no camera|no signal|/dev/video77")
        with Reader() as reader:
            reader.wait_for(lambda r: r["status"] == "no_signal", 10, "a record flagged no_signal")
        before = pids()
        self.calm("hanja-capture")
        self.assertEqual(pids(), before)
        self.mend()
