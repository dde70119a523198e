"""A made-up world of two models, in which it is known what each gets right."""

import json
from pathlib import Path

import numpy as np

EASY = "What is the capital of {}?"
HARD = "Prove by induction on n that the sum of the first n odd numbers in {} is a square."
HOPELESS = "Tell me the exact number of grains of sand that lie in the deserts of {} at this second."
PLACES = [f"{first}{second}" for first in ("Al", "Bor", "Cas", "Del", "Er", "Fal", "Gor", "Hel") for second in ("ia", "land", "mark", "os")]
WEAK = {EASY: 0.95, HARD: 0.2, HOPELESS: 0.0}
STRONG = {EASY: 1.0, HARD: 0.95, HOPELESS: 0.0}
"""How likely either model is right."""


def rows(count: int, seed: int = 0) -> list[dict[str, object]]:
    """Requests of three kinds in turn, with what the two models made of them."""
    rng = np.random.default_rng(seed)
    made = []
    for place in range(count):
        kind = list(WEAK)[place % 3]
        small, big = (float(rng.random() < chance[kind]) for chance in (WEAK, STRONG))
        prompt = f"{kind.format(PLACES[place % len(PLACES)])} ({place})"
        made.append({"id": f"r{place}", "prompt": prompt, "outcomes": {"big": big, "small": small}})
    return made


def write(path: Path, made: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    return path
