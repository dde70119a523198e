"""All benchmarks: prints one report, and keeps it in ``benchmarks/README.md``.

    python benchmarks [ARTIFACT] [--seconds 2]

Needs nothing outside the repository. Takes about two minutes.
"""

import argparse
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from service import ROOT, report

HERE = Path(__file__).parent


def machine() -> str:
    """Return what was measured on, and how busy it was otherwise."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    busy = f"load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}; {busy} before the run"


def main() -> None:
    """Run everything, print the report, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", nargs="?", type=Path, default=ROOT / "models" / "default")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load on the service")
    options = parser.parse_args()
    where = machine()
    decision = subprocess.run([sys.executable, HERE / "decision.py", options.artifact], capture_output=True, text=True, check=True).stdout
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; run it to have your own. What is measured, and how, stands at the head of each script.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {where}.",
        "",
        "## The service beside a direct call (`service.py`)",
        "",
        *report(options.artifact, options.seconds),
        "",
        "Milliseconds to the whole answer, or to the first token; `added` is routed less direct, `to direct` the ratio of their medians,",
        "`CPU` the service's processor time a request. The provider answers at once, so a direct call costs next to nothing.",
        "",
        "## A decision alone (`decision.py`)",
        "",
        "```",
        *decision.splitlines(),
        "```",
    ]
    text = "\n".join(lines) + "\n"
    (HERE / "README.md").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
