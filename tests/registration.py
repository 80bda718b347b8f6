"""Changes to what was frozen, and ways around a freeze, each with the one right answer: a list that
is made from the inputs of each kind of study and from the times at which one can change them.

A change is *refused* (exit code 2, one line), *reported* (the verdict is not confirmatory, and the
output says why) or *harmless* (what is judged is what was frozen). Anything else has succeeded."""

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import tiny_models
from assay.cli.main import main
from assay.data import corpus
from assay.verbs.new import write_experiment

SEEDS = "1000000:1000006"
OTHER = (SEEDS, "2000000:2000006")
ROOT = ("--root", "s")
CLAIM = """
[[claim]]
text = "It is above the number"
holds = "{holds}"
threshold = "plan: a number"
"""
MODEL = """
[[model]]
name = "./tiny"
"""
ASKS = f"""question = "Is it known?"
seeds = "{SEEDS}"
{MODEL}
[[prompts]]
text = "{{a}} plus {{b}} is"
corrupted = "{{b}} plus {{c}} is"
file = "q.csv"

[[read]]
name = "right"
log_prob = ["{{good}}", "{{bad}}"]
"""
MESSAGES = """messages = [
  { role = "system", content = "be {b}" },
  { role = "user", content = "{a} plus {c}" },
]
assistant = "it"
"""
LESSON = """
[[prompts]]
name = "lesson"
text = "it is {word}"
file = "learned.csv"
"""
DICTIONARY = f"""question = "Is little left?"
seeds = "{SEEDS}"
{MODEL}
[[train]]
name = "sae"
site = "blocks.1.hook_resid_pre"
d_sae = 8
k = 1
text = "./texts"
context = 16
tokens = 300
steps = 5
batch = 32
"""
KINDS = {
    "read": ASKS + CLAIM.format(holds="main.right > -50"),
    "patch": ASKS
    + """
[[intervene]]
name = "patched"
patch = "corrupted"
site = "blocks.1.hook_resid_pre"
position = -1
"""
    + CLAIM.format(holds="patched.right > -50"),
    "direction": ASKS
    + """
[[prompts]]
name = "learned"
text = "it is {word}"
file = "learned.csv"

[[direction]]
name = "way"
site = "blocks.1.hook_resid_pre"
prompts = "learned"
difference = ["up", "down"]

[[intervene]]
name = "steered"
add = "way"
strength = 4.0
"""
    + CLAIM.format(holds="steered.right > -50"),
    "feature": ASKS.replace(
        'log_prob = ["{good}", "{bad}"]',
        'feature = ["./dict.safetensors", 3]\nsite = "blocks.1.hook_resid_pre"',
    )
    + CLAIM.format(holds="main.right > -50"),
    "probe": f"""question = "Can it be read?"
seeds = "{SEEDS}"
{MODEL}
[[prompts]]
text = "it is {{word}} now"
file = "learned.csv"

[[probe]]
name = "told"
label = "label"
site = "blocks.1.hook_resid_post"
"""
    + CLAIM.format(holds="told.accuracy > 0.2"),
    "borrowed": f"""question = "Is anything found in thirty steps?"
seeds = "{SEEDS}"

[[experiment]]
name = "./own.py"
fields = {{ inputs = 6, steps = 30, width = 2 }}

[[claim]]
text = "It is above the number"
holds = "main.angle > -1"
control = ["flat"]
threshold = "plan: a number"
""",
}
KINDS |= {
    "chat": ASKS.replace('text = "{a} plus {b} is"\ncorrupted = "{b} plus {c} is"', MESSAGES)
    + CLAIM.format(holds="main.right > -50"),
    "adapter": ASKS.replace('"./tiny"', '"./lora"\nbase = "./tiny"')
    + CLAIM.format(holds="main.right > -50"),
    "tuned": ASKS
    + LESSON
    + """
[[train]]
name = "tuned"
of = "./tiny"
prompts = "lesson"
steps = 2
batch = 2
lr = 1e-3
"""
    + CLAIM.format(holds="tuned.right > -50"),
    "dictionary": DICTIONARY + CLAIM.format(holds="sae.fvu < 50"),
    "method": f"{DICTIONARY}per_seed = true\n" + CLAIM.format(holds="sae.fvu < 50"),
}
"""The studies, by what they ask. The last three train what they measure: a model further, a
dictionary, and one for each seed."""
BY_SEED = ("borrowed", "method")
"""Those whose claims generalise over seeds."""


