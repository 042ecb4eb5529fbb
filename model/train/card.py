"""The tables of the model card: the same data sets, scored by several commands, as Markdown.

``python3 -m train card --run "old=hanja-model eval --model old.onnx --verify false" --run "new=hanja-model eval" \
    --set scans=DEV/scans --set fences=DEV/fences``

A set with labels gives a line of scores, one without gives false positives a frame; ``--sizes`` adds recall by size over
all sets with labels.
"""
import argparse
import json
import shlex
import subprocess


def score(command, folder):
    """The output of one command for one folder, as ``hanja-model eval --json`` prints it."""
    done = subprocess.run([*shlex.split(command), "--json", "--data", folder], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command} on {folder}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def pair(text):
    """NAME=REST."""
    name, separator, rest = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text}: NAME=… is expected")
    return name, rest


def cell(result):
    """Scores of a set with labels, else its false positives a frame."""
    if not result["labels"]:
        return f"{result['false_positives_per_frame']:.3f}"
    scores = f"{100 * result['map50']:.1f} / {100 * result['map50_95']:.1f}"
    at = f"{100 * result['precision']:.1f}, {100 * result['recall']:.1f}"
    invented = result["false_positives_per_frame"]
    return f"{scores}; {at}; {invented:.3f}"


def table(head, rows):
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def by_size(results):
    """(upper ends, recall in per cent or None) over several results of one command."""
    bands = [r["recall_by_size"] for r in results if r["labels"]]
    ends = [band["up_to"] for band in bands[0]] if bands else []
    recall = []
    for i in range(len(ends)):
        labels = sum(b[i]["labels"] for b in bands)
        recall.append(100 * sum(b[i]["found"] for b in bands) / labels if labels else None)
    return ends, recall


def draw_sizes(columns, path):
    """The curve: recall over the longer side, one line a command, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.6), dpi=110)
    for name, (ends, recall) in columns.items():
        known = [(100 * end, r) for end, r in zip(ends, recall) if r is not None]
        axes.plot(*zip(*known), marker="o", label=name)
    axes.set_xscale("log")
    axes.set_xticks(ticks := [100 * end for end in next(iter(columns.values()))[0]])
    axes.set_xticklabels([f"{t:.0f}" for t in ticks])
    axes.minorticks_off()
    axes.set_xlabel("longer side, up to so many % of the frame's")
    axes.set_ylabel("recall, %")
    axes.set_ylim(0, 102)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


def main(argv=None):
    """Command line of ``python3 -m train card``."""
    parser = argparse.ArgumentParser(prog="train card", description="score data sets by several commands")
    parser.add_argument("--run", type=pair, action="append", required=True, metavar="NAME=COMMAND")
    parser.add_argument("--set", type=pair, action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--sizes", action="store_true", help="recall by size as well")
    parser.add_argument("--curve", metavar="FILE", help="recall by size as a PNG; needs matplotlib")
    args = parser.parse_args(argv)
    names = [name for name, _ in args.run]
    results = {}
    rows = []
    for set_name, folder in args.set:
        for name, command in args.run:
            results[set_name, name] = score(command, folder)
        frames = results[set_name, names[0]]["frames"]
        rows.append([set_name, str(frames), *(cell(results[set_name, name]) for name in names)])
        print(rows[-1], flush=True)
    print()
    print("mAP50 / mAP50-95; precision, recall; false positives a frame. One figure: false positives a frame.\n")
    print(table(["set", "frames", *names], rows))
    if args.sizes or args.curve:
        columns = {name: by_size([results[s, name] for s, _ in args.set]) for name in names}
        if any(column[0] != columns[names[0]][0] for column in columns.values()):
            raise SystemExit("the commands have different size bands: the same hanja-model is needed for all")
        if args.curve:
            draw_sizes(columns, args.curve)
        ends = columns[names[0]][0]
        text = [["-" if v is None else f"{v:.1f}" for v in columns[name][1]] for name in names]
        lines = [[f"up to {100 * end:.0f} %", *(t[i] for t in text)] for i, end in enumerate(ends)]
        print()
        print(table(["longer side, share of the frame's", *names], lines))


if __name__ == "__main__":
    main()
