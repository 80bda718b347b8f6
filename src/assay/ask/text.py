"""Text: a study as its author wrote it, in TOML or in Markdown that begins with TOML, read as data
and never run.

question = "Is a gated SAE as unbiased when it is half as wide?"
seeds = "1000000:1000006"

[[experiment]]
name = "gated-sae"
fields = { width = 256 }

[[claim]]
text = "Gated reconstructs without shrinkage"
holds = "0.98 < main.gamma < 1.02"
where = { penalty = 0.2 }
control = ["relu"]
threshold = "plan: two per cent is what one would call unbiased"
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import reduce
from itertools import islice
from operator import getitem
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec

from assay.ask import ranges, tables
from assay.core import foreign
from assay.core.errors import AssayError, ExperimentError, nearest
from assay.core.experiment import PRESETS

Plain = bool | int | float | str
LARGEST = 2**20
"""Maximum bytes of a study's file."""
ASKED = ("model", "prompts", "direction", "intervene", "read", "probe", "diff", "train")
"""The tables of a study of models."""
PARTS = 64
"""Dotted keys with this many parts are refused; reading takes quadratic time."""
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_DEEP = re.compile(rf"(?<![\w-])(?:{_PART}[ \t]*+\.[ \t]*+){{{PARTS - 1}}}")
NESTED: dict[str, Any] = {"top": tables.Top, "block": tables.Block, "weights": tables.Weights}
"""Tables within fields of other tables, by name."""
MISTAKES = 9
"""Maximum number of mistakes that are reported at once."""
HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\"' -]+?)\s*\]\]?\s*(?:#.*)?$")
"""A line on which a table begins."""
FENCE = "+++"
"""Lines around the TOML of a Markdown study."""


ADAPTED = "write [[train]] with of, prompts and rank = 4; a stored adapter is a model by its folder"
EDITED = 'write [[train]] with of, prompts, only = "layers.12.mlp" and edit = "{subject}"'
OTHERWISE = {
    "intervene layer": 'write site = "blocks.9.hook_resid_pre", say',
    "intervene mask attention": 'write block = { from = "{a}", to = "{b}", layers = [9] }',
    "intervene noise_std": "write noise = 3, in standard deviations of the site",
    "intervene to": 'write path = { to = ["10.4"] } next to a patch of heads',
    "intervene latents": 'write clamp = ["sae.safetensors", [1, 2, 3]] and value',
    "intervene feature": 'write clamp = ["sae.safetensors", 123] and value',
    "intervene code": 'write function = "mine.py:edit"',
    "intervene weights": "write weights under a second [[model]] of the same name",
    "read code": 'write function = "mine.py:number"',
    "read head": 'write heads = ["9.1"], with direct, or with to and position',
    "read n": "write ngram = 8 next to written",
    "read samples seeds do_sample": "write temperature; each seed of the study samples anew",
    "read attribution dla": 'write direct = [" a", " b"] and heads = ["9.1"], or site',
    "read neuron": "write neurons = [3] and site, or top = { … } to choose them",
    "read ce_spliced": 'write [[intervene]] reconstruct = "sae.safetensors" and loss = true',
    "intervene splice": 'write reconstruct = "sae.safetensors"',
    "intervene mean": 'write ablate = "mean", and source for the mean over other prompts',
    "intervene swap": 'write patch = "swapped" and position = ["{name}", "{other}"]',
    "intervene from": 'write source, the prompts of ablate = "mean" or patch = "other"',
    "prompts filter only": 'write where = { label = "french" }',
    "prompts examples": 'write shots = [0, 1, 4] and example = "… {answer}\\n"',
    "prompts sweep": "write levels, the column whose values are levels, or shots = [0, 1, 4]",
    "read,probe layer": 'write site = "blocks.9.hook_resid_post", or a slot and sweep = { … }',
    "model round": "write weights = { round = 3 }",
    "model quantize": 'write weights = { bits = 4, per = "channel" }',
    "dictionary dictionary": "to put a dictionary's reconstruction into the model, write "
    'reconstruct = "./my-sae" under [[intervene]]; to measure or compare dictionaries, use '
    "`assay evaluate` (docs/evaluate.md, Compare dictionaries)",
    "read kurtosis": 'write coordinates = "kurtosis" and site',
    "read variance": 'write function = "mine.py:variance", which gets what a site has',
    "read sparsity": 'write coordinates = "hoyer" and site, or active = 0',
    "read cka": 'write across = "cka"',
    "read rsa": 'write across = "rsa"',
    "weights,intervene rank_one rome": EDITED,
    "weights edit": EDITED,
    "weights,model lora": ADAPTED,
    "model adapter": ADAPTED,
    "intervene inlp": "write project_out, the name of a direction with probe and iterations",
    "intervene leace": "write erase, the name of a direction with difference",
    "intervene causal_scrubbing": 'write function = "mine.py:scrub", an edit of your own',
    "direction inlp": "write probe and iterations, and project_out under [[intervene]]",
    "diff arms": "write the difference in the condition, as in a.right - b.right",
}
"""What to write instead of unknown fields, by their tables and names."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An experiment that the study borrows, with its own fields."""

    name: str
    """An experiment of the catalogue, or the path of a file relative to the study."""
    label: str = ""
    """The prefix of the names of its arms, as LABEL/ARM; arms of the first experiment have none."""
    preset: str = "default"
    fields: Mapping[str, Any] = {}
    """Fields that are set: a value, a range of whole numbers as "0:6", a list of values that are
    all tried, or a table if the experiment takes one."""
    paired: Mapping[str, list[Plain]] = {}
    """Fields whose lists go together: the first values, then the second ones."""
    arms: tuple[str, ...] = ()
    """The arms that run, with those that they build on; left out: those that a claim or an estimate
    names, or all if there is none yet."""
    learned: Mapping[str, tuple[str, ...]] = {}
    """For arms, by their names in the study, in which these fields leave a part unlearned: the
    parts that were learned."""


