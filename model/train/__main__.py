"""``python3 -m train fit|eval|export|mine|average|plot|verifier|calibrate|card``: one entry for the tools."""
import importlib
import os
import sys

# Read by the OpenMP runtime when torch is loaded, so they are set before any import of it. Idle threads spin
# for some microseconds only, then sleep: never spinning cost 26 % of a step, GNU's default takes the core from
# the loader (measured on two cores: 17.5 ms an image at 0, 13.9 at 2,000 to 50,000).
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

COMMANDS = {name: name for name in ("export", "mine", "average", "verifier", "calibrate", "card")}
COMMANDS |= {"fit": "train", "eval": "evaluate", "plot": "runlog"}


def main():
    """Hand the rest of the command line to the tool named first."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        print(f"usage: python3 -m train {{{'|'.join(COMMANDS)}}} ...   (each has --help)", file=sys.stderr)
        return 2
    importlib.import_module(f"train.{COMMANDS[sys.argv[1]]}").main(sys.argv[2:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
