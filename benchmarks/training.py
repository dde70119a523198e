"""How long training takes, by rows, and how much memory.

    python benchmarks/training.py [ROWS ...] [--encoder static]

Rows are made up by a seeded generator: they are for speed alone, and teach nothing. Each size is trained twice, in a process of its own:
first with empty caches but for the distillation, which is done once for every size, then again on the same rows.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TIERS = ("bulk", "structured", "standard", "complex")
SIZES = (1_000, 10_000, 100_000)
VERBS = ("translate", "extract", "explain", "prove", "summarise", "list", "design", "compare", "debug", "rename", "classify", "plan")
NOUNS = ("sentence", "invoice", "deadlock", "theorem", "contract", "table", "schema", "cache", "letter", "recipe", "function", "budget")
SCALE = 60
"""Words of an ask on average, as in the shipped data."""


def make_rows(count: int, path: Path, *, seed: int = 0) -> None:
    """Write `count` labelled rows to `path`."""
    rng = np.random.default_rng(seed)
    words = np.array([f"{verb}{noun[:size]}" for verb in VERBS for noun in NOUNS for size in range(3)] + [*VERBS, *NOUNS])
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            tier = int(rng.integers(0, 4))
            length = 3 + int(rng.exponential(SCALE))
            ask = " ".join(rng.choice(words, length))
            row = {"id": str(number), "prompt": f"{VERBS[tier * 3 + number % 3]} {ask} {number}", "tier": TIERS[tier]}
            file.write(json.dumps(row) + "\n")


def main() -> None:
    """Print a table, a row a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", type=int, default=SIZES)
    parser.add_argument("--encoder", default="static")
    parser.add_argument("--cache", type=Path, default=Path(".cache/embeddings"), help="where the distillation is taken from")
    options = parser.parse_args()
    print(f"train --encoder {options.encoder}: seconds on empty caches, seconds again, and peak memory")
    print("rows | first, s | again, s | peak, MiB")
    for count in options.rows:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_rows(count, folder / "rows.jsonl")
            cache = folder / "cache"
            cache.mkdir()
            for distilled in options.cache.glob("*.safetensors"):
                (cache / distilled.name).symlink_to(distilled.resolve())
            first, again = (_train(folder, options.encoder, cache) for _ in range(2))
        print(f"{count:,} | {first['seconds']:.1f} | {again['seconds']:.1f} | {max(first['peak_mib'], again['peak_mib']):.0f}", flush=True)


def _train(folder: Path, encoder: str, cache: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", str(folder), encoder, str(cache)]
    found: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])
    return found


def _measure(folder: Path, encoder: str, cache: Path) -> None:
    from learnedrouter.cli_options import shaped_encoder
    from learnedrouter.printing import progress_bar
    from learnedrouter.tiers import DEFAULT_LADDER
    from learnedrouter.training.examples import Labels
    from learnedrouter.training.pipeline import TrainingPlan, train

    shape, model = shaped_encoder(encoder)
    began = time.perf_counter()
    with progress_bar() as progress:
        train(TrainingPlan(Labels((folder / "rows.jsonl",), DEFAULT_LADDER), folder / "model", model, shape, cache=cache), progress)
    print(json.dumps({"seconds": time.perf_counter() - began, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        _measure(Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    else:
        main()
