"""The record of a run: one CSV row every so many steps, and a picture of it."""
import argparse
import csv

FIELDS = ("step", "images", "minutes", "lr", "loss", "box", "objectness", "class", "ms_per_image", "map50", "map50_95")


def read(csv_path):
    """Rows of a log.csv as dictionaries of strings."""
    with open(csv_path, newline="") as file:
        return list(csv.DictReader(file))


class Log:
    """The run's log.csv, appended to; rows past the resumed step are dropped so that it never doubles back."""

    def __init__(self, path, step):
        rows = []
        if path.exists():
            rows = [row for row in read(path) if int(row["step"]) <= step]
        self.file = open(path, "w", newline="")
        self.writer = csv.DictWriter(self.file, FIELDS)
        self.writer.writeheader()
        self.writer.writerows(rows)
        self.file.flush()

    def write(self, row):
        """Append one row (a dictionary with FIELDS as keys) and let readers see it."""
        self.writer.writerow(row)
        self.file.flush()


def plot(csv_paths, png_path):
    """Loss parts and validation scores over images seen, of one run or of stages that followed one another."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4))
    before = 0
    for stage, rows in enumerate(map(read, csv_paths)):
        colours = iter(pyplot.rcParams["axes.prop_cycle"].by_key()["color"])
        scored = [r for r in rows if r["map50"]]
        for axes, keys, points in ((left, ("box", "objectness", "class"), rows), (right, ("map50", "map50_95"), scored)):
            for key in keys:
                x = [(before + int(r["images"])) / 1000 for r in points]
                marker = "o" if axes is right else None
                label = None if stage else key
                axes.plot(x, [float(r[key]) for r in points], marker=marker, label=label, color=next(colours))
        before += int(rows[-1]["images"]) if rows else 0
    left.set(xlabel="thousand images seen", title="weighted loss", yscale="log")
    right.set(xlabel="thousand images seen", title="validation (moving average)", ylim=(0, 1))
    for axes in (left, right):
        axes.legend()
    figure.tight_layout()
    figure.savefig(png_path)
    pyplot.close(figure)


def main(argv=None):
    """Command line of ``python3 -m train plot``."""
    parser = argparse.ArgumentParser(prog="train plot", description="draw the log of a run, or of its stages in order")
    parser.add_argument("--logs", required=True, nargs="+", help="log.csv of each stage")
    parser.add_argument("--out", required=True, help="PNG file")
    args = parser.parse_args(argv)
    plot(args.logs, args.out)
