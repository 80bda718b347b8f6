"""Two hundred prompts under forty edits, and probes at all layers, in a Llama-shaped model of eight
billion random weights: Assay beside hooks of transformers, nnsight and TransformerLens.

    python benchmarks/asking_on_a_gpu.py [--device cuda] [--repeats 3] [--least]
        [--peers plain nnsight transformer_lens]

The edits, each at ten layers: a vector is added, the corrupted prompt's stream is put in at one
token, two heads are zeroed, two heads are set to their mean. Of each prompt under each edit the
difference of two log-probabilities is read; then, for probes, the last token's stream behind every
block. "plain" is what one writes by hand: all prompts in one pass for each edit, a hook, and the
unembedding of the last token alone. The others do the same with their own hooks. Contenders take
turns after a warm-up, but for TransformerLens, which changes the model's modules and so comes last.
Fitting the probes is timed by itself. Prints one JSON line for each contender, whose `ratio` is its
time over Assay's, and the largest difference between any two numbers that should be the same.

Goals on one H100 or H200: as fast as plain hooks, three times as fast as nnsight, at most 15 % of
memory above the weights. `--least` takes a tiny model of float32."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from unittest import mock

import asking_by_hand
import msgspec
import numpy as np
import torch

from assay.ask.measure import activations, interventions, measuring, probes, prompts
from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.measure.replacements import corrupted
from assay.ask.measure.tasks import Task
from assay.ask.measure.tokenized import prompt
from assay.ask.tables import Direction, Intervention, Model, Probe, Prompts, Read
from assay.subjects import pretrained
from assay.subjects.folder import ModelFolder
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site

TESTS = Path(__file__).parents[1] / "tests"
LARGE = {
    "vocab_size": 128_256,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0},
    "tie_word_embeddings": False,
}
LEAST = LARGE | {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
}
LAYERS, HEADS, ANSWERS = 10, (3, 5), (" a", " b")
TEXT = "In {place}, Ann has {count} pens and"
READ = Read(name="gap", log_prob=ANSWERS)
SITE = "blocks.{layer}.hook_resid_pre"
STEERING = Direction(name="steering", site=SITE, unembedding=ANSWERS)
EDITS = (
    Intervention(name="add", add="steering", strength=4.0),
    Intervention(name="patch", patch="corrupted", site=SITE, position="{place}"),
    Intervention(name="zero", ablate="zero", heads=tuple(f"{{layer}}.{h}" for h in HEADS)),
    Intervention(name="mean", ablate="mean", heads=tuple(f"{{layer}}.{h}" for h in HEADS)),
)


class Made(ModelFolder):
    """A model that was made in memory: what is said of a folder, and no weights there."""

    fingerprint = "random weights"  # type: ignore[assignment]


def rows(count: int) -> list[dict[str, str]]:
    """Prompts of nearly the same length, all different, and for each another place."""
    draw = np.random.default_rng(0)
    parts = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    places = ["".join(draw.choice(parts, 3)).capitalize() for _ in range(2 * count)]
    return [
        {
            "place": places[i],
            "other": places[count + i],
            "count": str(10 + int(draw.integers(90))),
            "label": ("near", "far")[i % 2],
        }
        for i in range(count)
    ]


def make(folder: Path, device: str, least: bool) -> Pretrained:
    """A model of random weights with the sites that Assay knows, proved as one that is opened."""
    import transformers

    sys.path.insert(0, str(TESTS))
    import tiny_models

    folder.mkdir(parents=True, exist_ok=True)
    tiny_models.save_tokenizer(folder)
    config: Any = transformers.LlamaConfig(**(LEAST if least else LARGE))
    config.architectures = ["LlamaForCausalLM"]
    dtype = torch.float32 if least else torch.bfloat16
    torch.manual_seed(0)
    with torch.device(device):
        model: Any = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    model = model.eval().requires_grad_(False)
    about = Made(str(folder), folder, (), config.to_dict(), {"name": "random weights"})
    places = next(iter(about.architecture.places()))
    name = "float32" if least else "bfloat16"
    subject = Pretrained(about, model, name, model.base_model.layers, places)
    pretrained.prove(subject)
    return subject


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked of the model, in Assay's words."""

    subject: Pretrained
    count: int

    @cached_property
    def prompts(self) -> prompts.PromptSet:
        """The prompts, each with its other text."""
        other = TEXT.replace("{place}", "{other}")
        table = Prompts(text=TEXT, corrupted=other, rows=tuple(rows(self.count)))
        return prompts.load(table, Path())

    @cached_property
    def layers(self) -> list[int]:
        """The layers of the edits, evenly from the first to the last."""
        last = self.subject.layers - 1
        return [round(i * last / (LAYERS - 1)) for i in range(LAYERS)]

    def edits(self) -> np.ndarray:
        """The difference of log-probabilities, [edit, prompt]."""
        found = []
        for table in EDITS:
            swept = msgspec.structs.replace(table, sweep={"layer": tuple(self.layers)})
            swept = interventions.expanded(swept, [STEERING])
            task = Task(self._model, self.prompts, (READ,), swept, "", (STEERING,))
            with mock.patch.object(measuring.models, "as_it_is", lambda *_: self.subject):
                named, _ = measuring.measure(
                    task, np.array([0]), Path(), "", smoke=False, tick=lambda done, total: None
                )
            found.append(named["gap"][1][0])
        return np.concatenate(found)

    def streams(self) -> list[torch.Tensor]:
        """What probes read: the last token's stream behind every block, [prompt, d] of each."""
        activations._known.clear()
        sites = [Site("resid_post", n) for n in range(self.subject.layers)]
        key = f"{self.subject.fingerprint} "
        return activations.all_activations(self.subject, key, self.prompts, sites, -1)

    def fits(self) -> None:
        """Fit a probe at every layer to the streams that were read, and judge it."""
        layers = tuple(range(self.subject.layers))
        site = "blocks.{layer}.hook_resid_post"
        table = Probe(name="told", site=site, kind="logistic", sweep={"layer": layers})
        task = ProbeTask(self._model, table, self.prompts)
        with (
            mock.patch.object(probes, "opened", lambda *_: self.subject),
            mock.patch.object(probes, "find", lambda _: self.subject.folder),
        ):
            probes.measure(
                task, np.array([0]), Path(), "", smoke=False, tick=lambda done, total: None
            )

    @property
    def _model(self) -> Model:
        return Model(name=self.subject.name)

    def by_hand(self) -> asking_by_hand.Question:
        """The same for whoever knows nothing of Assay: tokens and numbers."""
        folder = self.subject.folder
        found = [prompt(folder, row) for row in self.prompts.rows]
        others = [corrupted(self.prompts, p) for p in found]
        first, second = (folder.tokenizer.encode(text)[0] for text in ANSWERS)
        return asking_by_hand.Question(
            tokens=[p.tokens for p in found],
            corrupted=[p.tokens for p in others],
            place=[p.at("{place}") for p in found],
            other=[p.at("{other}") for p in others],
            answers=(first, second),
            layers=self.layers,
            heads=HEADS,
            strength=4.0,
        )


