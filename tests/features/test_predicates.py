"""Rules about tokens against reading the text by eye, F1 against counting, and planted features
that follow a rule."""

import numpy as np
import torch

from assay.features.predicates import common, f1, followed, rules

TEXT = ["def", " add", "(", "a", ")", ":", "\n", " return", " 12", " the", "_x", '"']


def library():
    tokens = np.array([[0, 1, 2, 3, 4, 5, 6, 7, 8, 6], [9, 10, 11, 6, 0, 1, 2, 3, 4, 5]])
    labels = {"string": tokens == 11, "comment": np.zeros_like(tokens, bool)}
    made = rules(tokens, TEXT, labels, common(tokens, 5))
    return tokens, {
        name: made.true[:, i].reshape(tokens.shape) for i, name in enumerate(made.names)
    }


def test_rules_say_what_their_names_say():
    tokens, rule = library()
    np.testing.assert_array_equal(rule["token '\\n'"], tokens == 6)
    np.testing.assert_array_equal(rule["kind: digits"], tokens == 8)
    np.testing.assert_array_equal(rule["kind: opening bracket"], tokens == 2)
    assert rule["after '\\n'"][0].nonzero()[0].tolist() == [7] and rule["after '\\n'"][1].nonzero()[
        0
    ].tolist() == [4]
    assert rule["after kind: line break"][1].nonzero()[0].tolist() == [4], (
        "nothing stands before the first token"
    )
    assert rule["place 0 to 0 in its line"][0].nonzero()[0].tolist() == [0, 7]
    np.testing.assert_array_equal(rule["syntax: string"], tokens == 11)


def test_the_commonest_tokens_come_first():
    assert common(np.array([[3, 3, 5], [5, 1, 3]]), 2) == [3, 5]


def test_f1_is_that_of_counting():
    own = np.random.default_rng(0)
    on, true = own.random((50, 4)) < 0.3, own.random((50, 3)) < 0.4
    found = f1(torch.from_numpy(on), torch.from_numpy(true))
    for i in range(4):
        for j in range(3):
            both = (on[:, i] & true[:, j]).sum()
            precision, recall = both / on[:, i].sum(), both / true[:, j].sum()
            np.testing.assert_allclose(
                found[i, j], 2 * precision * recall / (precision + recall), atol=1e-6
            )
    assert f1(torch.zeros(5, 1).bool(), torch.zeros(5, 1).bool()).item() == 0


def test_planted_features_are_found_and_the_others_are_not():
    """Of 30 features 10 follow a rule but for one token in twenty: precision and recall 1 at F1 .8,
    none on shuffled tokens."""
    own = torch.Generator().manual_seed(0)
    true = [torch.rand(3000, 40, generator=own) < 0.1 for _ in range(2)]
    f = []
    for part in true:
        noise = torch.rand(3000, 30, generator=own)
        planted = torch.where(
            torch.rand(3000, 10, generator=own) < 0.05,
            ~part[:, :10] & (noise[:, :10] < 0.1),
            part[:, :10],
        )
        f.append(
            torch.cat([planted * noise[:, :10].add(0.5), (noise[:, 10:] < 0.1) * noise[:, 10:]], 1)
        )
    of_feature, of_rule = followed((f[0], f[1]), (true[0], true[1]))
    assert (of_feature[:10] >= 0.8).all() and (of_feature[10:] < 0.4).all()
    assert (of_rule[:10] >= 0.8).all() and (of_rule[10:] < 0.4).all()
    shuffled = [part[torch.randperm(3000, generator=own)] for part in true]
    assert (followed((f[0], f[1]), (shuffled[0], shuffled[1]))[0] < 0.4).all()


def test_rules_that_are_hardly_ever_true_are_left_out():
    true = torch.zeros(100, 2, dtype=torch.bool)
    true[:30, 0], true[:5, 1] = True, True
    of_feature, of_rule = followed((true.float(), true.float()), (true, true))
    assert of_rule[0] == 1 and np.isnan(of_rule[1])
    assert of_feature[0] == 1 and of_feature[1] < 0.4