class Literature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A published number of the same quantity."""

    number: float
    source: str
    at: str = "not checked"
    same: bool = False
    note: str = ""


class ClaimEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A claim in the author's words, with the condition under which it holds."""

    text: str
    """The sentence, with the threshold in it."""
    holds: str = ""
    """When it is true: ARM.MEASURE compared with a number, such as main.gamma - relu.gamma > 0.02;
    names with other characters are quoted: "lr=0.03/main".loss. A measure with dimensions needs a
    level, main.slope[kind=rare], or a mean, mean(main.slope, over=kind); nothing else is
    averaged."""
    control: tuple[str, ...] = ()
    """Arms for which it should fail, though it could hold; without one there is no verdict."""
    near: Mapping[str, str] = {}
    """Controls that test the strongest alternative explanations, and what these explanations
    are."""
    also: Mapping[str, str] = {}
    """Other arms that may satisfy it as well: "same method: why" or "rival: why". They are counted
    next to the verdict."""
    planted: tuple[str, ...] = ()
    """Arms with a planted effect, for which it should hold."""
    violations: tuple[str, ...] = ()
    """For claims of little or no effect: arms with a planted violation of at most twice the
    threshold, which should be detected."""
    credits: str | tuple[str, ...] = ()
    """The parts whose learning it credits, such as decoder; left out: all. An arm that lacks one
    and satisfies the claim makes it unspecific."""
    beats: float = 0.0
    """By how much each control should be beaten, in the units of the claim."""
    empty: float | None = None
    """The value without an effect, if that is not 0: 0.5 for an AUROC."""
    fixed: tuple[str, ...] = ()
    """What it is about and is not resampled, such as "14 kinds"."""
    units: tuple[str, ...] = ()
    """What is generalised over, such as seed, or seed and document; left out: the units of the
    arms."""
    where: Mapping[str, Plain] = {}
    """Only runs with these values of fields, in every arm."""
    bounds: tuple[float, float] | None = None
    """The smallest and the largest value for one unit, such as 0 and 1 for a share."""
    threshold: str = ""
    """Where the threshold comes from: "paper: …", "theory: …", "plan: …" before any look at
    results, or "pilot: seeds 0:6, …"."""
    published: Literature | str = "new"
    source: str = ""


class EstimateEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number, or a curve, that the author wants to know; it is not judged."""

    text: str
    """What the number is, in words."""
    value: str = ""
    """A quantity as in a claim, without a threshold: gated.gamma - relu.gamma,
    mean(main.represented, over=feature)."""
    over: str | tuple[str, ...] = ""
    """A field in which runs differ, or a dimension of the measures: a curve over its levels; for
    several, over every combination of their levels."""
    crosses: float | None = None
    """A value of the curve: the level at which the curve crosses it is reported."""
    units: tuple[str, ...] = ()
    """What is generalised over, as in a claim."""
    where: Mapping[str, Plain] = {}
    """Only runs with these values of fields, in every arm."""
    unit: str = ""
    """The unit of the number, such as "features"; "" for a dimensionless one."""
    natural: tuple[float, float] | None = None
    """The smallest and the largest possible number, such as 0 and 1 for a share."""
    published: Literature | str = ""
    source: str = ""


class Study(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question, the experiments or models that answer it, the claims to judge, and the numbers to
    estimate."""

    question: str = ""
    seeds: str | tuple[int, ...] = ""
    """Whole numbers as "1000000:1000006" or a list, for every experiment."""
    budget: str = ""
    """The longest time that it may take on this machine, such as "10m"."""
    together: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    """How many seeds are trained and measured in one group, if it differs from the experiments'
    setting; no number depends on it."""
    experiment: tuple[Part, ...] = ()
    model: tuple[tables.Model, ...] = ()
    train: tuple[tables.Train, ...] = ()
    prompts: tuple[tables.Prompts, ...] = ()
    direction: tuple[tables.Direction, ...] = ()
    intervene: tuple[tables.Intervention, ...] = ()
    read: tuple[tables.Read, ...] = ()
    probe: tuple[tables.Probe, ...] = ()
    diff: tuple[tables.Diff, ...] = ()
    claim: tuple[ClaimEntry, ...] = ()
    estimate: tuple[EstimateEntry, ...] = ()


class PlacedError(ExperimentError):
    """A mistake of a study with its keys; of several mistakes those of each."""

    keys: tuple[tuple[str | int, ...], ...] = ()
    unread = False
    """Whether a field could not be read."""


@dataclass(frozen=True)
class Text:
    """A study with its text."""

    path: Path
    toml: str
    first: int
    """The line of the file on which the TOML begins, from 1."""
    page: str
    """The Markdown that follows it."""
    study: Study

    def at(self, *keys: str | int) -> str:
        """The place of a key in the file: its path, line and column; for a missing key, of its
        table."""
        line, column = position(self.toml, keys)
        return f"{self.path} line {line + self.first - 1} column {column}"

    def error(self, keys: Sequence[str | int], message: object) -> PlacedError:
        """Make the refusal of what is at these keys, with its place; for a table, with the place of
        the one value that the message quotes."""
        if len(keys) == 2:
            entry = self.entry(*keys)
            quoted = [k for k, v in entry.items() if isinstance(v, str) and repr(v) in str(message)]
            keys = (*keys, *quoted) if len(quoted) == 1 else keys
        error = PlacedError(f"{self.at(*keys)}: {message}")
        error.keys = ((*keys,),)
        return error

    def entry(self, kind: str | int, place: str | int) -> Mapping[str, Any]:
        """One of the tables of a kind as it is written, without defaults; empty if it is none."""
        written = tomllib.loads(self.toml).get(str(kind), ())
        is_there = isinstance(written, list) and isinstance(place, int) and place < len(written)
        return written[place] if is_there else {}

    def index(self, kind: str, name: str) -> int:
        """Find which of the tables of a kind has this name."""
        return [t.name for t in getattr(self.study, kind)].index(name)

    @contextmanager
    def located(self, *keys: str | int, who: str = "") -> Iterator[None]:
        """Add the place of these keys to a refusal, and `who` it is about, unless it already has a
        place."""
        try:
            yield
        except AssayError as e:
            if str(e).startswith(f"{self.path} line"):
                raise
            raise self.error(keys, f"{who}{e}") from e


