"""How long one decision takes, by the length of the ask, and what the deciding process weighs.

    python benchmarks/decision.py [ARTIFACT]

Asks are made of the words of the project's own test prompts. Times are of extracting the ask, embedding, features and head, one request
at a time, in a process that has loaded nothing but what serving needs.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from learnedrouter.ask import extract_ask
from learnedrouter.classifier import artifact
from learnedrouter.classifier.worker import judge
from learnedrouter.dialects.openai_chat import read_request

ROOT = Path(__file__).parents[1]
LENGTHS = ((15, 300), (256, 200), (2_000, 100), (20_000, 60), (75_000, 30))
"""Tokens of the ask (a word is taken for 1.3), and how often it is decided."""


def main() -> None:
    """Print the table."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "models" / "default"
    began = time.perf_counter()
    classifier = artifact.load(folder)
    print(f"{classifier.name}: loaded in {time.perf_counter() - began:.2f} s")
    words = _words()
    print(f"{'tokens':>8} {'p50, ms':>9} {'p99, ms':>9} {'to 15 tokens':>13}")
    first = None
    for tokens, times in LENGTHS:
        wanted = int(tokens / 1.3)
        seconds = []
        for turn in range(times + 5):
            start = turn * 97 % (len(words) - 100)
            text = " ".join((words[start:] + words * (wanted // len(words) + 1))[:wanted])
            request = read_request({"messages": [{"role": "user", "content": text}]})
            began = time.perf_counter()
            judge(classifier, extract_ask(request))
            seconds.append(time.perf_counter() - began)
        p50, p99 = np.quantile(seconds[5:], [0.5, 0.99]) * 1_000
        first = first or p50
        print(f"{tokens:>8,} {p50:>9.2f} {p99:>9.2f} {p50 / first:>12.1f}x")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def _words() -> list[str]:
    lines = (ROOT / "data" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    return " ".join(json.loads(line).get("prompt", "") for line in lines).split()


if __name__ == "__main__":
    main()
