#!/usr/bin/env python3
"""Lists what is linked into the executables and the C library, with the licence texts that each crate brings along: all of
these licences ask for that. Usage: third-party.py TARGET > third-party-licences.txt

Runs on Python 3.6, which is what JetPack 4 has."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

PACKAGES = ["hanja", "hanja-model", "hanja-tap"]
TEXTS = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)


def cargo(*arguments: str) -> str:
    command = [os.environ.get("CARGO", "cargo"), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout


def linked(target: str) -> set:
    """Names and versions of the crates whose code is in the result: no build scripts, no procedural macros."""
    selected = [word for name in PACKAGES for word in ("-p", name)]
    tree = cargo("tree", "--locked", "-e", "normal,no-proc-macro", "--target", target, *selected, "--prefix", "none")
    lines = (line.split() for line in tree.splitlines() if line.strip())
    return {(words[0], words[1].lstrip("v")) for words in lines}


def texts(directory: Path) -> list:
    files = [f for f in directory.iterdir() if f.is_file() and TEXTS.match(f.name) and f.suffix not in {".rs", ".toml"}]
    for folder in directory.iterdir():
        if folder.is_dir() and folder.name.lower() in {"license", "licenses", "licences"}:
            files += [f for f in folder.rglob("*") if f.is_file()]
    return [f.read_text(encoding="utf-8", errors="replace").strip() for f in sorted(files)]


def main() -> None:
    target = sys.argv[1]
    wanted = linked(target)
    metadata = json.loads(cargo("metadata", "--locked", "--format-version", "1", "--filter-platform", target))
    crates = [p for p in metadata["packages"] if (p["name"], p["version"]) in wanted and p["source"]]
    crates.sort(key=lambda p: (p["name"], p["version"]))
    print("What is linked into hanja, hanja-model and libhanja_tap beside their own code, and its licences.")
    print("The standard library of Rust is MIT OR Apache-2.0 with parts under other permissive licences; its own list is")
    print("rust-standard-library.html (.gz in the Debian package) beside this file, where the toolchain brought one.\n")
    by_text = {}  # normalised text: the text, and the crates that have it
    for crate in crates:
        name = f"{crate['name']} {crate['version']}"
        license_name = crate["license"] or f"see {crate['license_file']}"
        authors = ", ".join(crate["authors"]) or "its authors"
        found = texts(Path(crate["manifest_path"]).parent)
        print(f"{name}: {license_name}" + ("" if found else f" (no text in its package; copyright {authors})"))
        for text in found:
            by_text.setdefault(" ".join(text.split()).lower(), (text, []))[1].append(name)
    for text, names in by_text.values():
        print(f"\n{'=' * 100}\n{', '.join(names)}\n{'=' * 100}\n{text}")


if __name__ == "__main__":
    main()
