"""The record of a run: one CSV row every so many steps, and a picture of it."""
import csv

FIELDS = ("step", "images", "minutes", "lr", "loss", "box", "objectness", "class", "ms_per_image", "map50", "map50_95")


class Log:
    """The run's log.csv, appended to; rows past the resumed step are dropped so that it never doubles back."""

    def __init__(self, path, step):
        rows = []
        if path.exists():
            with open(path, newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        self.file = open(path, "w", newline="")
        self.writer = csv.DictWriter(self.file, FIELDS)
        self.writer.writeheader()
        self.writer.writerows(rows)
        self.file.flush()

    def write(self, row):
        """Append one row (a dictionary with FIELDS as keys) and let readers see it."""
        self.writer.writerow(row)
        self.file.flush()


def plot(csv_path, png_path):
    """Loss parts and validation scores over images seen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with open(csv_path, newline="") as file:
        rows = list(csv.DictReader(file))
    images = [int(r["images"]) for r in rows]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4))
    for key in ("box", "objectness", "class"):
        left.plot(images, [float(r[key]) for r in rows], label=key)
    left.set(xlabel="images seen", title="weighted loss", yscale="log")
    left.legend()
    scored = [r for r in rows if r["map50"]]
    for key in ("map50", "map50_95"):
        right.plot([int(r["images"]) for r in scored], [float(r[key]) for r in scored], marker="o", label=key)
    right.set(xlabel="images seen", title="validation (moving average)", ylim=(0, 1))
    right.legend()
    figure.tight_layout()
    figure.savefig(png_path)
    pyplot.close(figure)
