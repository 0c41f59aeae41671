"""Fuzzing guided by coverage: ``python -m tests.fuzz all --seconds 60``, or ``make fuzz [TARGET=decode] [SECONDS=60]``.

Ends with status 0 when nothing was found. What was found is written into the current folder as ``crash-…``; run it once
more with ``python -m tests.fuzz TARGET --input FILE``, mend it, and keep it as a test.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import tempfile
import warnings
from pathlib import Path

HOW_TO_GET = "atheris is missing: it has wheels for CPython 3.11 to 3.14 on Linux x86-64, and none for this machine"
_LONGEST_INPUT = 16_384
_SLOWEST_SECONDS = 10
_MOST_MEGABYTES = 2_048


def main() -> None:
    """Fuzz one target, or all, for so many seconds."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=["all", "decode", "push", "contracts"])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--input", type=Path, help="try this file alone")
    arguments = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.exit(HOW_TO_GET)
    # Imported here: it has no wheel for every machine, and what it is to follow is imported below it.
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["shared"]):
        targets = importlib.import_module("tests.fuzz.targets")
    corpora = importlib.import_module("tests.fuzz.corpora")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    target = targets.fuzz_all if arguments.target == "all" else targets.TARGETS[arguments.target]
    if arguments.input is not None:
        target(arguments.input.read_bytes())
        return
    # The fuzzer ends the process: the folder is left to the system's cleaning of temporary files.
    folder = tempfile.mkdtemp(prefix="trombi-fuzz-")
    corpora.write(arguments.target, Path(folder))
    options = {
        "max_total_time": arguments.seconds,
        "max_len": _LONGEST_INPUT,
        "timeout": _SLOWEST_SECONDS,
        "rss_limit_mb": _MOST_MEGABYTES,
        "seed": arguments.seed,
        "print_final_stats": 1,
    }
    atheris.Setup([sys.argv[0], *(f"-{name}={value}" for name, value in options.items()), folder], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
