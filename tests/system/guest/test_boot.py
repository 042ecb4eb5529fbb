"""A machine that boots with the service enabled: how long until the first detection. Runs in the second boot, of the
machine that the other tests left behind, and begins to read before there is anything to read."""

import json
import unittest

import machine
from machine import STAGES, Reader, until


class Boot(unittest.TestCase):
    def test_boot_to_first_detection(self):
        with Reader() as reader:
            first = reader.wait_for(lambda r: r["status"] == "ok", 60, "a detection after boot")
        # Of PID 1's own start: what the kernel or the container took before is not the pipeline's.
        started = int(machine.show(None, "UserspaceTimestampMonotonic")) * 1000
        seconds = (first["times_ns"]["detections_published"] - started) / 1e9
        ready = {stage: int(machine.show(f"hanja-{stage}", "ActiveEnterTimestampMonotonic")) / 1e6 - started / 1e9
                 for stage in STAGES}
        print(f"boot to first detection: {seconds:.2f} s after PID 1 started", flush=True)
        for stage, at in ready.items():
            print(f"boot to {stage} ready: {at:.2f} s", flush=True)
        with open("/host/log/boot.json", "w", encoding="utf-8") as file:
            json.dump({"first_detection_s": seconds, "ready_s": ready, "record": first["seq"]}, file, indent=1)
        self.assertLess(seconds, 30 * machine.SLACK)

    def test_nothing_failed(self):
        until(lambda: machine.active("hanja-pipeline") == "active", 30, "the pipeline is active after boot")
        failed = machine.run("systemctl", "list-units", "--failed", "--no-legend", "--plain").stdout
        self.assertNotIn("hanja", failed)
