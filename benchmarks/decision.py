"""How long one decision takes, by encoder and by the length of the ask, and what the deciding process weighs.

    python benchmarks/decision.py [ARTIFACT ...]

Asks of a length are stretches of the project's own test prompts, evenly drawn, of so many tokens as the shipped model counts them.
Times are of extracting the ask, embedding, features and head, one request at a time on one core, in a process of its own for each
artefact that has loaded nothing but what serving needs. Without names, every artefact in ``models/`` is measured;
``learnedrouter train --encoder static --out models/static`` makes another. Times are processor time: one thread works, and neighbours
on the machine hardly move it.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LENGTHS = ((20, 100), (200, 60), (512, 40), (2_000, 40), (75_000, 20))
"""Tokens of the ask, and how often it is decided."""

WARM_UP = 5
"""Decisions before those that are timed."""

TEST_ASKS = 150
"""Of the project's own test asks, evenly drawn, for the mean over real lengths."""


def main() -> None:
    """Print a table, a row an artefact."""
    names = sys.argv[1:] or [str(path.parent) for path in sorted((ROOT / "models").glob("*/manifest.json"))]
    asks = _in_a_process_of_its_own("--draw")
    found = [json.loads(_in_a_process_of_its_own("--measure", name, told=asks)) for name in names]
    headers = [
        "artefact",
        *(f"{tokens:,}" for tokens, _ in LENGTHS),
        "75,000/512",
        "own asks",
        "static",
        "a second",
        "load, s",
        "peak, MiB",
    ]
    print(f"decision, p50 in ms, by tokens; own asks: mean in ms over {TEST_ASKS} test asks; static: share that a static head answered")
    print(" | ".join(headers))
    for row in found:
        p50 = [f"{value:.2f}" for value in row["p50"]]
        ratio = f"{row['p50'][-1] / row['p50'][2]:.1f}x"
        rest = [
            f"{row['mean']:.2f}",
            f"{row['static']:.0%}",
            f"{1_000 / row['mean']:,.0f}",
            f"{row['load_seconds']:.2f}",
            f"{row['peak_mib']:.0f}",
        ]
        print(" | ".join([row["name"], *p50, ratio, *rest]))


def draw() -> dict[str, list[str]]:
    """Return asks by their tokens, and test asks as they are under ``own``."""
    import numpy as np
    from tokenizers import Tokenizer

    lines = [json.loads(line) for line in (ROOT / "data" / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    own = [line["prompt"] for line in lines if "prompt" in line]
    tokenizer = Tokenizer.from_file(str(ROOT / "models" / "default" / "encoder" / "tokenizer.json"))
    words = " ".join(own).split()
    ends = np.cumsum([len(word) for word in tokenizer.encode_batch(words, add_special_tokens=False)])
    asks = {"own": own[:: max(1, len(own) // TEST_ASKS)][:TEST_ASKS]}
    for tokens, times in LENGTHS:
        first = np.searchsorted(ends, np.linspace(0, ends[-1] - tokens, WARM_UP + times, endpoint=False))
        last = np.searchsorted(ends, ends[first] + tokens)
        asks[str(tokens)] = [" ".join(words[start + 1 : end + 1]) for start, end in zip(first, last, strict=True)]
    return asks


def measure(folder: Path, asks: dict[str, list[str]]) -> dict[str, Any]:
    """Return the figures of the artefact in `folder` over asks as `draw` returns them, measured in this process."""
    began = time.perf_counter()
    from learnedrouter.classifier import artifact

    classifier = artifact.load(folder)
    load_seconds = time.perf_counter() - began

    import numpy as np

    from learnedrouter.ask import extract_ask
    from learnedrouter.classifier.worker import judge
    from learnedrouter.dialects.openai_chat import read_request

    def decide(text: str) -> tuple[float, str]:
        request = read_request({"messages": [{"role": "user", "content": text}]})
        began = time.process_time()
        judgement = judge(classifier, extract_ask(request))
        return (time.process_time() - began) * 1_000, judgement.encoder

    p50 = [float(np.median([decide(text)[0] for text in asks[str(tokens)]][WARM_UP:])) for tokens, _ in LENGTHS]
    timed = [decide(text) for text in asks["own"]]
    return {
        "name": classifier.name,
        "p50": p50,
        "mean": float(np.mean([milliseconds for milliseconds, _ in timed])),
        "static": sum(kind == "static" for _, kind in timed) / len(timed),
        "load_seconds": load_seconds,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _in_a_process_of_its_own(*arguments: str, told: str = "") -> str:
    """Return what this script prints; a process's peak memory includes that of the process which began it, so this one stays small."""
    return subprocess.run([sys.executable, __file__, *arguments], input=told, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    if sys.argv[1:2] == ["--draw"]:
        print(json.dumps(draw()))
    elif sys.argv[1:2] == ["--measure"]:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        print(json.dumps(measure(Path(sys.argv[2]), json.load(sys.stdin))))
    else:
        main()