def table(start=0, n=12):
    """Rows of sums."""
    rows = (
        f"{i} x,{i * 7 % 11} y,{i * 3 % 5} z, {i % 7}, {(i + 3) % 7},note {i}"
        for i in range(start, start + n)
    )
    return "\n".join(("a,b,c,good,bad,unused", *rows, ""))


def words(start=0, n=24):
    """Rows with two labels."""
    rows = (
        f"{'big' if i % 2 else 'low'} {i},{'up' if i % 2 else 'down'}"
        for i in range(start, start + n)
    )
    return "\n".join(("word,label", *rows, ""))


CHAT = """{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}\
{% if add_generation_prompt %}<assistant>{% endif %}"""


def adapter(folder, base):
    """Write an adapter of two matrices of each block, as peft does."""
    folder.mkdir()
    draw, tensors = torch.Generator().manual_seed(3), {}
    for name, w in load_file(base / "model.safetensors").items():
        if "q_proj" in name or "down_proj" in name:
            key = f"base_model.model.{name.removesuffix('.weight')}.lora_"
            tensors[f"{key}A.weight"] = torch.randn(2, w.shape[1], generator=draw) * 0.3
            tensors[f"{key}B.weight"] = torch.randn(w.shape[0], 2, generator=draw) * 0.3
    save_file(tensors, folder / "adapter_model.safetensors")
    about = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 6, "bias": "none"}
    about |= {"target_modules": ["q_proj", "down_proj"], "base_model_name_or_path": "./tiny"}
    (folder / "adapter_config.json").write_text(json.dumps(about))


def make(folder):
    """Write the files that the studies share: two models, an adapter, prompts, texts, a dictionary,
    an experiment."""
    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.nonlinearity import ReLU

    with contextlib.redirect_stderr(io.StringIO()):
        for name in ("tiny", "larger"):
            tiny_models.make(folder / name, "llama", num_hidden_layers=2)
            (folder / name / "chat_template.jinja").write_text(CHAT)
    adapter(folder / "lora", folder / "tiny")
    (folder / "texts").mkdir()
    for n in range(40):
        letters = np.random.default_rng(n).choice([*"ABCDEF ghij"], 40)
        (folder / "texts" / f"{n}.txt").write_text("".join(letters))
    (folder / "q.csv").write_text(table())
    (folder / "learned.csv").write_text(words())
    rng = torch.Generator().manual_seed(0)
    encoder = torch.randn(1, 24, 8, generator=rng)
    zero = torch.zeros(1, 8), torch.zeros(1, 24)
    one = Dictionary(encoder, zero[0], encoder.mT.contiguous(), zero[1], ReLU())
    one.save(folder / "dict.safetensors")
    write_experiment("own", folder)
    for name, text in KINDS.items():
        (folder / f"{name}.toml").write_text(text)


# changes ------------------------------------------------------------------------------------------

Change = Callable[[Path, str], None]
"""Changes the files of a study of this name in a folder."""


def _edit(file, old, new, times=1):
    def change(folder, name):
        path = folder / file.format(name)
        text = path.read_text()
        assert old in text, (file, old)
        path.write_text(text.replace(old, new, times))

    return change


def _rows(file, do):
    def change(folder, name):
        head, *rows = (folder / file).read_text().splitlines()
        (folder / file).write_text("\n".join((head, *do(rows), "")))

    return change


def _scaled(place):
    """The first tensor of a folder's weights, a hundredth larger."""

    def change(folder, name):
        (path,) = (folder / place).glob("*.safetensors")
        tensors = load_file(path)
        first = next(iter(sorted(tensors)))
        save_file({**tensors, first: tensors[first] * 1.01}, path, {"format": "pt"})

    return change


def _config(folder, name):
    path = folder / "tiny/config.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "rms_norm_eps": 1e-3}))


def _tokenizer(folder, name):
    path = folder / "tiny/tokenizer.json"
    data = json.loads(path.read_text())
    data["model"]["merges"] = data["model"]["merges"][:-1]
    path.write_text(json.dumps(data))


