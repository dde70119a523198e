"""Learning from outcomes, against learning from labels made of them."""

from pathlib import Path

import numpy as np
import pytest

from learnedrouter.classifier.assessment import label_scores
from learnedrouter.classifier.features import structural
from learnedrouter.errors import InputError
from learnedrouter.training import outcomes
from learnedrouter.training.embed import Original, embed, load_model
from learnedrouter.training.examples import Outcomes
from learnedrouter.training.fit import Sample, fit_by_folds
from learnedrouter.training.folds import FoldsPlan, cross_validate
from learnedrouter.training.halfway import joined
from learnedrouter.training.outcomes import OutcomeLadder
from learnedrouter.training.quality import curve
from tests.made import quiet
from tests.outcome_world import rows, write

LADDER = OutcomeLadder.parse("weak=small,strong=big")


def test_patterns_beat_labels_where_some_requests_are_hopeless(tmp_path: Path, embedding_cache: Path) -> None:
    """The label 'the cheap model is wrong' sends what no model solves to the strong one; the patterns know better."""
    path = write(tmp_path / "world.jsonl", rows(300))
    report = cross_validate(FoldsPlan(Outcomes((path,), LADDER), 3, cache=embedding_cache), quiet)

    held, _ = outcomes.load([path], LADDER)
    asks, scores = [row.ask for row in held], outcomes.score_matrix(held)
    vectors = embed(Original(joined(load_model("all-MiniLM-L6-v2", 128))), [ask.reading for ask in asks], embedding_cache, quiet)
    features = np.hstack([vectors, structural(asks)])
    needed = (scores[:, 0] < 0.5).astype(np.intp)
    fitted, judged = np.arange(300) % 2 == 0, np.arange(300) % 2 == 1
    head = fit_by_folds(Sample(features[fitted], needed[fitted], [str(n) for n in range(150)]), vectors.shape[1], 0).head
    expected = head.predict_proba(features[judged]) @ label_scores(2)
    by_labels = curve(expected[:, 1] - expected[:, 0], scores[judged, 0], scores[judged, 1])

    assert report.ranking["this router"]["apgr"].value > by_labels.apgr + 0.1


def test_the_same_seed_gives_the_same_figures(tmp_path: Path, embedding_cache: Path) -> None:
    """Folds, heads and intervals are seeded; another seed makes other folds."""
    source = Outcomes((write(tmp_path / "world.jsonl", rows(150)),), LADDER)

    first, again, other = (cross_validate(FoldsPlan(source, 3, seed=seed, cache=embedding_cache), quiet) for seed in (0, 0, 1))

    assert first == again
    assert first.ranking["this router"] != other.ranking["this router"]


def test_too_few_rows_for_the_folds_are_refused(tmp_path: Path, embedding_cache: Path) -> None:
    """The error says how many there are."""
    source = Outcomes((write(tmp_path / "world.jsonl", rows(150)),), LADDER)

    with pytest.raises(InputError, match=r"--folds 151: expected at least 2, and at most one a row \(150\)"):
        cross_validate(FoldsPlan(source, 151, cache=embedding_cache), quiet)


def test_a_class_of_fewer_rows_than_folds_is_refused() -> None:
    """It could not be both fitted and judged."""
    with pytest.raises(InputError, match="a class has 2 of the 10 rows, expected at least 3"):
        fit_by_folds(Sample(np.zeros((10, 5), dtype=np.float32), np.array([0] * 8 + [1] * 2), list("abcdefghij")), 3, 0)
