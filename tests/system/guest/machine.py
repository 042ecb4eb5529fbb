"""The machine under test, as the tests see it: its services, its journal, its users, and a tap on its pipeline."""

import glob
import json
import os
import subprocess
import threading
import time

STAGES = ("capture", "infer", "render")
UNIT = "hanja-pipeline"
RUN = "/run/hanja"
CONFIG = "/etc/hanja/hanja.toml"
#: How much slower than a machine of its own this one may be: every patience is multiplied by it.
SLACK = float(os.environ.get("HANJA_SYSTEM_SLACK", "1"))
SYNTH = os.environ.get("HANJA_SYSTEM_SYNTH", "synth:?size=640x480&fps=30&seed=1&glyphs=3")


def as_user(name):
    """The beginning of a command that somebody else runs. No session, no parent that waits: it becomes the command.
    The stages' users have the primary group that their units give them."""
    group = "hanja" if name.startswith("hanja-") else subprocess.getoutput(f"id -gn {name}")
    return ("setpriv", f"--reuid={name}", f"--regid={group}", "--init-groups", "--")


def run(*command, user=None, check=True, timeout=120, **more):
    """A command's output as text; fails the test with what the command said."""
    if user:
        command = (*as_user(user), *command)
    more.setdefault("text", True)
    done = subprocess.run(command, capture_output=True, timeout=timeout * SLACK, **more)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def systemctl(*words, check=True):
    return run("systemctl", *words, check=check)


def show(unit, name):
    """A property of a unit; of the manager itself where the unit is None."""
    return run("systemctl", "show", "--property", name, "--value", *([unit] if unit else [])).stdout.strip()


def pid(stage):
    """The stage's main process; 0: none."""
    return int(show(f"hanja-{stage}", "MainPID"))


def pids():
    return {stage: pid(stage) for stage in STAGES}


def active(unit):
    return run("systemctl", "is-active", unit, check=False).stdout.strip()


def until(true, seconds, what):
    """Waits for a condition and returns what it returned."""
    deadline = time.monotonic() + seconds * SLACK
    while True:
        result = true()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds * SLACK:.0f} s: {what}\n{state()}")
        time.sleep(0.02)


def state():
    """For a failed test's message: the units and the last they said."""
    units = [f"hanja-{stage}" for stage in STAGES]
    status = run("systemctl", "--no-pager", "--lines=0", "status", UNIT, *units, check=False).stdout
    log = run("journalctl", "--no-pager", "--lines=40", "--output=short-monotonic", "--unit=hanja-*", check=False)
    return status + log.stdout


def journal(*match):
    """Entries as dictionaries."""
    text = run("journalctl", "--no-pager", "--output=json", *match).stdout
    return [json.loads(line) for line in text.splitlines()]


def cursor():
    """Where the journal ends now, for journal("--after-cursor=" + cursor())."""
    run("journalctl", "--sync")
    return journal("--lines=1")[0]["__CURSOR"]


def said_since(mark, unit):
    """What a unit, and systemd about it, has said since a cursor."""
    run("journalctl", "--sync")
    return "\n".join(str(entry.get("MESSAGE")) for entry in journal(f"--after-cursor={mark}", f"--unit={unit}"))


def configure(source=SYNTH, infer="", render="", text=None):
    """Writes the configuration, whole or from its parts."""
    text = text or f'[capture]\nsource = "{source}"\n[infer]\n{infer}\n[render]\n{render}\n'
    with open(CONFIG, "w", encoding="utf-8") as file:
        file.write(text)


def user(name, *groups):
    """A person on this machine."""
    if run("id", name, check=False).returncode:
        run("useradd", "--create-home", "--shell=/bin/sh", name)
    for group in groups:
        run("usermod", "-aG", group, name)


def package(number):
    """The package under test, and another build of it with a higher version."""
    (path,) = glob.glob(f"/host/packages/{number}/*.deb")
    return path


def installed():
    return run("dpkg-query", "-W", "-f=${Status}", UNIT, check=False).stdout.endswith(" installed")


def running(source=SYNTH, **parts):
    """The package installed, configured, started, and seen to work: where most tests begin."""
    if not installed():
        run("dpkg", "-i", package(1))
    user("reader", "hanja-tap")
    user("stranger")
    configure(source, **parts)
    systemctl("restart", UNIT)
    for stage in STAGES:
        until(lambda s=stage: active(f"hanja-{s}") == "active", 20, f"{stage} is active")
    with Reader() as reader:
        reader.wait_for(lambda r: True, 10, "a record")


def processes():
    """Every process of the pipeline, by command line: also those that systemd lost sight of."""
    found = {}
    for path in glob.glob("/proc/[0-9]*"):
        try:
            exe = os.readlink(path + "/exe")  # that of a replaced file ends in " (deleted)"
            if os.path.basename(exe).split(" ")[0] in ("hanja", "hanja-model"):
                with open(path + "/cmdline", "rb") as file:
                    found[int(os.path.basename(path))] = file.read().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def shared_memory():
    """Every process that holds one of the pipeline's rings, as a descriptor or mapped."""
    held = []
    for path in glob.glob("/proc/[0-9]*"):
        try:
            targets = [os.readlink(fd) for fd in glob.glob(path + "/fd/*")]
            with open(path + "/maps", encoding="utf-8", errors="replace") as maps:
                targets += maps.read().splitlines()
        except OSError:
            continue
        if any("/memfd:ring-" in target for target in targets):
            held.append(path)
    return held


class Reader:
    """A program of a user in hanja-tap that reads along and is never started again: `hanja tap`, or the Python module.

    Every record is kept with the moment it arrived at (CLOCK_MONOTONIC nanoseconds, as in the record itself).
    """

    COMMANDS = {
        "hanja tap": ("hanja", "tap", "detections", "--json", f"--runtime-dir={RUN}"),
        "python": ("python3", "-u", "/host/tests/read_along.py", RUN),
    }

    def __init__(self, kind="hanja tap", name="reader"):
        self.records = []
        self._new = threading.Condition()
        self.process = subprocess.Popen((*as_user(name), *self.COMMANDS[kind]), text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self.process.stdout:
            record = json.loads(line)
            record["arrived"] = time.monotonic_ns()
            with self._new:
                self.records.append(record)
                self._new.notify_all()

    def wait_for(self, wanted, seconds, what, since=0):
        """The first record from number `since` on that is wanted."""
        deadline = time.monotonic() + seconds * SLACK
        at = since
        with self._new:
            while True:
                for at in range(at, len(self.records)):
                    if wanted(self.records[at]):
                        return self.records[at]
                at = len(self.records)
                if self.process.poll() is not None:
                    raise AssertionError(f"the tap ended with {self.process.returncode}, waiting for {what}")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"not within {seconds * SLACK:.1f} s: {what}; {at} records before\n{state()}")
                self._new.wait(left)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self._thread.join()
        self.process.stdout.close()
