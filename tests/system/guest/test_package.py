"""The package's life: installed on a clean machine, upgraded while it works, removed, purged, installed again."""

import glob
import os
import unittest

import machine
from machine import CONFIG, RUN, STAGES, UNIT, Reader, package, run, systemctl


class Package(unittest.TestCase):
    """In order of the names: each begins where the one before ended."""

    def works(self):
        with Reader() as reader:
            reader.wait_for(lambda r: r["status"] == "ok", 20, "a detection")

    def test_1_install_on_a_clean_machine(self):
        if machine.installed():
            self.purge()
        run("dpkg", "-i", package(1))
        self.assertEqual(machine.processes(), {}, "a camera is not switched on by an installation")
        self.assertEqual(run("systemctl", "is-enabled", UNIT, check=False).stdout.strip(), "disabled")
        self.assertEqual(run("hanja", "--version").returncode, 0)
        self.assertEqual(run("hanja-model", "--version").returncode, 0)
        self.assertTrue(os.path.exists(CONFIG))
        for stage in STAGES:
            self.assertIn("hanja", run("id", "-Gn", f"hanja-{stage}").stdout.split())
        self.assertIn("video", run("id", "-Gn", "hanja-capture").stdout.split())
        run("getent", "group", "hanja-tap")
        verified = run("systemd-analyze", "verify", "--man=no", *glob.glob("/lib/systemd/system/hanja-*.service"),
                       check=False)
        self.assertNotIn("hanja", verified.stderr)
        machine.user("reader", "hanja-tap")
        machine.configure()
        systemctl("enable", "--now", UNIT)
        self.works()

    def test_2_files_are_untouched(self):
        self.assertEqual(run("dpkg", "--verify", UNIT, check=False).stdout.replace(f"??5?????? c {CONFIG}", "").strip(),
                         "")

    def test_3_upgrade_while_it_works(self):
        with open(CONFIG, encoding="utf-8") as file:
            before = file.read()
        numbers = machine.pids()
        with Reader() as reader:
            reader.wait_for(lambda r: True, 20, "a record")
            mark = len(reader.records)
            run("dpkg", "--force-confold", "-i", package(2))
            self.assertIsNone(reader.process.poll(), "the tap lived on")
            after = machine.pids()
            for stage in STAGES:
                self.assertNotIn(after[stage], (0, numbers[stage]), f"{stage} runs the new version")
            reader.wait_for(lambda r: r["status"] == "ok", 10, "a detection of the new version", mark)
        with open(CONFIG, encoding="utf-8") as file:
            self.assertEqual(file.read(), before, "the configuration is the owner's")

    def test_4_remove(self):
        run("dpkg", "-r", UNIT)
        self.gone()
        self.assertTrue(os.path.exists(CONFIG), "removal keeps the configuration")

    def test_5_reinstall_after_removal(self):
        run("dpkg", "-i", package(2))
        self.assertEqual(run("systemctl", "is-enabled", UNIT, check=False).stdout.strip(), "enabled", "as it was before")
        systemctl("start", UNIT)
        self.works()

    def test_6_purge(self):
        self.purge()
        self.assertFalse(os.path.exists(os.path.dirname(CONFIG)))
        self.assertFalse(os.path.exists("/var/cache/hanja-pipeline"))

    def test_7_install_after_purge(self):
        run("dpkg", "-i", package(1))
        self.assertEqual(run("systemctl", "is-enabled", UNIT, check=False).stdout.strip(), "disabled")
        machine.running()
        systemctl("enable", UNIT)  # for the second boot

    def purge(self):
        run("dpkg", "-P", UNIT)
        self.gone()

    def gone(self):
        self.assertEqual(machine.processes(), {})
        self.assertEqual(machine.shared_memory(), [])
        self.assertFalse(os.path.isdir(RUN) and os.listdir(RUN), "sockets left behind")
        self.assertEqual(glob.glob("/lib/systemd/system/hanja-[!t]*") + glob.glob("/usr/bin/hanja*"), [])
        failed = run("systemctl", "list-units", "--failed", "--no-legend", "--plain").stdout
        self.assertNotIn("hanja", failed)
