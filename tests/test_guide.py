"""The shell's door, and every example of docs/tap.md and the READMEs.

Examples are taken out of the Markdown and run against a real pipeline, so that they cannot rot.

An example is a fenced block of a language below; a `text` block right after it is what it prints. Real output must have
the same shape: any number for a number, any numeral for a numeral. Run by ci/bindings.sh, which installs the C library
first (PKG_CONFIG_PATH, LD_LIBRARY_PATH).
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bindings" / "python" / "tests"))

from support import HANJA, Place, within  # noqa: E402

FENCE = re.compile(r"^```(\w+)\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
LANGUAGES = ("sh", "python", "c")


def examples(name: str) -> list[tuple[str, str, str]]:
    """Language, text and printed lines of every example in a file."""
    return [(language, text, printed) for language, text, printed in
            FENCE.findall((ROOT / name).read_text("utf-8")) if language in LANGUAGES]


def shape(line: str) -> str:
    """A pattern for lines like this one."""
    pattern = re.escape(line)
    pattern = re.sub(r"\d+(\\\.\d+)?", r"-?\\d+(\\.\\d+)?", pattern)
    return re.sub("[一二三四五六七八九十]", "[一二三四五六七八九十]", pattern)


class Guide(Place):
    """Runs the examples; the pipeline's directory is the default one of their environment."""

    def setUp(self) -> None:
        super().setUp()
        self.dir = os.path.join(self.top, "hanja")
        bin_dir = os.path.join(self.top, "bin")
        os.mkdir(bin_dir)
        os.symlink(HANJA, os.path.join(bin_dir, "hanja"))
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": self.top, "PYTHONUNBUFFERED": "1",
                            "PYTHONPATH": str(ROOT / "bindings" / "python"),
                            "PATH": bin_dir + os.pathsep + os.environ["PATH"]}
        self.environment.pop("RUNTIME_DIRECTORY", None)
        self.pipeline("synth:")

    def command(self, language: str, text: str) -> list[str]:
        if language == "sh":
            return ["bash", "-o", "pipefail", "-ec", text]
        source = os.path.join(self.top, f"example.{language}")
        pathlib.Path(source).write_text(text, "utf-8")
        if language == "python":
            return [sys.executable, source]
        program = os.path.join(self.top, "example")
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "hanja_tap"], check=True, stdout=subprocess.PIPE)
        subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion",
                        "-Werror", source, *flags.stdout.decode().split(), "-o", program], check=True)
        return [program]

    def run_until(self, command: list[str], pattern: str) -> None:
        """The command prints a line of this pattern within a while; most examples never end by themselves."""
        path = pathlib.Path(self.top, "printed")
        with path.open("wb") as printed:
            process = subprocess.Popen(command, cwd=self.top, env=self.environment, stdin=subprocess.DEVNULL,
                                       stdout=printed, stderr=printed, start_new_session=True)
        try:
            so = within(30, lambda: re.search(f"^{pattern}$", path.read_text("utf-8"), re.MULTILINE) is not None)
            self.assertTrue(so, f"no line like {pattern} in:\n{path.read_text('utf-8')[:2000]}")
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)  # all commands of a pipe
            except ProcessLookupError:
                pass
            process.wait()

    def check(self, name: str, counts: dict[str, int]) -> None:
        found = examples(name)
        self.assertEqual({language: sum(e[0] == language for e in found) for language in LANGUAGES}, counts,
                         "the number of examples has changed: are they all run?")
        for language, text, printed in found:
            with self.subTest(f"{name}: {text.splitlines()[0]}"):
                self.assertTrue(printed, f"{name}: an example without its output:\n{text}")
                self.run_until(self.command(language, text), shape(printed.splitlines()[0]))

    def test_the_guide(self) -> None:
        self.check("docs/tap.md", {"sh": 2, "python": 3, "c": 1})

    def test_the_readmes(self) -> None:
        for name in ("README.md", "README.ko.md"):
            self.check(name, {"sh": 0, "python": 1, "c": 0})
        english, korean = (examples(name) for name in ("README.md", "README.ko.md"))
        self.assertEqual(english, korean)

    def output(self, text: str) -> bytes:
        return subprocess.run(self.command("sh", text), cwd=self.top, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, check=True, timeout=60).stdout

    def test_ffmpeg_reads_the_frames(self) -> None:
        self.output("hanja tap frames --format y4m --count 45 - | ffmpeg -v error -y -i - -c:v ffv1 clip.mkv")
        probe = json.loads(self.output("ffprobe -v error -count_frames -show_streams -of json clip.mkv"))
        (stream,) = probe["streams"]
        self.assertEqual((stream["nb_read_frames"], stream["width"], stream["height"], stream["r_frame_rate"]),
                         ("45", 640, 480, "30/1"))
        # What ffmpeg decodes from the first frame: dark strokes on light paper, and synth's fixed chroma.
        planes = self.output("ffmpeg -v error -i clip.mkv -frames:v 1 -f rawvideo -pix_fmt yuv420p -")
        luma, chroma = planes[:640 * 480], planes[640 * 480:]
        self.assertEqual((len(luma), len(chroma)), (640 * 480, 640 * 480 // 2))
        self.assertTrue(120 < sum(luma) / len(luma) < 236, "paper is light")
        self.assertTrue(min(luma) < 100 and len(set(luma)) > 50, "strokes are dark")
        u, v = set(chroma[:320 * 240]), set(chroma[320 * 240:])
        self.assertTrue(max(u) - min(u) <= 1 and max(v) - min(v) <= 1 and abs(min(u) - 126) <= 2 and
                        abs(min(v) - 129) <= 2, f"{u} {v}")

    def test_jq_reads_the_detections(self) -> None:
        text = (ROOT / "README.md").read_text("utf-8")
        line = next(line for line in text.splitlines() if line.startswith("hanja tap detections --json | jq"))
        printed = self.output(line.replace("--json", "--json --count 30")).decode("utf-8").splitlines()
        self.assertGreater(len(printed), 30, "synth draws three numerals")
        for label, score, box in map(json.loads, printed):
            self.assertIn(label, "一二三四五六七八九十")
            self.assertTrue(0.4 <= score <= 1 and box[0] < box[2] and box[1] < box[3])


if __name__ == "__main__":
    unittest.main()