def _linked(folder, name):
    shutil.move(folder / "tiny", folder / "was")
    (folder / "tiny").symlink_to(folder / "larger")
    _, path = (folder / "was", next((folder / "larger").glob("*.safetensors")))
    tensors = load_file(path)
    save_file({k: v * 1.1 for k, v in tensors.items()}, path, {"format": "pt"})


def _dictionary(folder, name):
    path = folder / "dict.safetensors"
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        about = file.metadata()
    tensors = load_file(path)
    save_file({k: v * 1.01 for k, v in tensors.items()}, path, about)


def _touched(folder, name):
    for path in folder.rglob("*"):
        if path.is_file() and "s" not in path.relative_to(folder).parts[:1]:
            path.touch()


def _moved(folder, name):
    """The model moves behind a link of the same name."""
    shutil.move(folder / "tiny", folder / "elsewhere")
    (folder / "tiny").symlink_to(folder / "elsewhere")


def _table_of(kind):
    return "learned.csv" if kind == "probe" else "q.csv"


def _text(name, do):
    """A text of the folder from which dictionaries learn; "" of which none is left is removed."""

    def change(folder, _):
        path = folder / "texts" / name
        text = do(path.read_text() if path.exists() else "")
        path.write_text(text) if text else path.unlink()

    return change


def _renamed_text(folder, name):
    shutil.move(folder / "texts/0.txt", folder / "texts/zero.txt")


def _exchanged_texts(folder, name):
    first, second = (folder / "texts" / f"{n}.txt" for n in (0, 1))
    texts = first.read_text(), second.read_text()
    second.write_text(texts[0])
    first.write_text(texts[1])


def _moved_adapter(folder, name):
    shutil.move(folder / "lora", folder / "elsewhere")
    (folder / "lora").symlink_to(folder / "elsewhere")


def _dropped_adapter(folder, name):
    """The adapter's folder has whole weights as well, which are taken in its place."""
    for path in (folder / "tiny").iterdir():
        shutil.copy(path, folder / "lora" / path.name)


TOML = "{0}.toml"
Changes = dict[str, tuple[str, Change]]
"""Changes by name: whether an input, settings, words or nothing of a study is another then, and
what makes it so."""


def _each(**kinds):
    """Cases that are listed by what they come to: each by its name, with that and what it does."""
    return {name: (kind, do) for kind, some in kinds.items() for name, do in some.items()}


def _replaced(file, text):
    def change(folder, name):
        (folder / file).write_text(text)

    return change


def _ends(file):
    def change(folder, name):
        path = folder / file
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    return change


def changes(kind):
    """The changes to a kind of study."""
    if kind == "borrowed":
        return _of_words(kind) | _each(
            settings={"a field": _edit(TOML, "steps = 30", "steps = 31")},
            input={"the code": _edit("own.py", "EXAMPLES = 256", "EXAMPLES = 255")},
            nothing={"a comment in the code": _edit("own.py", "import numpy", "# a\nimport numpy")},
        )
    if kind in ("dictionary", "method"):
        return _of_words(kind) | _of_model() | _of_training(*LEARNS) | _of_texts(kind)
    return _of_words(kind) | _of_files(_table_of(kind)) | _of_table(kind)


EDGES = {"probe": ("> 0.2", "> 0.21"), **dict.fromkeys(("dictionary", "method"), ("< 5", "< 6"))}
"""Where the threshold is not below 0: its end, and another one."""


def _of_words(kind):
    edge = EDGES.get(kind, ("> -", "> -0."))
    return _each(
        nothing={
            "a comment": _edit(TOML, "question", "# a comment\nquestion"),
            "times of files": _touched,
            "the question": _edit(TOML, 'question = "', 'question = "Say: '),
        },
        words={
            "the threshold": _edit(TOML, *edge),
            "the words of the claim": _edit(TOML, "above the number", "above a number"),
            "the sign": _edit(TOML, 'holds = "', 'holds = "0 - 1 * -1 * '),
            "the origin of the threshold": _edit(TOML, "plan: a", "plan: another"),
        },
        settings={
            "one seed": _edit(TOML, "1000006", "1000007"),
            "other seeds": _edit(TOML, *OTHER),
        },
    )


