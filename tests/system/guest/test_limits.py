"""Memory limits that are enforced: needs control groups of its own, which user-mode Linux has and containers often
have not."""

import unittest

import machine
from machine import STAGES, Reader, pid, pids, show, until


def setUpModule():
    machine.running()


def tearDownModule():
    machine.systemctl("enable", machine.UNIT)  # for the second boot


def group(stage):
    return "/sys/fs/cgroup" + show(f"hanja-{stage}", "ControlGroup")


def read(stage, name):
    with open(f"{group(stage)}/{name}", encoding="ascii") as file:
        return file.read().strip()


class Limits(unittest.TestCase):
    def test_limits_of_the_units_are_the_kernels(self):
        for stage in STAGES:
            for name, setting in (("memory.max", "MemoryMax"), ("memory.high", "MemoryHigh"), ("pids.max", "TasksMax")):
                self.assertEqual(read(stage, name), show(f"hanja-{stage}", setting), f"{stage} {name}")
                self.assertNotEqual(read(stage, name), "max", f"{stage} {name}")

    def test_healthy_run_keeps_well_within(self):
        with Reader() as reader:
            reader.wait_for(lambda r: r["detections"], 30, "a numeral")
        for stage in STAGES:
            used, most = int(read(stage, "memory.current")), int(read(stage, "memory.high"))
            print(f"{stage}: {used >> 20} MiB of {most >> 20} MiB", flush=True)
            self.assertLess(used, most * 0.8, stage)

    def test_over_the_limit_is_killed_and_comes_back(self):
        """A stage over its limit: the kernel kills in that group alone, systemd starts the stage again under its own
        limit, the others notice nothing. The limit comes down to the stage here, not the stage up to the limit."""
        for stage in STAGES:
            with self.subTest(stage):
                before, mark = pids(), machine.cursor()
                with open(f"{group(stage)}/memory.max", "w", encoding="ascii") as file:
                    file.write("2M")
                until(lambda s=stage: pid(s) not in (0, before[s]), 30, f"{stage} was killed and started again")
                until(lambda s=stage: machine.active(f"hanja-{s}") == "active", 30, f"{stage} is active")
                self.assertRegex(machine.said_since(mark, f"hanja-{stage}"), "(?i)oom")
                self.assertEqual(read(stage, "memory.max"), show(f"hanja-{stage}", "MemoryMax"))
                self.others_live(stage, before)
                with Reader() as reader:
                    reader.wait_for(lambda r: r["status"] == "ok", 20, "a detection")

    def test_limit_too_small_to_live_with(self):
        """Set by an administrator, below what infer needs: it dies and dies, and nobody else does; lifted, it lives."""
        before, mark = pids(), machine.cursor()
        self.addCleanup(machine.run, "systemctl", "revert", "hanja-infer")
        machine.run("systemctl", "set-property", "--runtime", "hanja-infer", "MemoryMax=6M")
        until(lambda: machine.said_since(mark, "hanja-infer").lower().count("oom") >= 3, 60, "infer is killed, again")
        self.others_live("infer", before)
        machine.run("systemctl", "revert", "hanja-infer")
        with Reader() as reader:
            reader.wait_for(lambda r: r["status"] == "ok", 30, "a detection once the limit is lifted")

    def others_live(self, stage, before):
        for other in set(STAGES) - {stage}:
            self.assertEqual(pid(other), before[other], f"{other} was disturbed")
