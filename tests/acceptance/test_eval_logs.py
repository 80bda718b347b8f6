"""Samples in the format of lm-evaluation-harness are judged by filter, as the table that they
are."""

import json
import random

import pytest

import assay


def test_samples_of_lm_evaluation_harness_are_judged_by_filter(tmp_path):
    numbers = {}
    for model, right in (("able", 0.9), ("weak", 0.2), ("again", 0.2)):
        (tmp_path / model).mkdir()
        draw, lines = random.Random(model), []
        for doc in range(40):
            for kind in ("strict-match", "flexible-extract"):
                correct = float(draw.random() < right)
                answer = "1" if correct else draw.choice(["2", "3", "[invalid]"])
                numbers.setdefault((model, kind), []).append(correct)
                lines.append({"doc_id": doc, "doc": {"question": "?"}, "target": "1"})
                lines[-1] |= {"resps": [["?"]], "filter": kind, "exact_match": correct}
                lines[-1] |= {"filtered_resps": [answer], "prompt_hash": f"{doc:064x}"}
                lines[-1] |= {"metrics": ["exact_match"], "doc_hash": "ab"}
        name = tmp_path / model / "samples_gsm8k_2026-01-02T03-04-05.678901.jsonl"
        name.write_text("\n".join(map(json.dumps, lines)) + "\n")
    claim = "able.exact_match[filter=strict-match] - weak.exact_match[filter=strict-match] > 0.3"
    claim = claim.replace("strict-match", '"strict-match"')
    judged = assay.judge(tmp_path, claim=claim, unit="sample", control="again", about="able")
    able, weak = numbers["able", "strict-match"], numbers["weak", "strict-match"]
    assert judged.estimate == pytest.approx((sum(able) - sum(weak)) / 40)
    assert judged.outcome == "holds" and judged.n == {"sample": 40}
