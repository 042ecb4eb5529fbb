"""The commands of docs/operations.md: the blocks that it calls tested, in its order, as root."""

import re
import unittest

import machine
from machine import run


class Operations(unittest.TestCase):
    def test_commands_of_the_guide(self):
        machine.running()
        with open("/host/operations.md", encoding="utf-8") as file:
            blocks = re.findall(r"^```sh\n(.*?)^```$", file.read(), re.DOTALL | re.MULTILINE)
        self.assertGreaterEqual(len(blocks), 6)
        for block in blocks:
            with self.subTest(block):
                run("sh", "-eu", "-c", block, stdin=machine.subprocess.DEVNULL)
