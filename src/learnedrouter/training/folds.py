"""Judging the method itself on outcomes: every request is judged by a head that was fitted without it.

The protocol of published comparisons: folds stratified by outcome pattern and seeded, the wishes of all folds pooled, one
curve. Patterns, C and temperature are chosen anew on the training rows of every fold, so that nothing of a fold is known
to the head that judges it. Equal requests, and rows of one group, stay in one fold. Rows that a borrowed encoder was tuned
on are left out.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from learnedrouter.classifier.features import structural
from learnedrouter.classifier.wording import opinions
from learnedrouter.errors import InputError
from learnedrouter.training import borrowed, outcomes, patterns, quality, wording
from learnedrouter.training.embed import DEFAULT_CACHE, DEFAULT_MAX_TOKENS, DEFAULT_MODEL, Progress, embed, embed_readings, load_model
from learnedrouter.training.examples import Outcomes, examples
from learnedrouter.training.fit import Sample, fit_by_folds
from learnedrouter.training.halfway import joined
from learnedrouter.training.held_out import unseen
from learnedrouter.training.outcomes import OutcomeRow
from learnedrouter.training.parallel import THREADS, workers
from learnedrouter.training.quality import OutcomeReport


@dataclass(frozen=True, slots=True)
class FoldsPlan:
    """What to cross-validate, and how; see `TrainingPlan` for what they have in common.

    Parameters
    ----------
    source
        The outcomes.
    folds
        How many; at least two.
    """

    source: Outcomes
    folds: int
    encoder: str = DEFAULT_MODEL
    max_tokens: int = DEFAULT_MAX_TOKENS
    seed: int = 0
    cache: Path = DEFAULT_CACHE


def cross_validate(plan: FoldsPlan, progress: Progress) -> OutcomeReport:
    """Return the figures of the pooled out-of-fold wishes.

    Raises
    ------
    DatasetError
        The data cannot be used.
    InputError
        There are too few rows for so many folds, or no gap to recover.
    """
    rows, ladder = outcomes.load(plan.source.paths, plan.source.ladder)
    if lent := borrowed.lender(plan.encoder):
        rows = unseen(rows, lent.folder)
    if not 2 <= plan.folds <= len(rows):
        raise InputError(f"--folds {plan.folds}: expected at least 2, and at most one a row ({len(rows)})")
    scores = outcomes.score_matrix(rows)
    quality.refuse_no_gap(scores[:, 0], scores[:, -1])
    with workers(THREADS):
        readings = [row.ask.reading for row in rows]
        if lent:
            vectors = embed(lent.embedder(), readings, plan.cache, progress)
        else:
            vectors = embed_readings(joined(load_model(plan.encoder, plan.max_tokens)), readings, plan.cache, progress)
        structure = structural([row.ask for row in rows])
        sufficiency = np.empty_like(scores)
        strata = patterns.learn(scores, plan.source.accept).classes(scores)
        splitter = StratifiedGroupKFold(plan.folds, shuffle=True, random_state=plan.seed)
        for done, (inside, outside) in enumerate(splitter.split(strata, strata, [row.group for row in rows]), 1):
            own = _chosen(rows, inside.tolist())
            known = patterns.learn(scores[inside], plan.source.accept)
            fold = examples(own, known)
            learned = wording.fit(fold.asks, fold.classes, fold.groups, plan.seed, progress)
            features = np.hstack([vectors[inside], structure[inside], learned.opinions])
            head = fit_by_folds(Sample(features, fold.classes, fold.groups), vectors.shape[1], plan.seed).head
            told = opinions(learned.wording, [row.ask for row in _chosen(rows, outside.tolist())])
            sufficiency[outside] = head.predict_proba(np.hstack([vectors[outside], structure[outside], told])) @ known.class_scores
            progress("folds", done, plan.folds)
    return quality.judge(sufficiency, scores, ladder.by_tier(), seed=plan.seed)


def _chosen(rows: list[OutcomeRow], places: list[int]) -> list[OutcomeRow]:
    return [rows[place] for place in places]
