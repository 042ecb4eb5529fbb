"""The pipeline as a service: start, what a healthy run says, reload, restart, and that a stop leaves nothing behind."""

import os
import re
import shutil
import time
import unittest

import machine
from machine import RUN, STAGES, UNIT, Reader, active, pids, run, show, systemctl, until

EXAMPLES = "/usr/share/doc/hanja-pipeline/examples"


def setUpModule():
    machine.running()


class Service(unittest.TestCase):
    def setUp(self):
        systemctl("start", UNIT)

    def test_start_returns_when_data_flows(self):
        systemctl("stop", UNIT)
        with Reader() as reader:
            systemctl("start", UNIT)
            self.assertEqual({active(f"hanja-{s}") for s in STAGES}, {"active"})
            reader.wait_for(lambda r: r["status"] == "ok", 1, "a detection, right after start returned")

    def test_both_taps_find_numerals(self):
        for kind in Reader.COMMANDS:
            with self.subTest(kind), Reader(kind) as reader:
                reader.wait_for(lambda r: r["detections"], 20, "a numeral")

    def test_users_and_groups(self):
        for stage, number in pids().items():
            with open(f"/proc/{number}/status", encoding="utf-8") as file:
                status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
            uid = int(run("id", "-u", f"hanja-{stage}").stdout)
            self.assertEqual(status["Uid"].split(), [str(uid)] * 4, stage)
            gid = run("getent", "group", "hanja").stdout.split(":")[2]
            self.assertEqual(status["Gid"].split(), [gid] * 4, stage)
            self.assertEqual(int(status["CapEff"], 16), 0, stage)
            self.assertEqual(status["NoNewPrivs"], "1", stage)
            self.assertEqual(status["Seccomp"], "2", stage)

    def test_status_line_has_the_rate(self):
        for stage in STAGES:
            until(lambda s=stage: self.rate(s) > 0, 10, f"the status line of {stage} has its frame rate")

    def rate(self, stage):
        """Frames per second of the status line; 0 without."""
        found = re.search(r"([\d.]+) fps", show(f"hanja-{stage}", "StatusText"))
        return float(found[1]) if found else 0

    def test_healthy_run_says_nothing_bad(self):
        mark = machine.cursor()
        systemctl("restart", UNIT)
        with Reader() as reader:
            reader.wait_for(lambda r: r["detections"], 20, "a numeral")
            time.sleep(3)  # a run, not a start: long enough for what is said once a second
        systemctl("stop", UNIT)
        for entry in machine.journal(f"--after-cursor={mark}"):
            unit, program = (entry.get(key, "") for key in ("_SYSTEMD_UNIT", "_EXE"))
            if "hanja-test" in unit or "hanja" not in unit + entry.get("UNIT", ""):
                continue
            # The product has no reason to warn either; systemd has its own, of what a container cannot do.
            most = 4 if program.endswith("/hanja") else 3
            self.assertGreater(int(entry.get("PRIORITY", 6)), most, entry.get("MESSAGE"))

    def test_stop_leaves_nothing(self):
        systemctl("stop", UNIT)
        for stage in STAGES:
            self.assertEqual(active(f"hanja-{stage}"), "inactive")
        self.assertEqual(machine.processes(), {})
        self.assertEqual(machine.shared_memory(), [])
        sockets = [name for name in os.listdir(RUN)] if os.path.isdir(RUN) else []
        self.assertEqual(sockets, [], "left in the runtime directory")
        with open("/proc/net/unix", encoding="utf-8") as file:
            self.assertNotIn(RUN + "/", file.read())

    def test_stop_while_being_read(self):
        """Taps that wait and ask again do not bring a stopped pipeline back to life."""
        with Reader() as cli, Reader("python") as python:
            for reader in (cli, python):
                reader.wait_for(lambda r: True, 20, "a record")
            systemctl("stop", UNIT)
            time.sleep(2)
            stages = [command for command in machine.processes().values() if " tap " not in command]
            self.assertEqual(stages, [], "stages that came back")
            for stage in STAGES:
                self.assertEqual(active(f"hanja-{stage}"), "inactive")
            marks = len(cli.records), len(python.records)
            systemctl("start", UNIT)
            for reader, mark in zip((cli, python), marks):
                reader.wait_for(lambda r: r["status"] == "ok", 10, "a detection after the start", mark)

    def test_restart(self):
        before = pids()
        with Reader() as reader:
            reader.wait_for(lambda r: True, 20, "a record")
            mark = len(reader.records)
            systemctl("restart", UNIT)
            after = pids()
            for stage in STAGES:
                self.assertNotEqual(after[stage], before[stage], stage)
            reader.wait_for(lambda r: r["status"] == "ok", 10, "a detection after the restart", mark)

    def test_restart_of_one_stage(self):
        for stage in STAGES:
            before = pids()
            systemctl("restart", f"hanja-{stage}")
            after = pids()
            changed = [s for s in STAGES if after[s] != before[s]]
            self.assertEqual(changed, [stage])

    def test_reload(self):
        before = pids()
        mark = machine.cursor()
        with Reader() as reader:
            reader.wait_for(lambda r: True, 20, "a record")
            machine.configure(infer="conf = 0.999999")
            self.addCleanup(machine.configure)
            systemctl("reload", UNIT)
            self.assertEqual(pids(), before)
            reader.wait_for(lambda r: not r["detections"], 10, "nothing is as sure as that",
                            len(reader.records))
        self.assertIn("conf", machine.said_since(mark, "hanja-infer"))

    def test_reload_says_what_needs_a_restart(self):
        before = pids()
        mark = machine.cursor()
        machine.configure(render='http = "127.0.0.1:8081"')
        self.addCleanup(machine.configure)
        systemctl("reload", UNIT)
        until(lambda: "systemctl restart hanja-render" in machine.said_since(mark, "hanja-render"), 5, "restart, it says")
        self.assertEqual(pids(), before)

    def test_reload_of_a_broken_configuration_changes_nothing(self):
        before = pids()
        self.addCleanup(machine.configure)
        for text in ("[infer\nconf = 1", '[infer]\nmodel = "/nowhere/model.onnx"'):
            with self.subTest(text):
                machine.configure(text=f'[capture]\nsource = "{machine.SYNTH}"\n{text}')
                self.assertNotEqual(systemctl("reload", UNIT, check=False).returncode, 0)
                self.assertEqual(pids(), before)
                with Reader() as reader:
                    reader.wait_for(lambda r: r["status"] == "ok", 10, "a detection")
        machine.configure()
        systemctl("reload", UNIT)
        self.assertEqual(pids(), before)

    def test_drop_ins_of_the_examples(self):
        """Each by itself: systemd takes it, the stage runs with it, and those that can be seen here have an effect."""
        cores = os.sched_getaffinity(0)
        effects = {
            "realtime.conf": ("capture", lambda n: os.sched_getscheduler(n) & ~os.SCHED_RESET_ON_FORK == os.SCHED_FIFO),
            "affinity.conf": ("infer", lambda n: os.sched_getaffinity(n) == cores & {1, 2, 3}),
            "infer-cuda.conf": ("infer", lambda n: True),  # without a GPU, as before on the CPU
            "render-network.conf": ("render", lambda n: True),
        }
        if not cores & {1, 2, 3}:
            del effects["affinity.conf"]
        self.assertLessEqual(set(effects), set(os.listdir(EXAMPLES)))
        for name, (stage, effect) in effects.items():
            with self.subTest(name):
                directory = f"/run/systemd/system/hanja-{stage}.service.d"
                os.makedirs(directory)
                try:
                    shutil.copy(f"{EXAMPLES}/{name}", directory)
                    systemctl("daemon-reload")
                    mark = machine.cursor()
                    systemctl("restart", f"hanja-{stage}")
                    self.assertEqual(active(f"hanja-{stage}"), "active")
                    self.assertTrue(effect(machine.pid(stage)), "it has its effect")
                    self.assertNotIn(name, machine.said_since(mark, f"hanja-{stage}"), "systemd has no complaint")
                    with Reader() as reader:
                        reader.wait_for(lambda r: r["status"] == "ok", 10, "a detection")
                finally:
                    shutil.rmtree(directory)
                    systemctl("daemon-reload")
                    systemctl("restart", f"hanja-{stage}")