def read(path: Path) -> Text:
    """Read a study's file. Raises: ExperimentError, one line with line and column that says what
    would be right."""
    return parsed(path, read_whole(path))


def read_whole(path: Path) -> str:
    """Read the text of a study's file. Raises: ExperimentError."""
    raw = foreign.read(path, "a study", LARGEST)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise ExperimentError(
            f"{path} is not a study: it is not UTF-8 text (byte {e.start:,})"
        ) from None


def parsed(path: Path, whole: str) -> Text:
    """Read a study's text, which is that of this file. Raises: ExperimentError as `read` does."""
    toml, first, page = parted(path, whole)
    if deep := _DEEP.search(toml):
        line = toml.count("\n", 0, deep.start()) + first
        raise ExperimentError(f"{path} line {line}: a key of {PARTS} parts; a study's have two")
    try:
        table = tomllib.loads(toml)
    except (ValueError, RecursionError) as e:  # a whole number may have more digits than Python's
        raise ExperimentError(_syntax(path, toml, first, str(e) or "it nests too deep")) from None
    ranges.spell(path, table)
    try:
        study = msgspec.convert(table, Study)
    except msgspec.ValidationError:
        wrong = [*islice(_mistakes(table), MISTAKES)]
        advice = sorted(
            (position(toml, keys), _advice(error, keys, table)) for keys, error in wrong
        )
        message, *others = (
            f"{path} line {line + first - 1} column {column}: {words}"
            for (line, column), words in advice
        )
        refusal = PlacedError(message)
        refusal.keys, refusal.unread = tuple(keys for keys, _ in wrong), True
        refusal.others = tuple(others)
        raise refusal from None
    text = Text(path, toml, first, page, written_out(study))
    text = replace(text, study=_with_words(text))
    for keys in _no_numbers(table):
        raise text.error(keys, f"{keys[-1]} is not a number; leave it out, or name one")
    return text