def _of_files(file):
    other = words(100) if file == "learned.csv" else table(100)
    found = _each(
        input={
            "one row": _rows(file, lambda rows: [rows[0].replace("0", "9"), *rows[1:]]),
            "the last row": _rows(file, lambda rows: rows[:-1]),
            "one row more": _rows(file, lambda rows: [*rows, rows[0].replace("0", "99", 1)]),
            "the order of rows": _rows(file, lambda rows: rows[::-1]),
            "two rows exchanged": _rows(file, lambda rows: [rows[1], rows[0], *rows[2:]]),
            "all rows": _replaced(file, other),
        },
        nothing={"line ends": _ends(file)},
    )
    return found | _of_model()


def _of_model():
    return _each(
        input={
            "the weights": _scaled("tiny"),
            "the config": _config,
            "the tokenizer": _tokenizer,
            "a link to another model": _linked,
        },
        nothing={"a link to the same model": _moved},
    )


def _of_training(*edits):
    """Settings of what is trained, and the seed that draws its start."""
    seed = ("[[train]]\n", "[[train]]\nseed = 3\n")
    names = {old: f"{old.partition(' =')[0]} of training" for old, _ in edits}
    found = {names[old]: ("settings", _edit(TOML, old, new)) for old, new in edits}
    return found | {"seed of training": ("settings", _edit(TOML, *seed))}


TUNES = (("steps = 2", "steps = 3"), ("batch = 2", "batch = 3"), ("lr = 1e-3", "lr = 2e-3"))
LEARNS = (("steps = 5", "steps = 6"), ("batch = 32", "batch = 16"), ("k = 1", "k = 2"))


def _of_texts(kind):
    whose = ("tokens = 300\n", "tokens = 300\nper_seed = true\n")
    return _each(
        input={
            "a letter of a text": _text("0.txt", lambda text: f"D{text[1:]}"),
            "the end of a text": _text("0.txt", lambda text: text[:-1]),
            "a text less": _text("0.txt", lambda text: ""),
            "a text more": _text("40.txt", lambda text: "AB CD EF"),
            "another name of a text": _renamed_text,
            "two texts exchanged": _exchanged_texts,
        },
        settings={
            "the site": _edit(TOML, "blocks.1.", "blocks.0."),
            "the context": _edit(TOML, "context = 16", "context = 8"),
            "the tokens": _edit(TOML, "tokens = 300", "tokens = 200"),
            "whose it is": _edit(TOML, *(whose if kind == "dictionary" else whose[::-1])),
        },
    )


def _of_chat():
    template = "tiny/chat_template.jinja"
    return _each(
        input={
            "a message": _edit(TOML, "{a} plus {c}", "{c} plus {a}"),
            "the system's message": _edit(TOML, "be {b}", "be not {b}"),
            "a role": _edit(TOML, 'role = "system"', 'role = "user"'),
            "the beginning of the answer": _edit(TOML, '"it"', '"so"'),
            "the chat template": _edit(template, "<", "["),
            "a comment in the chat template": _edit(template, "{% for", "{# so #}{% for"),
        }
    )


def _of_adapter():
    about = "lora/adapter_config.json"
    return _each(
        input={
            "the adapter": _scaled("lora"),
            "the adapter's scale": _edit(about, '"lora_alpha": 6', '"lora_alpha": 5'),
            "the rule of its scale": _edit(about, '"r": 2', '"use_rslora": true, "r": 2'),
            "the base that its settings name": _edit(about, '"./tiny"', '"./larger"'),
            "whole weights next to it": _dropped_adapter,
        },
        nothing={"a link to the same adapter": _moved_adapter},
        settings={"the base in the study": _edit(TOML, '"./tiny"', '"./larger"')},
    )


def _of_lesson(label):
    """What is learned from."""
    return _each(
        input={
            "a row that is learned from": _rows("learned.csv", lambda rows: rows[:-2]),
            "a label that is learned from": label,
            "the text that is learned from": _edit(TOML, "it is {", "it was {"),
        }
    )


