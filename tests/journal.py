"""What the stages log to the journal. A stand-in for journald at its socket listens until every field that docs/logs.md
has for a stage has come, a minute at most: no field comes that is not documented, figures are numbers, and nothing has
the priority of an error.

Usage: journal.py HANJA LOGS.md, as root in a mount namespace of its own: it mounts over /run/systemd/journal.
"""

import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

COMMANDS = {
    "render": ["render", "--http=127.0.0.1:0"],
    "infer": ["infer", "--size=64", "--threads=1"],
    "capture": ["capture", "--source=synth:?size=160x120&fps=60"],
}
ALWAYS = {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "HANJA_STAGE", "TARGET", "CODE_FILE", "CODE_LINE"}
#: Not in every run: drops, and what is there only while somebody watches.
SOMETIMES = {"HANJA_DROP_REASON", "HANJA_DROPS", "HANJA_PRESENT_P50_US", "HANJA_PRESENT_P99_US"}
WORDS = {"HANJA_STAGE", "HANJA_DROP_REASON"}


def documented(text):
    """The table: names of fields by stage. `_P99_US` and `…` stand for their siblings."""
    expected = {stage: set() for stage in COMMANDS}
    for cells in re.findall(r"^\| (`HANJA_[^|]*) \| (all|capture|infer|render) \|", text, re.M):
        names = re.findall(r"`([^`]*)`", cells[0])
        first = names[0]
        if first.endswith("_…"):
            names = [first.replace("…", "P50_US"), first.replace("…", "P99_US")]
        elif len(names) > 1 and names[1] == "_P99_US":
            names[1] = first.replace("P50", "P99")
        else:
            names[1:] = ["HANJA_SKIPPED" + name for name in names[1:]]
        for stage in expected if cells[1] == "all" else [cells[1]]:
            expected[stage].update(set(names) - SOMETIMES)
    assert all(expected.values()), expected
    return expected


def listen():
    """The socket where journald's would be."""
    os.makedirs("/run/systemd/journal", exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/systemd/journal"], check=True)
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.bind("/run/systemd/journal/socket")
    journal.settimeout(1)
    return journal


def start(hanja, stream, place):
    """The stages, with what a unit has as standard error: a stream whose identity a variable names."""
    stat = os.fstat(stream.fileno())
    environment = {
        **os.environ,
        "JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}",
        "ORT_DYLIB_PATH": "/nowhere",
        "HANJA_TENSORRT_LIB": "/nowhere",
    }
    return [
        subprocess.Popen([hanja, *command, f"--runtime-dir={place}/run"], env=environment, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=stream)
        for command in COMMANDS.values()
    ]


def fields(datagram):
    """One entry, in journald's own protocol."""
    found = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8:8 + length], rest[9 + length:]
        found[name.decode()] = value.decode()
        datagram = rest
    return found


def faults(entry, expected):
    """What is wrong with an entry."""
    stage = entry.get("HANJA_STAGE", "?")
    for name in entry:
        if name not in ALWAYS | SOMETIMES | expected.get(stage, set()):
            yield f"{stage}: {name} is not documented"
        if name.startswith("HANJA_") and name not in WORDS:
            float(entry[name])
    yield from (f"{stage}: no {name}" for name in ALWAYS - entry.keys())
    if entry["SYSLOG_IDENTIFIER"] != f"hanja-{stage}" or int(entry["PRIORITY"]) <= 3:
        yield str(entry)


def main(hanja, logs):
    with open(logs, encoding="utf-8") as file:
        text = file.read()
    expected, journal = documented(text), listen()
    seen, wrong, reasons = {stage: set() for stage in expected}, [], set()
    stream, other = socket.socketpair()
    with tempfile.TemporaryDirectory() as place:
        running = start(os.path.abspath(hanja), stream, place)
        deadline = time.monotonic() + 60
        # A metric may be missing from one second and come in the next.
        while time.monotonic() < deadline and any(expected[s] - seen[s] for s in expected):
            try:
                entry = fields(journal.recv(1 << 20))
            except socket.timeout:
                continue
            if entry:
                wrong += faults(entry, expected)
                reasons |= {entry[name] for name in entry if name == "HANJA_DROP_REASON"}
                seen.setdefault(entry.get("HANJA_STAGE", "?"), set()).update(entry)
        for process in running:
            process.terminate()
        for process in running:
            if process.wait(timeout=10) != 0:
                wrong.append(f"{process.args[1]} ended with {process.returncode}")
    other.setblocking(False)
    try:
        wrong.append("on standard error: " + other.recv(4096).decode())
    except BlockingIOError:
        pass
    wrong += [f"reason {r} is not documented" for r in reasons if f"| `{r}` |" not in text]
    wrong += [f"{s}: {name} has not come" for s in expected for name in sorted(expected[s] - seen[s])]
    if wrong:
        sys.exit("\n".join(sorted(set(wrong))[:20]))
    print("fields:", {stage: len(names) for stage, names in seen.items()}, "reasons seen:", sorted(reasons))


if __name__ == "__main__":
    main(*sys.argv[1:])