@dataclass(frozen=True)
class Turn:
    """What one contender took once."""

    edits: float
    """Seconds."""
    streams: float
    """Seconds."""
    peak: int
    """Bytes of the device, at most, beside what was there before; on a CPU 0."""

    @property
    def seconds(self) -> float:
        """Both together."""
        return self.edits + self.streams


def turn(contender: Any, device: torch.device) -> tuple[Turn, Any]:
    """Let a contender answer everything once: what it took, and what it found."""

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    before = 0
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    began = now()
    gaps = contender.edits()
    between = now()
    streams = contender.streams()
    ended = now()
    peak = torch.cuda.max_memory_allocated(device) - before if device.type == "cuda" else 0
    return Turn(between - began, ended - between, peak), (gaps, streams)


def off(found: Any, wanted: Any) -> float:
    """The largest difference from what another found, as a share of the spread of that."""
    x, y = (torch.as_tensor(some).double().cpu() for some in (found, wanted))
    return round(float((x - y).abs().max() / y.std()), 5)


def take_turns(
    contenders: Mapping[str, Callable[[], Any]], repeats: int, device: torch.device
) -> Iterator[tuple[str, list[Turn], Any]]:
    """Let contenders answer in turn, once for a warm-up: of each its turns, and what it found. One
    that cannot is left out, and says why."""
    made: dict[str, Any] = {}
    turns: dict[str, list[Turn]] = {name: [] for name in contenders}
    found: dict[str, Any] = {}
    for repeat in range(repeats + 1):
        for name in [*turns]:
            try:
                if not repeat:
                    made[name] = contenders[name]()
                took, found[name] = turn(made[name], device)
            except Exception as error:  # whatever a library that was never tried here meets
                print(json.dumps({"contender": name, "failed": repr(error)[:300]}), flush=True)
                del turns[name]
                continue
            if repeat:
                turns[name].append(took)
    for name, some in turns.items():
        yield name, some, found[name]