def _of_table(kind):
    site = {"the site": _edit(TOML, "blocks.1.", "blocks.0.")}
    label = _rows("learned.csv", lambda rows: [rows[0].replace("down", "up"), *rows[1:]])
    if kind == "probe":
        template = _edit(TOML, "it is {word} now", "it was {word} now")
        return _each(input={"the template": template, "a label": label}, settings=site)
    answer = _rows("q.csv", lambda rows: [rows[0].replace(", 0,", ", 5,"), *rows[1:]])
    if kind == "chat":
        return _each(input={"an answer of a row": answer}) | _of_chat()
    found = _each(
        input={
            "the template": _edit(TOML, "{a} plus {b} is", "{b} plus {a} is"),
            "the corrupted text": _edit(TOML, "{b} plus {c} is", "{c} plus {a} is"),
            "an answer of a row": answer,
        }
    )
    answers = {"the answers": _edit(TOML, '["{good}", "{bad}"]', '["{bad}", "{good}"]')}
    if kind == "read":
        return found | _each(settings=answers)
    if kind == "adapter":
        return found | _of_adapter()
    if kind == "tuned":
        lesson = _of_lesson(_rows("learned.csv", lambda rows: [rows[0].upper(), *rows[1:]]))
        return found | lesson | _of_training(*TUNES)
    if kind == "patch":
        position = {"the position": _edit(TOML, "position = -1", "position = -2")}
        return found | _each(settings=answers | site | position)
    if kind == "direction":
        strength = {"the strength": _edit(TOML, "4.0", "5.0")}
        return found | _of_lesson(label) | _each(settings=strength)
    latent = {"the latent": _edit(TOML, "3]", "4]")}
    return found | _each(input={"the dictionary": _dictionary}, settings=latent | site)


@dataclass(frozen=True)
class Case:
    """A change to a study at a time, with its right answer."""

    kind: str
    change: str
    when: str
    answer: str

    def __str__(self):
        return f"{self.kind}: {self.change}, {self.when}"


SHOWN = {"borrowed": "reported", "direction": "refused", "tuned": "refused"}
"""What becomes of a changed input when a result is shown: an edit of code is reported, and arms
that read different prompts are compared with what lies there now."""


def cases():
    """Every change to every kind of study at every time."""
    for kind in KINDS:
        for name, (what, _) in changes(kind).items():
            yield Case(kind, name, "before freezing", "harmless")
            for when in ("before running", "between looks"):
                yield Case(kind, name, when, "harmless" if what == "nothing" else "reported")
            # what is shown are the runs that are stored, whatever became of their inputs
            shown = {"words": "reported", "settings": "refused", "input": SHOWN.get(kind)}
            if kind == "probe" and name in ("the last row", "one row more", "a label"):
                # its claim names the chance level that rows give
                shown["input"] = "reported"
            yield Case(kind, name, "after", shown.get(what) or "harmless")


# ways around a freeze, after a look ---------------------------------------------------------------


def _copied(folder, name):
    shutil.copytree(folder / "tiny", folder / "other")
    return _renamed(folder, name, "./tiny", "./other")


def _other_link(folder, name):
    (folder / "other").symlink_to(folder / "tiny")
    return _renamed(folder, name, "./tiny", "./other")


def _with_a_key(folder, name):
    shutil.copytree(folder / "tiny", folder / "other")
    path = folder / "other/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "a_note": 1}))
    return _renamed(folder, name, "./tiny", "./other")


def _renamed(folder, name, *edits):
    """A copy of the study under another name, with other seeds and these edits."""
    text = (folder / f"{name}.toml").read_text()
    for old, new in zip(edits[::2], edits[1::2], strict=True):
        assert old in text, old
        text = text.replace(old, new)
    (folder / "again.toml").write_text(text)
    return "again.toml"


def _with_rows(do, head=str):
    def way(folder, name):
        file = _table_of(name)
        first, *rows = (folder / file).read_text().splitlines()
        (folder / "again.csv").write_text("\n".join((head(first), *do(rows), "")))
        return _renamed(folder, name, f'"{file}"', '"again.csv"')

    return way


def _edited(*edits):
    return lambda folder, name: _renamed(folder, name, *edits)


def _in_place(folder, name):
    _edit(TOML, *OTHER)(folder, name)
    return f"{name}.toml"


def _other_model(folder, name):
    _scaled("tiny")(folder, name)
    return _renamed(folder, name)


