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

hanja, documented = os.path.abspath(sys.argv[1]), open(sys.argv[2]).read()
os.makedirs("/run/systemd/journal", exist_ok=True)
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/systemd/journal"], check=True)
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind("/run/systemd/journal/socket")
# What a unit has as standard error: a stream whose identity the variable names.
stream, other = socket.socketpair()
stat = os.fstat(stream.fileno())
place = tempfile.TemporaryDirectory()
environment = {
    **os.environ,
    "JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}",
    "ORT_DYLIB_PATH": "/nowhere", "HANJA_TENSORRT_LIB": "/nowhere",
}


def fields(datagram):
    found = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + length], rest[9 + length :]
        found[name.decode()] = value.decode()
        datagram = rest
    return found


# The table: field names with their stages; `_P99_US` and `…` stand for their siblings.
expected = {"capture": set(), "infer": set(), "render": set()}
for cells in re.findall(r"^\| (`HANJA_[^|]*) \| (all|capture|infer|render) \|", documented, re.M):
    names = re.findall(r"`([^`]*)`", cells[0])
    first = names[0]
    if first.endswith("_…"):
        names = [first.replace("…", "P50_US"), first.replace("…", "P99_US")]
    elif len(names) > 1 and names[1] == "_P99_US":
        names[1] = first.replace("P50", "P99")
    else:
        names[1:] = ["HANJA_SKIPPED" + name for name in names[1:]]
    for stage in expected if cells[1] == "all" else [cells[1]]:
        expected[stage].update(names)
assert all(expected.values()), expected
# Nobody watches here.
expected["render"] = {name for name in expected["render"] if "PRESENT" not in name}
always = {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "HANJA_STAGE", "TARGET", "CODE_FILE", "CODE_LINE"}
extra = {"HANJA_DROP_REASON", "HANJA_DROPS"}

commands = {
    "render": ["render", "--http=127.0.0.1:0"],
    "infer": ["infer", "--size=64", "--threads=1"],
    "capture": ["capture", "--source=synth:?size=160x120&fps=60"],
}
running = [
    subprocess.Popen([hanja, *command, f"--runtime-dir={place.name}/run"], env=environment, stdin=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL, stderr=stream)
    for command in commands.values()
]
seen, wrong, reasons = {stage: set() for stage in expected}, [], set()
deadline = time.monotonic() + 60
journal.settimeout(1)
# `readers` and others are in each line; a metric may be missing from one second and come in the next.
while time.monotonic() < deadline and any(expected[s] - seen[s] for s in expected):
    try:
        line = fields(journal.recv(1 << 20))
    except socket.timeout:
        continue
    if not line:
        continue
    stage = line.get("HANJA_STAGE", "?")
    for name, value in line.items():
        if name.startswith("HANJA_") and name not in {"HANJA_STAGE", "HANJA_DROP_REASON"}:
            float(value)
        if name not in always | extra | expected.get(stage, set()) | {"HANJA_PRESENT_P50_US", "HANJA_PRESENT_P99_US"}:
            wrong.append(f"{stage}: {name} is not documented")
    wrong += [f"{stage}: no {name}" for name in always - line.keys()]
    if line["SYSLOG_IDENTIFIER"] != f"hanja-{stage}" or int(line["PRIORITY"]) <= 3:
        wrong.append(str(line))
    if "HANJA_DROP_REASON" in line:
        reasons.add(line["HANJA_DROP_REASON"])
    seen[stage] |= line.keys()
for process in running:
    process.terminate()
for process in running:
    if process.wait(timeout=10) != 0:
        wrong.append(f"{process.args[1]} ended with {process.returncode}")
missing = {stage: sorted(expected[stage] - seen[stage]) for stage in expected if expected[stage] - seen[stage]}
other.setblocking(False)
try:
    wrong.append("on standard error: " + other.recv(4096).decode())
except BlockingIOError:
    pass
wrong += [f"reason {r} is not documented" for r in reasons if f"| `{r}` |" not in documented]
if missing or wrong:
    sys.exit(f"missing: {missing}\n" + "\n".join(sorted(set(wrong))[:20]))
print("fields:", {stage: len(names) for stage, names in seen.items()}, "reasons seen:", sorted(reasons))