def line(name: str, turns: Sequence[Turn], ours: Sequence[Turn], weights: int) -> dict[str, Any]:
    """What is printed of a contender; ratios are medians over turns."""

    def median(values: Sequence[float]) -> float:
        return round(statistics.median(values), 3)

    pairs = list(zip(turns, ours, strict=True))
    return {
        "contender": name,
        "seconds": median([t.seconds for t in turns]),
        "edits": median([t.edits for t in turns]),
        "streams": median([t.streams for t in turns]),
        "all": [round(t.seconds, 3) for t in turns],
        "ratio": median([t.seconds / o.seconds for t, o in pairs]),
        "ratio_edits": median([t.edits / o.edits for t, o in pairs]),
        "peak_over_weights": round(max(t.peak for t in turns) / weights, 3),
    }


def contend(asked: Asked, names: Sequence[str], repeats: int) -> None:
    """Time Assay and these others, and print a line for each."""
    subject, question = asked.subject, asked.by_hand()
    weights = sum(w.numel() * w.element_size() for w in subject.model.parameters())
    lengths = [len(tokens) for tokens in question.tokens]
    about = {"weights_gb": round(weights / 1e9, 2), "tokens": [min(lengths), max(lengths)]}
    print(json.dumps(about | {"layers": asked.layers, "torch": torch.__version__}), flush=True)
    hand = {
        name: partial(kind, subject.model, question)
        for name, kind in asking_by_hand.CONTENDERS.items()
        if name in names
    }
    last = {name: hand.pop(name) for name in asking_by_hand.LAST if name in hand}
    ours: tuple[list[Turn], Any] | None = None
    for some in ({"assay": lambda: asked, **hand}, last):
        for name, turns, found in take_turns(some, repeats, subject.device):
            ours = ours or (turns, found)
            wrong = {
                "edits_off": off(found[0], ours[1][0]),
                "streams_off": max(off(x, y) for x, y in zip(found[1], ours[1][1], strict=True)),
            }
            print(json.dumps(line(name, turns, ours[0], weights) | wrong), flush=True)


def main() -> None:
    """Print a line for each contender, and how long the probes' fits take."""
    ask = argparse.ArgumentParser()
    ask.add_argument("--device", default="cuda")
    ask.add_argument("--repeats", type=int, default=3)
    ask.add_argument("--least", action="store_true")
    ask.add_argument("--peers", nargs="*", default=list(asking_by_hand.CONTENDERS))
    a = ask.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        subject = make(Path(folder), a.device, a.least)
        asked = Asked(subject, 16 if a.least else 200)
        print(json.dumps({"made": round(time.perf_counter() - began, 1)}), flush=True)
        asked.streams()
        began = time.perf_counter()
        asked.fits()
        print(json.dumps({"fits": round(time.perf_counter() - began, 2)}), flush=True)
        contend(asked, a.peers, a.repeats)


if __name__ == "__main__":
    main()