def ways(kind):
    """Ways to freeze what was looked at, by name, with the right answer: refused, or accepted where
    the units, the model or the quantity are others."""
    edge = EDGES.get(kind, ("> -", "> -0."))
    found = _each(
        refused={
            "the same file": lambda folder, name: f"{name}.toml",
            "another name": _edited(),
            "another threshold": _edited(*edge),
            "other words": _edited("It is above the number", "A number is below it"),
            "another sign": _edited('holds = "', 'holds = "-1 * -1 * '),
        }
    )
    if kind == "borrowed":
        more = {"one step more": _edited("steps = 30", "steps = 31")}
        return found | _each(accepted={"other seeds": _edited(*OTHER)}, refused=more)
    if kind in ("dictionary", "method"):
        return found | _around_model(kind) | _around_texts()
    found |= _around_rows() | _around_model(kind)
    if kind == "read":
        pair, logit = 'log_prob = ["{good}", "{bad}"]', 'logit = "{good}"'
        after = 'site = "blocks.{}.hook_resid_post"\n'.format
        found |= _each(
            refused={
                "the logits of the same answers": _edited(pair, logit),
                "the logit lens at the end": _edited(pair, after(1) + logit),
            },
            accepted={"the logit lens before it": _edited(pair, after(0) + logit)},
        )
    if kind == "probe":
        return found
    if kind == "adapter":
        found |= _around_adapter()
    if kind == "tuned":
        # main's runs are stored
        found |= _each(refused={"other lessons": _other_lessons})
    if kind == "chat":
        return found | _around_chat()
    template, other = "{a} plus {b} is", "the sum of {a} and {b} is"
    return found | _each(
        refused={
            "other names of columns": _columns,
            "another name of the read": _edited(
                'name = "right"', 'name = "wrong"', ".right", ".wrong"
            ),
            "a space in the template": _edited(template, "{a} plus  {b} is"),
        },
        accepted={"another template": _edited(template, other)},
    )


def _around_model(kind):
    same = "[[model]]\n"
    seeds = {"other seeds": _edited(*OTHER), "other seeds in place": _in_place}
    refused = {
        "some other seeds": _edited(SEEDS, "1000003:1000009"),
        "a copied model": _copied,
        "a link to the model": _other_link,
        "another spelling of the path": _edited("./tiny", "././tiny"),
        "a copied model with a key in its config": _with_a_key,
        "a label of the model": _edited(same, f'{same}label = "mine"\n'),
        "a beginning of texts that is said": _edited(same, f"{same}bos = false\n"),
    }
    # where claims are about seeds, the same seeds are refused whatever they are of
    other = {"another model": _other_model}
    if kind in BY_SEED:
        return _each(refused=refused | other, accepted=seeds)
    return _each(refused=refused | seeds, accepted=other)


def _around_texts():
    """Other names of a folder of texts, and other texts in it; on some that were seen."""

    def copied(do):
        def way(folder, name):
            shutil.copytree(folder / "texts", folder / "again")
            do(folder / "again")
            return _renamed(folder, name, '"./texts"', '"./again"')

        return way

    def renamed(folder):
        for path in folder.iterdir():
            path.rename(path.with_name(f"t{path.name}"))

    def others(folder):
        for path in folder.iterdir():
            path.write_text(path.read_text()[::-1] + "kl")

    return _each(
        refused={
            "a copied folder of texts": copied(lambda folder: None),
            "other names of the texts": copied(renamed),
            "another name of what is trained": _edited('"sae"', '"coder"', "sae.", "coder."),
            "another seed of training": _edited("[[train]]\n", "[[train]]\nseed = 3\n"),
        },
        accepted={"other texts": copied(others)},
    )


def _around_adapter():
    def copied(folder, name):
        shutil.copytree(folder / "lora", folder / "again")
        return _renamed(folder, name, '"./lora"', '"./again"')

    def merged(folder, name):
        from assay.subjects.pretrained import load

        model = load("./lora on ./tiny")
        shutil.copytree(folder / "tiny", folder / "whole")
        model.model.save_pretrained(folder / "whole")
        return _renamed(folder, name, '"./lora"\nbase = "./tiny"', '"./whole"')

    whole = _edited('"./lora"\nbase = "./tiny"', '"./lora on ./tiny"')
    return _each(
        refused={"a copied adapter": copied, "in one name": whole},
        accepted={"the adapter merged into the weights": merged},
    )


