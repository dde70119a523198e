"""Which features pay, in made-up worlds where it is known."""

import json
from pathlib import Path

import numpy as np
import pytest

from learnedrouter.classifier.features import FEATURES
from learnedrouter.errors import InputError
from learnedrouter.training.ablate import GROUPS, Embedded, ablate, leave_out, world_of
from learnedrouter.training.dataset import LabelledRow
from tests.made import labelled, quiet
from tests.test_cli import run

WORLDS = 6


def row(place: int) -> LabelledRow:
    return labelled(f"world{place % WORLDS}-{place}", place, split="validation" if place % 3 == 0 else "train")


def held(features: np.ndarray, needed: np.ndarray) -> Embedded:
    return Embedded([row(place) for place in range(len(needed))], features.astype(np.float32), needed.astype(np.intp), 4)


def noise(rows: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, 4 + len(FEATURES)))


def test_every_feature_is_in_one_group() -> None:
    """Whoever adds a feature says what it stands for."""
    assert sorted(name for members in GROUPS.values() for name in members) == sorted(FEATURES)


def test_leaving_out_what_tells_the_tier_costs() -> None:
    """Where the length alone tells it, the group `length` pays, and no other does."""
    features, needed = noise(600), np.arange(600) // 5 % 2
    features[:, 4 + list(FEATURES).index("log_characters")] += 3 * needed

    found = {entry.without: entry for entry in ablate(held(features, needed), quiet)}

    assert set(found) == {
        *("nothing", "all structural features", "the words", "the words and all structural features", "the embedding"),
        *GROUPS,
    }
    assert found["nothing"].change.value == 0
    assert found["length"].change.high < -0.2
    assert found["all structural features"].change.high < -0.2
    assert abs(found["code"].change.value) < 0.05
    assert abs(found["the embedding"].change.value) < 0.05
    assert found["length"].log_loss > found["nothing"].log_loss


def test_an_embedding_by_itself_is_weighted_as_it_is_in_company() -> None:
    """Where it tells all there is to tell, nothing is lost with everything beside it."""
    features, needed = noise(600), np.arange(600) // 5 % 2
    features[:, :4] = np.eye(4)[needed]

    found = {entry.without: entry for entry in ablate(held(features, needed), quiet)}

    assert found["the words and all structural features"].log_loss < 1.2 * found["nothing"].log_loss


def test_what_was_never_seen_has_its_price() -> None:
    """Where each world has a habit of its own, other rows of it help, and a world never seen is a guess."""
    rows = 600
    world, sign = np.arange(rows) % WORLDS, np.random.default_rng(1).choice([-1, 1], rows)
    needed = (sign * np.where(world % 2, 1, -1) > 0).astype(int)
    features = np.zeros((rows, 4 + len(FEATURES)))
    for place in range(rows):
        features[place, 4 + world[place]] = 3 * sign[place]

    found = leave_out(held(features, needed), "worlds", world_of, 6, quiet)

    assert found.names == WORLDS
    assert found.within.value > 0.95
    assert found.macro_f1.high < 0.8
    assert all(size == rows / WORLDS for size, _ in found.worst.values())
    with pytest.raises(InputError, match="worlds: there are 6, expected at least 7"):
        leave_out(held(features, needed), "worlds", world_of, 7, quiet)


@pytest.mark.parametrize(("identity", "world"), [("dev-ops-017", "dev-ops"), ("x-1", "x"), ("17", "17")])
def test_a_row_tells_its_world(identity: str, world: str) -> None:
    """By its id; without a dash it is a world of its own."""
    assert world_of(labelled(identity)) == world


def test_the_command_tells_all(small_data: Path, embedding_cache: Path) -> None:
    """Ablation and leave-out as JSON; bad input is one line."""
    done = run("ablate", "--data", small_data, "--leave-out", "worlds", "--cache", embedding_cache, "--json")
    bad = run("ablate", "--data", small_data, "--leave-out", "tiers")

    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["ablation"][0]["without"] == "nothing"
    assert told["left_out"][0]["rows"] == 360
    assert bad.returncode == 2
    assert "--leave-out 'tiers' --folds 5: expected worlds, families or none" in bad.stderr.decode()