def _mistakes(table: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Find the place of each mistake of a study, and msgspec's message. As msgspec stops at the
    first, every table is read separately, and again without the wrong field."""
    lists: dict[str, list[Any]] = {f: [] for f in _kinds() if isinstance(table.get(f), list)}
    parts: list[tuple[tuple[str | int, ...], Any, type]] = [((), {**table, **lists}, Study)]
    parts += [((f, i), x, _kinds()[f]) for f in lists for i, x in enumerate(table[f])]
    for prefix, value, struct in parts:
        wrong = set[str | int]()
        while True:
            try:
                msgspec.convert(value, struct)
                break
            except msgspec.ValidationError as e:
                keys = _keys(str(e))
                missing = "missing required field" in str(e)
                if not (missing and wrong):  # it may be the one that is misspelt
                    yield (*prefix, *keys), str(e)
                if missing or not keys:
                    break
                wrong.add(keys[0])
                value = {name: x for name, x in value.items() if name != keys[0]}


def _kinds() -> dict[str, type[msgspec.Struct]]:
    """The tables of a study that can occur several times."""
    fields = msgspec.structs.fields(Study)
    return {f.name: get_args(f.type)[0] for f in fields if get_origin(f.type) is tuple}


def _no_numbers(value: Any, keys: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of NaN, which studies cannot use; a claim's `empty` is refused later."""
    if isinstance(value, float) and value != value and keys[-1] != "empty":
        yield keys
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _no_numbers(part, (*keys, key))


def position(toml: str, keys: tuple[str | int, ...]) -> tuple[int, int]:
    """Find the line and column, from 1, of a key in TOML such as ("claim", 1, "holds"); of its
    table, if it is missing.

    Tables are found by their headers, keys by the line that they begin; a key inside a table on one
    line is found as that table."""
    table = [k for k in keys if isinstance(k, str)][:1]
    count = next((k for k in keys if isinstance(k, int)), None)
    name_index = 0 if count is None else 2  # such as "seeds", or ("claim", 1, "holds")
    name = keys[name_index] if len(keys) > name_index else None
    header_path: list[str] = []
    occurrence, best = -1, (1, 1)
    for number, line in enumerate(toml.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line):
            header_path = [part.strip() for part in header[1].split(".")]
            if header_path == [name] and count is None:
                return number, line.index("[") + 1
            occurrence += header_path == table
            if occurrence == count and header_path == table:
                best = (number, line.index("[") + 1)
            if occurrence == count and header_path[:2] == [*table, name]:
                return number, line.index("[") + 1
            continue
        of_table = header_path[:1] == table and occurrence == count
        inside = of_table if count is not None else not header_path
        key = rf"\s*(\"?){re.escape(name)}\1\s*(=|\.)\s*" if isinstance(name, str) else ""
        if inside and key and (match := re.match(key, line)):
            return number, min(match.end(), len(line) - 1) + 1
    return best


def parted(path: Path, whole: str) -> tuple[str, int, str]:
    """Give the TOML, the line on which it begins, and the Markdown after it."""
    if path.suffix != ".md":
        return whole, 1, ""
    lines = whole.splitlines()
    bare = [line.strip() for line in lines]
    if bare[:1] != [FENCE] or FENCE not in bare[1:]:
        raise ExperimentError(
            f"{path} line 1 column 1: a study in Markdown begins with TOML between two lines "
            f"{FENCE}"
        )
    end = bare.index(FENCE, 1)
    return "\n".join(lines[1:end]), 2, "\n".join(lines[end + 1 :]).strip()


def _syntax(path: Path, toml: str, first: int, error: str) -> str:
    """Python's message about invalid TOML, with the place in the file first."""
    lines = [*toml.splitlines(), ""]
    if error.endswith(end := "(at end of document)"):
        last = lines[-2] if len(lines) > 1 else ""
        place = f"{path} line {max(1, len(lines) - 1) + first - 1} column {len(last) + 1}"
        return f"{place}: {error.removesuffix(end).strip()}"
    if "digits" in error and (number := re.search(r"[\d_]{4300,}", toml)):
        number_line = toml.count("\n", 0, number.start()) + first
        return f"{path} line {number_line}: a number of {len(number[0]):,} digits is too large"
    match = re.search(r"\(at line (\d+), column (\d+)\)", error)
    if not match:
        return f"{path}: {error}"
    line = lines[min(int(match[1]), len(lines)) - 1]
    bare = re.search(r"=\s*(\d+:\d+)", line)
    hint = f'; a range is a text, "{bare[1]}"' if bare else ""
    if "Illegal character '\\n'" in error:
        hint = "; the text in quotes has to be closed on the same line"
    if re.search(r'=\s*".*".*"', line) and "Expected newline" in error:
        hint = "; put a text with quotes in it between single ones: '… \"batch=64/main\".loss …'"
    return (
        f"{path} line {int(match[1]) + first - 1} column {match[2]}: "
        f"{error[: match.start()].strip()}{hint}"
    )


def _keys(error: str) -> tuple[str | int, ...]:
    """The path in a message of msgspec, such as `$.claim[1].holds`; with the name of an unknown
    field."""
    match = re.search(r"at `\$\.?([^`]*)`", error)
    keys: list[str | int] = []
    for piece in re.findall(r"[^.\[\]]+", match[1] if match else ""):
        keys.append(int(piece) if piece.isdigit() else piece)
    if unknown := re.search(r"unknown field `([^`]+)`", error):
        keys.append(unknown[1])
    return tuple(keys)


def _types_in_words(types: str) -> str:
    """The types in a message of msgspec, such as `str | array`, in words."""
    words = {
        "str": "a string",
        "int": "an integer",
        "float": "a number",
        "bool": "true or false",
        "array": "a list",
        "object": "a table",
        "null": "nothing",
    }
    *first, last = (words.get(name, name) for name in types.split(" | "))
    return f"{', '.join(first)} or {last}" if first else last


def _advice(error: str, keys: tuple[str | int, ...], table: Any) -> str:
    """Rephrase a message of msgspec about a place in a table, with advice."""
    field_path = "".join(f"[{k + 1}]" if isinstance(k, int) else f".{k}" for k in keys).lstrip(".")
    kinds = _kinds()
    if unknown := re.search(r"unknown field `([^`]+)`", error):
        struct = kinds.get(str(keys[0]), Study) if len(keys) > 1 else Study
        struct = Literature if "published" in keys[:-1] else struct
        struct = NESTED.get(str(keys[-2]), struct) if len(keys) > 3 else struct
        if struct is not Study and any(unknown[1] == f.name for f in msgspec.structs.fields(Study)):
            return (
                f"{field_path} belongs to the study: write {unknown[1]} above the first [[…]], as "
                "in TOML a table takes all that follows it"
            )
        if unknown[1] == "controls":
            return (
                f"{field_path}: automatic controls are removed in the table that they come "
                "from: write controls = [] under the model, intervention, probe or diff, and here "
                'control = ["…"], an arm for which the claim should fail'
            )
        where = f"; see docs/tables/{keys[0]}.md" if keys[0] in ASKED else ""
        place, _, _ = field_path.rpartition(".")
        other = _otherwise(str(keys[-2] if len(keys) > 3 else keys[0]), unknown[1])
        hint = other or nearest(unknown[1], (f.name for f in msgspec.structs.fields(struct)))
        where = f" S{where[3:]}" if hint.endswith("?") and where else where
        return f"{place or 'a study'} has no field {unknown[1]}; {hint}{where}"
    if missing := re.search(r"missing required field `([^`]+)`", error):
        return f"{field_path or 'the study'} lacks {missing[1]}"
    if keys and keys[-1] in kinds and "array" in error and "object" in error:
        return f"write [[{keys[-1]}]] in place of [{keys[-1]}], as there may be several"
    message = re.sub(r"\s*- at `[^`]*`", "", error)
    if wrong := re.search(r"[Ii]nvalid enum value (.*)", message):
        holder, field = [k for k in ("", *keys) if isinstance(k, str)][-2:]
        allowed = _names_of(NESTED.get(holder, kinds.get(str(keys[0]), Study)), field)
        return f"{field_path}: expected one of {', '.join(allowed)}, got {wrong[1]}"
    if "`int`" in error and (how := _in_turn(keys)):
        return f"{field_path}: {how}"
    message = re.sub(r"`([^`]+)`", lambda types: _types_in_words(types[1]), message)
    if message.endswith(", got a number"):
        message = message.removesuffix("a number") + str(reduce(getitem, keys, table))
    is_list = len(keys) == 3 and message.endswith("got a list")
    is_text = keys == ("seeds",) or re.match("Expected (?!a list).*a string$", message)
    hint = _swept(keys) if is_list or is_text else ""
    if hint and is_list:
        if keys[2] == "prompts":
            hint = "; put the prompts of several groups into one table, with a column label"
        if keys[2] == "pattern":
            hint = "; leave it out, and name the heads by heads = [ … ] or choose them by top"
    if keys[2:3] == ("heads",) and "xpected" in message:
        one = 'heads = ["5.0"]'
        return f"{field_path}: write each head as a string, block and head, as in {one}"
    if keys[2:3] == ("sweep",) and message.endswith("got a string"):
        levels = '{ layer = "0:30" } (0 to 29) or { layer = [5, 15] }'
        return f"{field_path}: the levels are a range or a list, as in {levels}"
    if keys[2:3] == ("corrupted",) and len(keys) == 4 and message.endswith("got a string"):
        return (
            f"{field_path}: corrupted is one text, also if there are several prompts: write its "
            'slots, such as "… {other} …", or give each row a column corrupted'
        )
    return f"{field_path}: {message[:1].lower()}{message[1:]}{hint}"


def _otherwise(table: str, field: str) -> str:
    """What to write instead of a field that a table lacks; "" if unknown."""
    for key, how in OTHERWISE.items():
        kinds, fields = key.split(" ", 1)
        if table in kinds.split(",") and field in fields.split():
            return how
    others = [k for k, kind in _kinds().items() if field in kind.__struct_encode_fields__]
    return f"it is a field of [[{others[0]}]]" if len(others) == 1 else ""


def _names_of(struct: type[msgspec.Struct], field: str) -> list[str]:
    """The values of a field that takes one of several names."""
    (kind,) = (f.type for f in msgspec.structs.fields(struct) if f.encode_name == field)
    every = [kind]
    for part in every:
        every.extend(x for x in get_args(part) if get_origin(x) is not None)
    literals = (get_args(part) for part in every if get_origin(part) is Literal)
    return [name for names in literals for name in names if name]


def _swept(keys: tuple[str | int, ...]) -> str:
    """Say how to sweep a number that is not a slot, or that it cannot be swept; of seeds, how to
    write several."""
    if keys == ("seeds",):
        return '; for eight seeds, write "1000000:1000008"'
    top = NESTED.get(str(keys[2])) if len(keys) == 4 else None
    if top is not None:
        sweepable = [
            f.encode_name for f in msgspec.structs.fields(top) if {int, str} <= {*get_args(f.type)}
        ]
        return f"; it takes no slot of a sweep, as {', '.join(sweepable)} of {keys[2]} do"
    struct = _kinds().get(str(keys[0]))
    if len(keys) == 3 and struct is not None and "sweep" in struct.__struct_fields__:
        return f"; for several values in turn write sweep = {{ {keys[2]} = [ … ] }}"
    return ""


def _in_turn(keys: tuple[str | int, ...]) -> str:
    """How to write several latents, or all blocks, where a single number is expected; ""
    elsewhere."""
    if {*keys} & {"clamp", "feature"}:
        return (
            f"a latent is a whole number from 0; write sweep = {{ {keys[2]} = "
            '"0:30" } for several in turn, or top = { n = 3, of = "latents" } for the best ones'
        )
    if keys[-3:-1] != ("top", "layers"):
        return ""
    return (
        "the layers of top are numbers of blocks to choose from; to choose in each block by itself "
        'write site = "blocks.{layer}.mlp.hook_post", sweep = { layer = "0:30" } and no layers'
    )


LATER = ("damage", "other-text", "places")
"""Controls that are newer than the first frozen studies."""
ENDING = ".prereg.json"


def frozen_arms(path: Path, *, of_old: bool = True) -> Collection[str] | None:
    """The arms that were frozen for a study, next to its file: of freezes that are older than the
    field "questions", or of all; None if there are none."""
    arms: set[str] | None = None
    for frozen in _frozen(path):
        if not (of_old and "questions" in frozen):
            arms = {*(arms or ()), *frozen["arms"]}
    return arms


def _frozen(path: Path) -> Iterator[Mapping[str, Any]]:
    """The freezes of a study next to its file, as far as they can be read."""
    for which in ("", *(f".{preset}" for preset in PRESETS)):
        with suppress(OSError, ValueError):  # reported where it is judged by
            frozen = json.loads(foreign.read_stored(path.parent / f"{path.stem}{which}{ENDING}"))
            if isinstance(frozen, dict) and isinstance(frozen.get("arms"), dict):
                yield frozen


def frozen_bounds(path: Path, sentence: str) -> tuple[float, float] | None:
    """The bounds of a frozen claim, next to its file: freezes contained the natural range before
    exact limits were restricted to where they are needed."""
    for frozen in _frozen(path):
        for claim in frozen.get("claims", ()):
            if claim.get("text") == sentence and (ends := claim.get("bounds")):
                return float(ends[0]), float(ends[1])
    return None


def frozen_words(path: Path, arm: str) -> dict[str, Any] | None:
    """The words of an arm in a freeze of the study; None if it was not frozen."""
    for frozen in _frozen(path):
        with suppress(ValueError, LookupError, TypeError):
            words: dict[str, Any] = json.loads(frozen["arms"][arm]["fields"][0]["asked"])
            return words
    return None


def is_left_out(label: str, frozen: Collection[str] | None) -> bool:
    """Whether a control is left out because its kind is newer than the freeze."""
    return frozen is not None and label.rpartition("/")[2] in LATER and label not in frozen


S = TypeVar("S", bound=msgspec.Struct)
_NAMED = re.compile(r"""(?<![\w."'/-])("[^"]+"|'[^']+'|[A-Za-z_]\w*)\.([A-Za-z_]\w*)""")
"""ARM.MEASURE in a condition; names with other characters are quoted."""
LISTS = ("control", "near", "also", "planted", "violations")
"""Fields of a claim that name arms."""


def arm_on(arm: str, prompts: str) -> str:
    """Name an arm on other prompts."""
    return f"{arm} on {prompts}"


def reads_of(reads: Sequence[tables.Read], prompts: str, *, first: bool) -> tuple[tables.Read, ...]:
    """Give the reads on these prompts; `first` if they are the arm's usual ones."""
    return tuple(r for r in reads if r.prompts == prompts or (first and not r.prompts))


def _pairs(text: str) -> list[tuple[str, str]]:
    """Give each arm and measure of a condition."""
    return [(arm.strip("\"'"), name) for arm, name in _NAMED.findall(text)]


def measures_named(study: Any) -> set[tuple[str, str]]:
    """Give each arm of a study with each measure that a statement reads of it, or of an arm that it
    replaces."""
    arm_measures: set[tuple[str, str]] = set()
    for entry in (*study.claim, *study.estimate):
        here = _pairs(getattr(entry, "holds", "") or getattr(entry, "value", ""))
        arms = [arm for key in LISTS for arm in getattr(entry, key, ())]
        arm_measures |= {*here, *((arm, name) for arm in arms for _, name in here)}
    by = {r.name for r in study.read}
    choose = (*study.read, *study.direction)
    arm_measures |= {("main", t.top.by) for t in choose if t.top and t.top.by in by}
    return arm_measures | {(t.name, t.top.by) for t in study.intervene if t.top and t.top.by in by}


def _with_words(text: Text) -> Study:
    """A study with the words from the files that its reads name. Raises: ExperimentError."""
    study_reads = []
    for i, read in enumerate(text.study.read):
        if isinstance(read.words, str):
            with text.located("read", i, "words"):
                file = text.path.parent / read.words
                lines = foreign.text(file, "a list of words", LARGEST).splitlines()
            words = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
            read = msgspec.structs.replace(read, words=words)
        study_reads.append(read)
    return msgspec.structs.replace(text.study, read=tuple(study_reads))


def written_out(study: S) -> S:
    """Write the prompts of reads into the arms of each statement."""
    every: Any = study
    first = every.prompts[0].name if every.prompts else ""
    apart = {r.name: r.prompts for r in every.read if r.prompts not in ("", first)}
    if not apart:
        return study
    labels = [*(m.label for m in every.model[1:]), *(t.name for t in every.train)]
    plain = {"main": ""} | {label: f"{label}/" for label in labels}
    arms = {t.name: t.prompts for t in every.intervene} | {d.name: "" for d in every.diff}
    changed = {f"{prefix}{name}": p for prefix in plain.values() for name, p in arms.items()}

    def placed(arm: str, prompts: str) -> str:
        is_control = arm not in {*plain, *changed}
        base_arm, slash, control = arm.rpartition("/") if is_control else (arm, "", "")
        if base_arm in plain:
            return f"{plain[base_arm]}{prompts}{slash}{control}"
        usual = changed.get(base_arm, prompts) == prompts
        return arm if usual else f"{arm_on(base_arm, prompts)}{slash}{control}"

    def spelled(match: re.Match[str]) -> str:
        arm, name = match[1].strip("\"'"), match[2]
        new = placed(arm, apart[name]) if name in apart else arm
        return match[0] if new == arm else f'"{new}".{name}'

    def entry_of(entry: Any, key: str) -> Any:
        text = getattr(entry, key)
        changes: dict[str, Any] = {key: _NAMED.sub(spelled, text)}
        prompts = {apart.get(name, "") for _, name in _pairs(text)}
        if len(prompts) == 1 and (read_prompts := prompts.pop()):
            for field in LISTS:
                arms = getattr(entry, field, ())
                new = [placed(arm, read_prompts) for arm in arms]
                whole = dict(zip(new, arms.values(), strict=True)) if isinstance(arms, dict) else 0
                changes |= {field: whole or tuple(new)} if arms else {}
        return msgspec.structs.replace(entry, **changes)

    return msgspec.structs.replace(
        study,
        claim=tuple(entry_of(e, "holds") for e in every.claim),
        estimate=tuple(entry_of(e, "value") for e in every.estimate),
    )
