"""All benchmarks: prints one report, and keeps it in ``benchmarks/README.md``.

    python benchmarks [ARTIFACT] [--seconds 2] [--rows 1000 10000 100000]

Needs nothing outside the repository. For comparison a static artefact is trained on the shipped data first, into a folder that is
thrown away. Takes about a quarter of an hour, most of it for training on 100,000 rows.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from service import ROOT, report, workers

HERE = Path(__file__).parent
ROWS = (1_000, 10_000, 100_000)


def machine() -> str:
    """Return what was measured on, and how busy it was otherwise."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    busy = f"load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}; {busy} before the run"


def trained(encoder: str, folder: Path) -> Path:
    """Train an artefact on the shipped data, and return its folder."""
    out = folder / encoder
    command = [sys.executable, "-m", "learnedrouter", "train", "--data", "data", "--out", str(out), "--encoder", encoder]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return out


def told(script: str, *arguments: object) -> list[str]:
    """Run a benchmark as a script of its own, and return the lines that it printed, fenced."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    lines = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    return ["```", *lines, "```"]


def functions(folder: Path) -> list[str]:
    """Run the benchmarks of single functions, and return a table in Markdown."""
    found = folder / "functions.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "functions.py"), f"--benchmark-json={found}"]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    rows = ["| function | median, us | calls |", "|---|---:|---:|"]
    for entry in json.loads(found.read_text(encoding="utf-8"))["benchmarks"]:
        name, stats = entry["name"].removeprefix("test_"), entry["stats"]
        rows.append(f"| {name} | {stats['median'] * 1e6:,.1f} | {stats['rounds'] * stats['iterations']:,} |")
    return rows


def main() -> None:
    """Run everything, print the report, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", nargs="?", type=Path, default=ROOT / "models" / "default")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load on the service")
    parser.add_argument("--rows", nargs="*", type=int, default=ROWS, help="to train on; none leaves training out")
    options = parser.parse_args()
    where = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        static = trained("static", folder)
        decisions = told("decision.py", options.artifact.resolve(), trained("onnx", folder), static)
        text = "\n".join(
            [
                *("# Benchmarks", ""),
                *("Written by `make bench`; run it to have your own. What is measured, and how, stands at the head of each script.", ""),
                *(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {where}.", ""),
                *("## The service beside a direct call, with the shipped model (`service.py`)", ""),
                *report(options.artifact, options.seconds),
                *("", "## The same with a static encoder", ""),
                *report(static, options.seconds),
                "",
                "Milliseconds to the whole answer, or to the first token; `added` is routed less direct, `to direct` the ratio of",
                "their medians, `CPU` the service's processor time a request. The provider answers at once, so a direct call costs",
                "next to nothing.",
                *("", "## Workers, with provider and load generator on the same cores", ""),
                *workers(options.artifact, options.seconds),
                *("", "## A decision alone (`decision.py`)", ""),
                *decisions,
                *("", "## Functions (`functions.py`)", ""),
                *functions(folder),
                *(["", "## Training (`training.py`)", "", *told("training.py", *options.rows)] if options.rows else []),
            ]
        )
    (HERE / "README.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
