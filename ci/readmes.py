#!/usr/bin/env python3
"""README.ko.md says what README.md says: the same headings by level, the same commands, the same figures, the same links.

Called by ci/docs.sh with both files. What is compared are things that translation leaves alone; prose is not.
"""
import re
import sys


def figures(text):
    """Numbers of three digits and more, or with decimals: smaller ones are often words, in one language or the other."""
    text = re.sub(r"(\d+) million", lambda m: str(int(m[1]) * 10**6), text)
    text = re.sub(r"([\d,]+)만", lambda m: str(int(m[1].replace(",", "")) * 10**4), text)
    for number in re.findall(r"(?<![A-Za-z_.,-])\d+(?:,\d{3})*(?:\.\d+)?(?![A-Za-z_-])", text):
        if "." in number or len(number.replace(",", "")) > 2:
            yield number.replace(",", "")


def parts(path):
    """The comparable parts of a Markdown file, by name, each a list in order."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    # Fences without a language are drawings, with words in them.
    blocks = re.findall(r"^```\w+\n(.*?)^```", text, re.M | re.S)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    # A comment in a command is prose too.
    commands = [re.sub(r"\s+#.*", "", line).rstrip() for block in blocks for line in block.splitlines()]
    return {
        "headings (level)": [len(m) for m in re.findall(r"^(#+) ", prose, re.M)],
        "commands": [line for line in commands if line and not line.startswith("#")],
        "table rows (cells)": [line.count("|") for line in prose.splitlines() if line.startswith("|")],
        "figures": sorted(figures(re.sub(r"\]\([^)]*\)", "]", prose))),
        "code spans": sorted(set(re.findall(r"`([^`\n]+)`", prose))),
        "links": sorted(set(re.findall(r"\]\(([^)]+)\)", prose)) - {"README.md", "README.ko.md"}),
    }


def main():
    """Compares; non-zero if something differs."""
    first, second = (parts(path) for path in sys.argv[1:3])
    differs = False
    for name, here in first.items():
        there = second[name]
        if here == there:
            continue
        differs = True
        print(f"{sys.argv[1]} and {sys.argv[2]} differ in their {name}:", file=sys.stderr)
        missing = [x for x in here if here.count(x) > there.count(x)]
        extra = [x for x in there if there.count(x) > here.count(x)]
        print(f"  only in the first: {missing}\n  only in the second: {extra}", file=sys.stderr)
        if not missing and not extra:
            print(f"  another order: {here}\n  and {there}", file=sys.stderr)
    sys.exit(differs)


if __name__ == "__main__":
    main()
