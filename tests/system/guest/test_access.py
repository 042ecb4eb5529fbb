"""Who may do what at the sockets: nobody without a group, taps for hanja-tap, leases for the stages alone."""

import os
import socket
import struct
import subprocess
import sys
import unittest

import machine
from machine import RUN, STAGES, run

#: A lease of two frames, as docs/abi.md has it; quota 0 would be a tap.
FRAMES, QUOTA = 1, 2
LEASE = struct.pack("<4sHHHH52x", b"HJRQ", 1, 1, FRAMES, QUOTA)
FORBIDDEN = 4


def setUpModule():
    machine.running()


def ask(path, message=LEASE):
    """The status of the reply."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(5)
        connection.connect(path)
        connection.send(message)
        return struct.unpack_from("<H", connection.recv(64), 8)[0]


def ask_as(user, path):
    """The same by another user: the status, or the name of the error."""
    done = run(sys.executable, "-B", "/host/tests/test_access.py", path, user=user, check=False)
    return done.stdout.strip() or done.stderr


class Access(unittest.TestCase):
    def test_sockets_belong_to_whom_they_should(self):
        for stage in STAGES:
            for name, group in ((stage, "hanja"), (f"{stage}-tap", "hanja-tap")):
                path = f"{RUN}/{name}.sock"
                wanted = f"660 hanja-{stage} {group}"
                self.assertEqual(run("stat", "-c", "%a %U %G", path).stdout.strip(), wanted, path)

    def test_stranger_is_refused_in_clear_words(self):
        for topic in ("detections", "frames", "stats"):
            with self.subTest(topic):
                done = subprocess.run(
                    (*machine.as_user("stranger"), "timeout", "3", "hanja", "tap", topic, "--json",
                     f"--runtime-dir={RUN}", "--count=1"), text=True, capture_output=True, check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertEqual(done.stdout, "")
                self.assertRegex(done.stderr, "(?i)permission denied|may not|not allowed")
                self.assertIn("hanja-tap", done.stderr, "the remedy is named")

    def test_stranger_cannot_even_connect(self):
        for stage in STAGES:
            for door in (f"{RUN}/{stage}.sock", f"{RUN}/{stage}-tap.sock"):
                self.assertEqual(ask_as("stranger", door), "PermissionError", door)

    def test_tap_user_cannot_lease(self):
        for stage in STAGES:
            self.assertEqual(ask_as("reader", f"{RUN}/{stage}.sock"), "PermissionError")
        self.assertEqual(ask_as("reader", f"{RUN}/capture-tap.sock"), str(FORBIDDEN))

    def test_stages_can(self):
        """The refusals above are not refusals of everything."""
        self.assertEqual(ask_as("hanja-infer", f"{RUN}/capture.sock"), "0")

    def test_default_directory_is_found(self):
        """A person who reads along need not know where systemd put the sockets."""
        with machine.Reader() as reader:
            reader.wait_for(lambda r: True, 10, "a record")
        done = run("timeout", "10", "hanja", "tap", "detections", "--json", "--count=1", user="reader", check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_users_of_stages_cannot_touch_each_other(self):
        for stage in STAGES:
            other = STAGES[(STAGES.index(stage) + 1) % 3]
            done = run("kill", "-0", str(machine.pid(other)), user=f"hanja-{stage}", check=False)
            self.assertNotEqual(done.returncode, 0)

    def test_no_user_can_write_the_runtime_directory(self):
        for name in ("stranger", "reader", *(f"hanja-{s}" for s in STAGES)):
            self.assertNotEqual(run("touch", f"{RUN}/planted", user=name, check=False).returncode, 0, name)
        self.assertFalse(os.path.exists(f"{RUN}/planted"))


if __name__ == "__main__":
    try:
        print(ask(sys.argv[1]))
    except OSError as error:
        print(type(error).__name__)
