"""Does a system prompt raise an Inspect task's score? with_inspect.py MODEL OUT"""

import sys

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, system_message

import assay

MODEL, OUT = sys.argv[1:3] if sys.argv[2:] else sys.exit(f"usage: {__doc__[52:]}")
PROMPT = "Answer in French, in one word."
WORDS = {"dog": "chien", "cat": "chat", "house": "maison", "bread": "pain", "water": "eau"}
WORDS |= {"milk": "lait", "tree": "arbre", "sea": "mer", "moon": "lune", "sun": "soleil"}
WORDS |= {"king": "roi", "door": "porte", "hand": "main", "snow": "neige"}


def french(system, prompts):
    """1 where the answer has the French word, with a system prompt or without."""
    samples = [Sample(input=f"What is a {p['word']}?", target=p["target"]) for p in prompts]
    solver = [*([] if system is None else [system_message(system)]), generate()]
    task = Task(samples, solver=solver, scorer=includes())
    (log,) = eval(task, model=get_model(MODEL), display="none", log_samples=True)
    return [float(s.score.value == "C") for s in log.samples]


verdict = assay.check(
    "The system prompt makes the model answer in French",
    french,
    [{"word": word, "target": target} for word, target in WORDS.items()],
    "effect > 0.3",
    assay.Text(PROMPT, ["Answer in one word, and kindly.", "You are a zoologist."]),
    scope=MODEL,
)
print(verdict)
verdict.save(OUT)
