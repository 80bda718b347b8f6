"""Measure, with transformers alone, what is true of the instructions about language models.

    python benchmarks/device/truth.py SMOLLM2_FOLDER GEMMA_FOLDER

Prints one line for each; instructions.toml has what came out."""

from __future__ import annotations

import sys
from typing import Any

import torch

COUNTRIES = {
    "France": "Paris",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Germany": "Berlin",
    "Poland": "Warsaw",
    "Greece": "Athens",
    "Portugal": "Lisbon",
    "Austria": "Vienna",
    "Hungary": "Budapest",
    "Sweden": "Stockholm",
    "Norway": "Oslo",
    "Denmark": "Copenhagen",
    "Finland": "Helsinki",
    "Ireland": "Dublin",
    "Belgium": "Brussels",
    "Russia": "Moscow",
    "Ukraine": "Kiev",
    "Romania": "Bucharest",
    "Bulgaria": "Sofia",
    "Croatia": "Zagreb",
    "Japan": "Tokyo",
    "China": "Beijing",
    "India": "Delhi",
    "Egypt": "Cairo",
    "Kenya": "Nairobi",
    "Peru": "Lima",
    "Chile": "Santiago",
    "Cuba": "Havana",
    "Iran": "Tehran",
    "Iraq": "Baghdad",
    "Turkey": "Ankara",
    "Canada": "Ottawa",
    "Thailand": "Bangkok",
    "Vietnam": "Hanoi",
    "Lebanon": "Beirut",
    "Syria": "Damascus",
    "Ethiopia": "Addis Ababa",
    "Ghana": "Accra",
    "Nepal": "Kathmandu",
    "Qatar": "Doha",
}
MONTHS = """January February March April May June July August September October November
December"""
QUESTIONS = """Is fire hot? Is ice warm? Is the sky blue? Is grass red? Is water wet? Is a stone
soft? Do birds fly? Do fish walk? Is snow white? Is coal white? Is the sun a star? Is the moon a
city? Are dogs animals? Are cars animals? Is two more than one? Is five less than three? Is Paris in
France? Is Rome in Japan? Can a dog bark? Can a cat read? Is milk a drink? Is iron a metal? Is wood
a metal? Is night dark?"""


class Lm:
    """A language model of transformers, with what is needed here."""

    def __init__(self, folder: str) -> None:
        from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json")
        self.model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        bos = self.model.config.bos_token_id
        self.opening = [bos] if "gemma" in self.model.config.model_type else []

    def ids(self, text: str) -> list[int]:
        return self.opening + list(self.tokenizer.encode(text, add_special_tokens=False))

    def run(self, text: str, **more: Any) -> Any:
        with torch.no_grad():
            return self.model(torch.tensor([self.ids(text)]), **more)

    def log_prob(self, prompt: str, answer: str) -> float:
        before, whole = self.ids(prompt), self.ids(prompt + answer)
        logs = self.run(prompt + answer).logits[0].log_softmax(-1)
        return sum(float(logs[i - 1, whole[i]]) for i in range(len(before), len(whole)))

    def lens(self, text: str, block: int) -> torch.Tensor:
        hidden = self.run(text, output_hidden_states=True).hidden_states[block + 1][0, -1]
        with torch.no_grad():
            logits: torch.Tensor = self.model.lm_head(self.model.model.norm(hidden))
        return logits.log_softmax(-1)


def capitals(lm: Lm, count: int, others: int = 1) -> float:
    """The share of countries whose city beats those of the next countries."""
    names = list(COUNTRIES)[:count]
    right = 0
    for i, name in enumerate(names):
        prompt = f"The capital of {name} is"
        own = lm.log_prob(prompt, f" {COUNTRIES[name]}")
        rivals = [names[(i + 1 + 7 * k) % count] for k in range(others)]
        right += all(own > lm.log_prob(prompt, f" {COUNTRIES[r]}") for r in rivals)
    return right / count


def main(smollm2: str, gemma: str) -> None:
    small, large = Lm(smollm2), Lm(gemma)
    print("france-paris: share", capitals(small, 20))
    names = list(COUNTRIES)[:20]
    for block in (5, 27):
        gaps = []
        for i, name in enumerate(names):
            logs = small.lens(f"The capital of {name} is", block)
            right, wrong = (small.ids(f" {COUNTRIES[n]}")[0] for n in (name, names[(i + 1) % 20]))
            gaps.append(float(logs[right] - logs[wrong]))
        print(f"capital-late: lens after block {block}", sum(gaps) / len(gaps))
    texts = [q.strip() + "?" for q in QUESTIONS.replace("\n", " ").split("?") if q.strip()]
    first = [float(small.run(t, output_attentions=True).attentions[10][0, 0, -1, 0]) for t in texts]
    print("bos-sink: head 10.0 to the first token", sum(first) / len(first))
    months = MONTHS.split()
    right = 0
    for i in range(12):
        prompt = f"{months[i]}, {months[(i + 1) % 12]},"
        logs = large.run(prompt).logits[0, -1]
        best = max(months, key=lambda m: float(logs[large.ids(f" {m}")[len(large.opening)]]))
        right += best == months[(i + 2) % 12]
    print("gemma-months: share of starts", right / 12)
    both = capitals(large, 40, 3), capitals(small, 40, 3)
    print("gemma-smollm:", *both)
    yes = 0
    for text in texts:
        with torch.no_grad():
            out = small.model.generate(
                torch.tensor([small.ids(f"{text} Answer:")]), max_new_tokens=10, do_sample=False
            )[0]
        written = small.tokenizer.decode(out[len(small.ids(f"{text} Answer:")) :]).lower()
        yes += "yes" in written or "no" in written
    print("generate-refuse: share", yes / len(texts))
    for block in (5, 28):
        moved = []
        for i, name in enumerate(names):
            other = names[(i + 1) % 20]
            moved.append(patched(small, name, other, block))
        moved = [m for m in moved if m is not None]
        print(f"patch-subject: before block {block}", sum(moved) / len(moved), len(moved))


def patched(lm: Lm, name: str, other: str, block: int) -> float | None:
    """By how much the answer moves when the country's stream comes from another sentence."""
    clean, corrupt = (f"The capital of {n} is" for n in (name, other))
    if len(lm.ids(clean)) != len(lm.ids(corrupt)) or len(lm.ids(clean)) != 5:
        return None
    place = 3
    hidden = lm.run(corrupt, output_hidden_states=True).hidden_states[block][0, place]

    def put(module: Any, args: Any) -> Any:
        x = args[0].clone()
        x[0, place] = hidden
        return (x, *args[1:])

    own, foil = (lm.ids(f" {COUNTRIES[n]}")[0] for n in (name, other))
    before = lm.run(clean).logits[0, -1]
    handle = lm.model.model.layers[block].register_forward_pre_hook(put)
    try:
        after = lm.run(clean).logits[0, -1]
    finally:
        handle.remove()
    return float((before[own] - before[foil]) - (after[own] - after[foil]))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python benchmarks/device/truth.py SMOLLM2_FOLDER GEMMA_FOLDER")
    main(*sys.argv[1:])
