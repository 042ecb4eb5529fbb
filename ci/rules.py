#!/usr/bin/env python3
"""What docs/abi.md and docs/design.md say that must be has a number, a line of code that obeys, and a test that shows it.

A rule is a number in brackets in one of the two documents: A for the ABI, D for the design. Code and tests cite it in
parentheses in a comment, since brackets are links there. Called by ci/docs.sh; lists what is missing.
"""
import re
import subprocess
import sys
from pathlib import Path

DOCUMENTS = ["docs/abi.md", "docs/design.md"]
RULE = re.compile(r"\[([AD]\d+)\]")
CITATION = re.compile(r"\(([AD]\d+)\)")
# Files that are tests from the first line on; elsewhere they begin at `mod tests`.
TEST_FILE = re.compile(r"(^|/)tests?/|/tests\.rs$|/threads\.rs$|/allocation\.rs$|/model(/|\.rs$)")


def unnumbered(text):
    """Sentences that say must and have no number."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    text = re.sub(r"`[^`]*`", "code", text)
    for sentence in re.split(r"(?<=[.:;|])\s+|\n\n", text):
        if re.search(r"\bmust\b", sentence) and not RULE.search(sentence):
            yield " ".join(sentence.split())


def citations():
    """(rule, whether in a test, place) of every citation in Rust."""
    files = subprocess.run(["git", "ls-files", "*.rs"], check=True, capture_output=True, text=True).stdout.split()
    for name in files:
        test = bool(TEST_FILE.search(name))
        for number, line in enumerate(Path(name).read_text(encoding="utf-8").splitlines(), 1):
            test = test or line.strip() == "mod tests {"
            comment = line.partition("//")[2]
            for rule in CITATION.findall(comment):
                yield rule, test, f"{name}:{number}"


def main():
    """Prints what is missing; non-zero if anything is."""
    texts = {name: Path(name).read_text(encoding="utf-8") for name in DOCUMENTS}
    wrong = [f"{name}: no number: {s}" for name, text in texts.items() for s in unnumbered(text)]
    rules = [rule for text in texts.values() for rule in RULE.findall(text)]
    wrong += [f"{rule} is there twice" for rule in sorted(set(rules)) if rules.count(rule) > 1]
    cited = {(rule, test) for rule, test, _ in citations()}
    for rule in rules:
        wrong += [f"{rule}: no {what} cites it" for test, what in ((False, "code"), (True, "test")) if (rule, test) not in cited]
    wrong += [f"{place}: there is no rule {rule}" for rule, _, place in citations() if rule not in rules]
    print("\n".join(wrong) or f"{len(rules)} rules, each with code and a test")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
