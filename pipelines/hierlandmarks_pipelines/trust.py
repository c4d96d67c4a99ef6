"""How likely the likeliest label is right: a second look at what the clues said, learnt on answers held out.

The blend's own probability is overconfident where its clues share a mistake; how far they agree tells more.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hierlandmarks_pipelines.blend import Floats

Bools = npt.NDArray[np.bool_]
Trust = Callable[[Floats, Floats], Floats]  # probabilities N × L, opinions M × N × L -> N confidences in 0..1

_STRENGTH = 0.3  # inverse, of the L2 penalty on weights of standardised evidence; chosen on held-out answers
_TINY = 1e-6


def learn_trust(probabilities: Floats, opinions: Floats, right: Bools) -> Trust:
    """Logistic regression from the evidence about an answer to whether it was right.

    A calibrated confidence in the sense of Platt (1999), with more evidence than one score.

    Args:
        probabilities: N × L of a blend that did not learn from these landmarks.
        opinions: M × N × L as the blend took them.
        right: N; whether the likeliest label was right.

    Returns:
        Confidence of the likeliest label. Where all were right, or all wrong, there is nothing to learn, and the
        probability of the likeliest label stands.
    """
    if right.all() or not right.any():
        return lambda asked, heard: np.asarray(asked.max(axis=1)) if len(asked) else np.zeros(0)
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=_STRENGTH, max_iter=500))
    model.fit(_evidence(probabilities, opinions), right)

    def trust(asked: Floats, heard: Floats) -> Floats:
        return np.asarray(model.predict_proba(_evidence(asked, heard))[:, 1]) if len(asked) else np.zeros(0)

    return trust


def _evidence(probabilities: Floats, opinions: Floats) -> Floats:
    """N × E: how clear the answer is, and of every clue whether it gives the same one and how sure it is of it."""
    answer = probabilities.argmax(axis=1)
    rows = np.arange(len(answer))
    second, first = np.sort(probabilities, axis=1)[:, -2:].T
    entropy = -(probabilities * np.log(probabilities + _TINY)).sum(axis=1)
    columns = [np.log((first + _TINY) / (1 - first + _TINY)), np.log((first + _TINY) / (second + _TINY)), entropy]
    for heard in opinions:
        said = heard[rows, answer]
        columns += [said, np.exp(said) * (said != 0), (heard.argmax(axis=1) == answer).astype(float)]
    return np.stack(columns, axis=1)
