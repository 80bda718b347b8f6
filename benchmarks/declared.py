"""What a careful user would declare of the confounded claims in `claims`, each by its name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from assay.controls.things import Heads

Column = Callable[[pd.DataFrame], pd.Series]


def given(text: str, **columns: Column) -> dict[str, Any]:
    """A precondition, and the columns that it needs."""
    return {"given": text, "columns": columns}


def within(column: str, of: str) -> Column:
    """A column less its mean over rows of one arm and one value of another."""
    return lambda rows: rows[column] - rows.groupby(["arm", of])[column].transform("mean")


def _contains(rows: pd.DataFrame) -> pd.Series:
    pairs = zip(rows["demo_ids"], rows["query_id"], strict=True)
    return pd.Series([query in demos.split("|") for demos, query in pairs], rows.index)


def seen(name: str, of: Callable[[Any, Any], Any]) -> dict[str, Any]:
    """A control of a probe that is computed from its activations, or its other arguments."""
    return {"of_rows": {"controls": lambda X, ask: {name: of(X, ask)}}}


def _repeats_the_first(X: Any, ask: Any) -> list[bool]:
    pairs = (text.split("? Answer: ") for text in ask["texts"])
    return [question.split(", ")[1].startswith(f"{said} or") for question, said in pairs]


def _questions(X: Any, ask: Any) -> list[str]:
    """Each of ten wordings of a question has the two words that no other question has."""
    sets = [{*re.findall(r"\w+", text)} for text in ask["texts"]]
    times = Counter(word for words in sets for word in words)
    return [" ".join(sorted(word for word in words if times[word] == 10)) for words in sets]


DECLARED: dict[str, dict[str, Any]] = {
    # dictionaries
    "fvu_with_bos": given("abs(jumprelu.n_tokens - topk.n_tokens) < 0.5"),
    "probe_tested_on_training_split": given("ours.train_acc - ours.test_acc > 0"),
    "unparsed_answers_dropped": given("cot_explainer.parse_ok > 0.9"),
    "layers_mixed_otherwise": {"unit": "layer"},
    "nats_against_bits": given("abs(gated.ce_clean - standard.ce_clean) < 0.1"),
    "judge_drifts_during_the_day": given("abs(steered.hour - base.hour) < 0.5"),
    "loss_recovered_against_zero_ablation": given(
        "abs(new_sae.ce_ablated - old_sae.ce_ablated) < 0.5"
    ),
    "concept_score_of_broken_text": given("steered.distinct_2 > 0.5"),
    "control_hook_never_ran": given("random_dir.hook_calls > 0"),
    "check_latent_breaks_everything": {"given": "other_task > -0.5"},
    "check_layer_against_layers_without_effect": {"controls": {"earlier layers": [6, 12, 18]}},
    "probe_reads_the_apostrophe": seen(
        "curly", lambda X, ask: ["\u2019" in x for x in ask["texts"]]
    ),
    # circuits
    "candidate_judges_itself": given(
        'mean("tuned-70b".other, over=judge) - mean("base-70b".other, over=judge) > 0.3',
        other=lambda rows: rows["score"].where(rows["judge"] != "tuned-70b"),
    ),
    "always_answers_a": {"unit": "gold"},
    "cut_off_at_512": given("share(base.n_gen_tokens > 511) < 0.1"),
    "schedule_not_finished": given("abs(gated.lr[step=10000] - plain.lr[step=10000]) < 0.00001"),
    "control_patches_itself": given(
        "patched_random.other > 0.9", other=lambda rows: rows["source_prompt"] != rows["prompt"]
    ),
    "questions_before_the_cutoff": given(
        "forecaster.correct[late=True] - base.correct[late=True] > 0.05",
        late=lambda rows: rows["question_date"] > rows["train_cutoff"].max(),
    ),
    "loss_per_other_tokens": given("abs(bpe8k.n_tokens / bpe64k.n_tokens - 1) < 0.1"),
    "depth_makes_the_correlation": given(
        "corr(a, e) > 0.5", a=within("attribution", "layer"), e=within("effect", "layer")
    ),
    "test_set_is_the_train_set": given("augmented.train_acc - augmented.test_acc > 0"),
    "circuit_found_on_half": given(
        "clean.logit_diff[split=heldout] - circuit_ablated.logit_diff[split=heldout] > 0.3"
    ),
    "check_all_logits_rise": {"given": "logprob > 0.5"},
    "check_always_mary": {"unit": "io"},
    "probe_accuracy_is_the_majority": {"controls": {"constant": np.zeros(240)}},
    "probe_reads_the_norm": seen("norm", lambda X, ask: np.linalg.norm(X, axis=1)),
    # finetuning
    "sequential_edits_reach_the_second_hop": given(
        "rome_seq500.unrelated_hit - base.unrelated_hit < 0.1"
    ),
    "clamped_model_forgets_biology": given(
        "base.correct[dataset=mmlu] - clamp.correct[dataset=mmlu] < 0.1"
    ),
    "gated_hardly_absorbs": given("share(gated.n_tested > 0) > 0.9"),
    "one_latent_is_a_better_probe": given("sae_k1.train_acc - sae_k1.test_acc > 0"),
    "patch_halves_the_kl": given("abs(patched.n_pos / base.n_pos - 1) < 0.1"),
    "judges_prefer_the_dpo_model": given("dpo_vs_sft.shown_first < 0.6"),
    "dpo_adds_honesty_to_sft": given("abs(sft.honesty - base.honesty) > 0.01"),
    "memit_leaves_neighbours_alone": given(
        "base.neighborhood_correct - memit.neighborhood_correct < 0.05"
    ),
    "changed_heads_matter": given(
        "spearman(finetuned.d, finetuned.e) > 0.3",
        d=within("delta_norm", "layer"),
        e=within("restore_effect", "layer"),
    ),
    "finetuning_helps_where_base_is_weak": given("corr(base_score_rerun, gain) < -0.3"),
    "truth_vector_makes_it_say_true": {"given": "true_logit - false_logit > 0.5"},
    "probe_knows_the_right_option": seen("first option", _repeats_the_first),
    "lie_detector_detects_refusals": seen(
        "sorry", lambda X, ask: ["orry" in x for x in ask["texts"]]
    ),
    # steering
    "judge_prefers_what_it_reads_first": given(
        "steered.first < 0.6", first=lambda rows: rows["shown_first"] == "candidate"
    ),
    "unreadable_ratings_became_ones": given(
        "steered.read > 0.9", read=lambda rows: rows["judge_raw"].str.contains("[[", regex=False)
    ),
    "control_heads_are_downstream": {"control": ["random_heads", "early_heads"]},
    "loss_in_bits_against_loss_in_nats": given("log(no_induction.ppl) - log(base.ppl) > 0.5"),
    "every_hint_said_a": given(
        "hinted.said_a < 0.4", said_a=lambda rows: rows["hint_letter"] == "A"
    ),
    "neighbours_contain_the_question": given("knn_demos.seen < 0.05", seen=_contains),
    "interchange_pairs_with_one_label": given(
        "abs(das.same - random_subspace.same) < 0.1",
        same=lambda rows: rows["base_label"] == rows["source_label"],
    ),
    "hooks_pile_up": given("steered.n_hooks < 2"),
    "judge_is_graded_by_itself": given(
        "auroc(judge_score[label_source=human], harmful[label_source=human]) > 0.8"
    ),
    "best_layer_for_each_prompt": given("truth_dir_l12.effect > 1"),
    "yes_rises_and_no_rises_too": {"given": "yes - no > 0.5"},
    "decisive_steps_are_in_the_middle": seen(
        "position", lambda X, ask: [str(p // 100) for p in ask["controls"]["position"]]
    ),
    "wordings_of_fourteen_questions": {"of_rows": {"groups": _questions}},
    "pool_of_pruned_heads": {"thing": Heads([(2, 1)], of=(4, 8))},
}
"""Claim → further keywords of the call, another `thing`, `columns` that a script would log as well,
and what is computed `of_rows` of a probe. Of three others the data hide what is wrong: in
`prompts_chosen_for_low_baseline` a second run of the baseline, in
`check_controls_are_dead_features` any live feature, and in
`finetuning_teaches_which_facts_are_true` prompts that are not those of the training."""