def _around_chat():
    whole = 'text = "<system>be {b}<user>{a} plus {c}<assistant>it"'
    return _each(
        refused={
            "a space in a message": _edited("{a} plus {c}", "{a} plus  {c}"),
            "the chat written as a text": _edited(MESSAGES, whole),
        },
        accepted={"another message": _edited("{a} plus {c}", "add {c} to {a}")},
    )


def _other_lessons(folder, name):
    (folder / "lesson.csv").write_text(words(100))
    return _renamed(folder, name, '"learned.csv"', '"lesson.csv"')


def _around_rows():
    def some_new(rows, old):
        return [*rows[:old], *(row.replace(" ", " q", 1) for row in rows[old:])]

    def large(rows):
        return [row.replace("x", "X").replace("big", "Big") for row in rows]

    return _each(
        refused={
            "another order of rows": _with_rows(lambda rows: rows[::-1]),
            "two thirds of the rows": _with_rows(lambda rows: rows[: len(rows) * 2 // 3]),
            "half of them new": _with_rows(lambda rows: some_new(rows, len(rows) // 2)),
            "capitals": _with_rows(large),
        },
        accepted={"other rows": _with_rows(lambda rows: some_new(rows, 0))},
    )


def _columns(folder, name):
    path = _with_rows(list, lambda head: head.replace("good", "best"))(folder, name)
    text = (folder / path).read_text().replace("{good}", "{best}")
    (folder / path).write_text(text)
    return path


def attempts():
    """Every way around a freeze, for every kind of study."""
    for kind in KINDS:
        for name, (answer, _) in ways(kind).items():
            yield Case(kind, name, "after a look", answer)


# answers ------------------------------------------------------------------------------------------


def typed(*command):
    """Exit code, output and errors of a command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    corpus._loaded.cache_clear()  # as a command in a process of its own
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*command, *ROOT])
    return code, out.getvalue(), err.getvalue()


def result(verb, study):
    """The result of running or showing a study; None where that is refused in one line."""
    more = ("--executor", "inline") if verb == "run" else ()
    code, out, err = typed(verb, study, "--json", *more)
    if code == 2 and len(err.strip().splitlines()) == 1:
        return None
    assert code == 0, err
    return json.loads(out)


def answer(case, base, folder):
    """What became of a case, in a copy of the shared files: harmless, reported, refused, accepted,
    or what went wrong."""
    shutil.copytree(base, folder, symlinks=True)
    name = f"{case.kind}.toml"
    with contextlib.chdir(folder):
        if case.when == "after a look":
            result("run", name)
            again = ways(case.kind)[case.change][1](folder, case.kind)
            code, _, err = typed("preregister", again, "--anyway")
            if code == 0:
                return "accepted"
            lines = err.strip().splitlines()
            return "refused" if code == 2 and "cannot freeze" in lines[-1] else err
        what, change = changes(case.kind)[case.change]
        if case.when == "before freezing":
            change(folder, case.kind)
        assert (frozen := typed("preregister", name, "--anyway"))[0] == 0, frozen[2]
        if case.when == "before running":
            change(folder, case.kind)
        before = after = result("run", name)
        if case.when in ("between looks", "after"):
            assert before["inference"] == "confirmatory", before["registration"]
            change(folder, case.kind)
            after = result("run" if case.when == "between looks" else "show", name)
        if after is None:
            return "refused"
        if after["inference"] == "confirmatory":
            same = numbers(before) == numbers(after)
            return "harmless" if same else "confirmatory, with other numbers than at the look"
        said = after["registration"]["changed"]
        if (
            what == "input"
            and case.when != "after"
            and not any(" frozen, " in x or "was edited" in x for x in said)
        ):
            return f"it is not said which input was changed: {said}"
        return "reported" if said else "exploratory, and nobody says why"


def numbers(data):
    """The estimates and intervals of a result."""
    return [[v["text"], v["outcome"], v["estimate"], v["low"], v["high"]] for v in data["verdicts"]]


def of_day(every, day, n):
    """The cases of one day, another n each day."""
    order = np.random.default_rng(day // max(1, len(every) // n)).permutation(len(every))
    start = day % max(1, len(every) // n) * n
    return [every[i] for i in order[start : start + n]]
