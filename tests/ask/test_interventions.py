"""Every intervention, in batches over prompts, seeds and sweeps, against one prompt at a time with
hooks of one's own."""

from functools import partial

import numpy as np
import pytest
import torch
from naive_asking import READS, Naive, direction, intervention, make, measured, rows_of

import assay
from assay.ask.tables import Read
from assay.core.errors import DataError, ModelError
from assay.dictionaries.formats.writing import write

SITE = "blocks.1.hook_resid_pre"
Z = "blocks.1.attn.hook_z"
MLP = "blocks.1.hook_mlp_out"
TEXTS = [
    {"who": "Qz", "what": "x = 10", "other": "Point", "alike": "Wk"},
    {"who": "Add", "what": "y = 2048, say", "other": "Subtract", "alike": "Edd"},
    {"who": "Summary", "what": "a = b", "other": "No sum", "alike": "Zummary"},
]
TEMPLATE = "class {who}:\n    {what}\n   "
CLOSE = {"rtol": 0, "atol": 2e-4}
"""Batches pad, and add in another order, in float32; these models are random, so that rounding
grows."""
KINDS = ["llama", "gemma3_text"]


@pytest.fixture(scope="module", params=KINDS)
def subject(request, tmp_path_factory):
    """A model and its naive twin: one that begins every text with a BOS, one without."""
    folder = make(tmp_path_factory.mktemp("asked") / request.param, request.param)
    return folder, Naive(folder)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("asked") / "llama", "llama")
    return folder, Naive(folder)


@pytest.fixture
def three():
    return rows_of(*TEXTS, text=TEMPLATE)


def text_of(row):
    return TEMPLATE.format(**row)


def check(subject, prompt_set, table, edits, **more):
    """Hold an arm to the naive numbers, whose edits of a prompt `edits(naive, i, n)` gives, n the
    tokens of the prompt; and to itself with one prompt at a time."""
    folder, naive = subject
    got, _ = measured(folder, prompt_set, table, **more)
    for i, row in enumerate(prompt_set.rows):
        wanted = naive.reads(row.text, edits(naive, i, len(naive.tokens(row.text))))
        for read, number in zip(READS, wanted, strict=True):
            np.testing.assert_allclose(got[read.name][0, i], number, **CLOSE)
    plain = measured(folder, prompt_set)[0]
    changed = [not np.allclose(got[r.name], plain[r.name], atol=1e-3) for r in READS]
    assert all(changed)  # else nothing was tested


def at(positions, change, heads=None):
    """Apply a change to some tokens, and heads, of what a hook sees."""

    def edit(x):
        for s in range(x.shape[1])[positions] if isinstance(positions, slice) else positions:
            for h in [None] if heads is None else heads:
                index = (0, s) if h is None else (0, s, h)
                x[index] = change(x[index], s)
        return x

    return edit


def places(naive, n, last_of_what):
    """The places that are tried, as a table says them and as the tokens that they are."""
    where = {"all": slice(len(naive.opening), None), -1: [n - 1], 3: [3], "{what}": [last_of_what]}
    return where | {(1, 2, 3): [1, 2, 3]}


def last_of_what(naive, i):
    return last_within(naive, text_of(TEXTS[i]), TEXTS[i]["what"])


def last_within(naive, text, part):
    """The token with the last character of a part of a text, by characters."""
    ends = text.rindex(part) + len(part)
    offsets = naive.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    (token,) = [t for t, (a, b) in enumerate(offsets) if a < ends <= b]
    return token


POSITIONS = ["all", -1, 3, "{what}"]


@pytest.mark.parametrize("position", [*POSITIONS, (1, 2, 3)])
def test_adding_and_projecting_out(subject, three, position):
    _, naive = subject
    raw = naive.model.get_input_embeddings().weight.detach()
    ids = [naive.tokenizer.encode(t, add_special_tokens=False)[0] for t in (" a", " b")]
    vector = raw[ids[0]] - raw[ids[1]]
    vector = vector / vector.norm()
    d = direction(embedding=(" a", " b"))

    def where(i, n):
        return places(naive, n, last_of_what(naive, i))[position]

    check(
        subject,
        three,
        intervention(add="d", strength=8.0, position=position),
        lambda naive, i, n: {SITE: at(where(i, n), lambda x, s: x + 8 * vector)},
        tables=(d,),
    )
    check(
        subject,
        three,
        intervention(project_out="d", site="blocks.2.hook_resid_pre", position=position),
        lambda naive, i, n: {
            "blocks.2.hook_resid_pre": at(where(i, n), lambda x, s: x - (x @ vector) * vector)
        },
        tables=(d,),
    )


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("heads", [None, ["1.0"], ["1.3", "1.1"]], ids=str)
def test_ablating_by_zeros_and_by_means(subject, three, position, heads):
    _, naive = subject
    numbers = None if heads is None else [int(h[2:]) for h in heads]
    table = {"heads": heads} if heads else {"site": SITE}
    site = Z if heads else SITE

    def where(i, n):
        return places(naive, n, last_of_what(naive, i))[position]

    check(
        subject,
        three,
        intervention(ablate="zero", position=position, **table),
        lambda naive, i, n: {site: at(where(i, n), lambda x, s: 0 * x, numbers)},
    )
    acts = [naive.acts(text_of(row), site) for row in TEXTS]
    first = torch.stack([x[0] for x in acts]).mean(0)
    rest = torch.cat([x[max(1, len(naive.opening)) :] for x in acts]).mean(0)
    if position != "all":
        here = [where(i, len(x))[0] for i, x in enumerate(acts)]
        first = rest = torch.stack([x[s] for x, s in zip(acts, here, strict=True)]).mean(0)

    def mean(x, s, head=None):
        return (first if s == 0 else rest) if head is None else (first if s == 0 else rest)[head]

    def edit(naive, i, n):
        if numbers is None:
            return {site: at(where(i, n), mean)}

        def each(x):
            for h in numbers:
                x = at(where(i, n), lambda y, s, h=h: mean(y, s, h), [h])(x)
            return x

        return {site: each}

    check(subject, three, intervention(ablate="mean", position=position, **table), edit)


@pytest.mark.parametrize("position", [-1, "{what}", "{who}"])
@pytest.mark.parametrize("heads", [None, ["1.2", "1.0"]], ids=str)
def test_a_patch_of_one_token_takes_the_others_own(subject, three, position, heads):
    """Whose number is another, as the texts of a pair have other lengths; of a swap it is that of
    the slot which stands there in its place."""
    site = Z if heads else SITE
    template = TEMPLATE.replace("{who}", "{other}")
    pairs = rows_of(*TEXTS, text=TEMPLATE, corrupted=template)

    def edit(naive, i, n):
        text = template.format(**TEXTS[i])
        here, there = n - 1, -1
        if position != -1:
            name, own = position.strip("{}"), TEMPLATE.format(**TEXTS[i])
            here = last_within(naive, own, TEXTS[i][name])
            there = last_within(naive, text, TEXTS[i]["other" if name == "who" else name])
        source = naive.acts(text, site)[there]
        if heads is None:
            return {site: at([here], lambda x, s: source)}
        return {site: lambda x: _put_heads(x, here, source)}

    def _put_heads(x, s, source):
        for h in (0, 2):
            x[0, s, h] = source[h]
        return x

    table = {"heads": heads} if heads else {"site": SITE}
    check(subject, pairs, intervention(patch="corrupted", position=position, **table), edit)


def alike():
    """Pairs of as many tokens."""
    return rows_of(*TEXTS, text=TEMPLATE, corrupted=TEMPLATE.replace("{who}", "{alike}"))


@pytest.mark.parametrize("site", [SITE, Z])
def test_a_patch_of_all_tokens_leaves_those_of_an_answer(subject, site):
    def edit(naive, i, n):
        other = TEMPLATE.replace("{who}", "{alike}").format(**TEXTS[i])
        source = naive.acts(other, site)
        assert len(source) == n  # else the pair is not alike
        return {site: at(slice(0, n), lambda x, s: source[s])}

    check(subject, alike(), intervention(patch="corrupted", site=site), edit)


def test_of_two_prompts_each_is_resampled_from_the_other(subject):
    """Token by token from the first; the last of the shorter one stands for what it lacks, and for
    the answer's tokens."""
    two = rows_of(*TEXTS[:2], text=TEMPLATE)

    def edit(naive, i, n):
        source = naive.acts(text_of(TEXTS[1 - i]), Z)
        begin = len(naive.opening)

        def put(x):
            for s in range(begin, x.shape[1]):
                x[0, s, 1] = source[min(s if s < n else n - 1, len(source) - 1), 1]
            return x

        return {Z: put}

    check(subject, two, intervention(ablate="resample", heads=["1.1"]), edit, seeds=(0, 5))


def test_seeds_draw_other_partners_and_only_of_as_many_tokens_where_there_are(llama):
    folder, naive = llama
    rows = [{"t": t} for t in ("x = 1 +", "x = 2 +", "x = 3 +", "class Point:")]
    prompt_set = rows_of(*rows, text="{t}")
    table = intervention(ablate="resample", site=SITE, position="all")
    got, _ = measured(folder, prompt_set, table, seeds=range(12))
    lengths = [len(naive.tokens(r["t"])) for r in rows]
    assert lengths[0] == lengths[1] == lengths[2] != lengths[3]
    acts = [naive.acts(row["t"], SITE) for row in rows]
    for i in range(3):
        wanted = [
            naive.reads(rows[i]["t"], {SITE: lambda x, j=j: _prefix(x, acts[j])})[0]
            for j in range(3)
            if j != i
        ]
        drawn = {min(range(2), key=lambda k, v=v: abs(wanted[k] - v)) for v in got["one"][:, i]}
        assert drawn == {0, 1}
        nearest = [min(abs(w - v) for w in wanted) for v in got["one"][:, i]]
        assert max(nearest) < 2e-4


def _prefix(x, source):
    x[0, : len(source)] = source
    return x


@pytest.mark.parametrize("how", ["mean", "patch", "last"])
def test_what_is_written_on_is_changed_by_ablations_and_not_by_patches(subject, how):
    """The likeliest token each time, all tokens run anew; one position is one of the prompt."""
    folder, naive = subject
    pairs = alike()
    acts = [naive.acts(row.text, Z) for row in pairs.rows]
    rest = torch.cat([x[max(1, len(naive.opening)) :] for x in acts]).mean(0)
    first = torch.stack([x[0] for x in acts]).mean(0)
    last = torch.stack([x[-1] for x in acts]).mean(0)
    for row in pairs.rows:
        source = naive.acts(TEMPLATE.replace("{who}", "{alike}").format(**row.columns), Z)
        tokens = naive.tokens(row.text)
        n = len(tokens)

        def put(x, n=n, source=source):
            for s in range(len(naive.opening), x.shape[1]):
                if how == "mean":
                    x[0, s, 2] = (first if s == 0 else rest)[2]
                elif how == "patch" and s < n:
                    x[0, s] = source[s]
                elif how == "last" and s == n - 1:
                    x[0, s, 2] = last[2]
            return x

        for _ in range(6):
            tokens.append(int(naive.logits(tokens, {Z: put})[-1].argmax()))
        read = Read(name="w", generates=(naive.tokenizer.decode(tokens[n:]),), tokens=6)
        table = {
            "mean": intervention(ablate="mean", heads=["1.2"]),
            "patch": intervention(patch="corrupted", site=Z),
            "last": intervention(ablate="mean", heads=["1.2"], position=-1),
        }[how]
        got, _ = measured(folder, pairs, table, reads=(read,))
        assert got["w"][0, pairs.rows.index(row)] == 1


def test_points_of_a_sweep_are_what_each_gives_alone(subject, three):
    """A site's slot, a strength, heads and positions: their levels are dimensions in this order."""
    folder, _ = subject
    d = direction(site="blocks.{layer}.hook_resid_pre", unembedding=" a")
    table = intervention(add="d", sweep={"layer": (1, 2), "strength": (-3.0, 5.0)})
    got, levels = measured(folder, three, table, tables=(d,))
    assert levels["layer"] == [1, 2] and levels["strength"] == [-3.0, 5.0]
    for i, layer in enumerate((1, 2)):
        for k, strength in enumerate((-3.0, 5.0)):
            fixed = direction(site=f"blocks.{layer}.hook_resid_pre", unembedding=" a")
            alone, _ = measured(
                folder, three, intervention(add="d", strength=strength), tables=(fixed,)
            )
            for read in READS:
                np.testing.assert_allclose(got[read.name][0, i, k], alone[read.name][0], **CLOSE)
    table = intervention(
        ablate="mean", heads=["1.0"], sweep={"heads": ("1.1", "2.3"), "position": (-1, "all")}
    )
    got, _ = measured(folder, three, table)
    for i, head in enumerate(("1.1", "2.3")):
        for k, position in enumerate((-1, "all")):
            one = intervention(ablate="mean", heads=[head], position=position)
            alone, _ = measured(folder, three, one)
            np.testing.assert_allclose(got["one"][0, i, k], alone["one"][0], **CLOSE)


def test_a_prompt_by_itself_gives_what_it_gives_among_others(subject, three):
    folder, _ = subject
    d = direction(unembedding=" a")
    table = intervention(add="d", strength=8.0)
    together, _ = measured(folder, three, table, tables=(d,), seeds=(0, 1, 2))
    for i, row in enumerate(TEXTS):
        alone, _ = measured(folder, rows_of(row, text=TEMPLATE), table, tables=(d,))
        for read in READS:
            np.testing.assert_allclose(together[read.name][:, i], alone[read.name][0, 0], **CLOSE)


def test_a_direction_swept_by_itself_gives_its_levels_to_what_adds_it(llama, three):
    folder, _ = llama
    d = direction(site="blocks.{layer}.hook_resid_pre", unembedding=" a", sweep={"layer": (1, 2)})
    got, levels = measured(folder, three, intervention(add="d", strength=5.0), tables=(d,))
    assert levels["layer"] == [1, 2] and got["one"].shape == (1, 2, 3)
    with pytest.raises(DataError, match="sweeps position, which 'changed' has too"):
        measured(
            folder,
            three,
            intervention(add="d"),
            tables=(direction(unembedding=" a", sweep={"position": (-1, -2)}),),
        )


# features -------------------------------------------------------------------------------------


def dictionary(site, d=24, width=10, seed=0, **more):
    """A dictionary with random weights, a mean and a scale of its own."""
    draw = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(1, *shape, generator=draw)

    fields = {
        "W_enc": random(d, width),
        "b_enc": random(width),
        "W_dec": random(width, d),
        "b_dec": 0.1 * random(d),
        "nonlinearity": assay.dictionaries.ReLU(),
        "mean": 0.1 * random(d),
        "scale": torch.tensor([0.5]),
        "sites": (site,),
    }
    return assay.Dictionary(**fields | more)


@pytest.mark.parametrize("site", [SITE, Z])
@pytest.mark.parametrize("position", ["all", -1])
def test_clamping_keeps_what_the_dictionary_does_not_explain(
    subject, three, tmp_path, site, position
):
    """x + (value − code) · decoder row, with the code written out; never at the first token."""
    _, naive = subject
    d = naive.acts("a", site)[0].numel()
    of = dictionary(site, d)
    write(of, tmp_path / "it.safetensors", "assay")
    w = {k: v[0].double() for k, v in of.tensors().items()}

    def clamped(x, s):
        flat = x.flatten().double()
        code = torch.relu(
            ((flat - w["mean"]) * 0.5 - w["b_dec"]) @ w["W_enc"][:, 4] + w["b_enc"][4]
        )
        return (flat + (7 - code) * w["W_dec"][4] / 0.5).reshape(x.shape).to(x)

    check(
        subject,
        three,
        intervention(clamp=(str(tmp_path / "it.safetensors"), 4), value=7.0, position=position),
        lambda naive, i, n: {site: at(slice(1, None) if position == "all" else [n - 1], clamped)},
    )


def test_a_features_direction_is_its_decoder_row_at_its_site(llama, three, tmp_path):
    of = dictionary(SITE)
    write(of, tmp_path / "it.safetensors", "assay")
    row = of.W_dec[0, 3] / of.W_dec[0, 3].norm()
    d = direction(site="", feature=(str(tmp_path / "it.safetensors"), 3))
    check(
        llama,
        three,
        intervention(add="d", strength=6.0),
        lambda naive, i, n: {SITE: at(slice(0, None), lambda x, s: x + 6 * row)},
        tables=(d,),
    )


def test_what_a_dictionary_reconstructs_is_put_there_and_its_reads_are_those_of_its_codes(
    subject, three, tmp_path
):
    folder, naive = subject
    path, of = str(tmp_path / "it.safetensors"), dictionary(SITE)
    write(of, tmp_path / "it.safetensors", "assay")
    w = {k: v[0].double() for k, v in of.tensors().items()}

    def codes(x):
        z = (x.double() - w["mean"]) * 0.5 - w["b_dec"]
        return torch.relu(z @ w["W_enc"] + w["b_enc"])

    def back(x):
        return (codes(x) @ w["W_dec"] + w["b_dec"]) / 0.5 + w["mean"]

    table = intervention(reconstruct=path)
    edit = {SITE: at(slice(1, None), lambda x, s: back(x).to(x))}
    check(subject, three, table, lambda naive, i, n: edit)
    mean = intervention(ablate="mean", site=SITE)
    control = measured(folder, three, table, control="mean")[0]["one"]
    # the first token, which is left as it is, is alike in all three
    np.testing.assert_allclose(control, measured(folder, three, mean)[0]["one"], **CLOSE)
    own = (Read(name="on", l0=path, position="mean"), Read(name="left", fvu=path))
    got = measured(folder, three, reads=own)[0]
    for i, row in enumerate(three.rows):
        x = naive.acts(row.text, SITE)[1:]
        on = (codes(x) > 0).sum(1).double().mean()
        left = (x - back(x)).square().sum() / (x - x.mean(0)).square().sum()
        assert got["on"][0, i] == pytest.approx(float(on), abs=1e-6)
        assert got["left"][0, i] == pytest.approx(float(left), rel=1e-3)


OTHERS = rows_of(
    *({"t": t} for t in ("x = a b", "Point(", "return 10 of it")), name="others", text="{t}"
)


@pytest.mark.parametrize("heads", [None, ["1.0", "1.3"]], ids=str)
def test_what_is_there_is_scaled(subject, three, heads):
    place, site = ({"heads": heads}, Z) if heads else ({"site": SITE}, SITE)
    numbers = [int(head[-1]) for head in heads or ()] or None
    check(
        subject,
        three,
        intervention(scale=-0.5, **place),
        lambda naive, i, n: {
            site: at(slice(len(naive.opening), None), lambda x, s: -0.5 * x, numbers)
        },
    )


@pytest.mark.parametrize("heads", [None, [1]])
def test_the_mean_over_other_prompts_is_put_there(subject, three, heads):
    _, naive = subject
    place, site = ({"heads": ["1.1"]}, Z) if heads else ({"site": SITE}, SITE)

    def mean(position):
        return torch.stack([naive.acts(row.text, site)[position] for row in OTHERS.rows]).mean(0)

    for position, fields in ((-1, {}), (-2, {"source_position": -2})):
        new = mean(position)[1] if heads else mean(position)
        table = intervention(ablate="mean", source="others", position=-1, **place, **fields)
        put = partial(lambda new, x, s: new, new)
        check(
            subject,
            three,
            table,
            lambda naive, i, n, put=put: {site: at([n - 1], put, heads)},
            sources=(OTHERS,),
        )


def test_another_prompts_activations_come_from_the_source(llama, three):
    _, naive = llama
    one = rows_of({"t": "x = a b"}, name="one", text="{t}")
    row = naive.acts("x = a b", SITE)[-1]
    check(
        llama,
        three,
        intervention(patch="other", source="one", site=SITE, position=-1),
        lambda naive, i, n: {SITE: at([n - 1], lambda x, s: row)},
        sources=(one,),
    )


# refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"ablate": "zero", "heads": ["1.0"], "site": SITE}, "a site or heads, not both"),
        ({"ablate": "zero"}, "needs a site"),
        ({"add": "d", "heads": ["1.0"]}, "heads are ablated, scaled or patched; add takes a site"),
        ({"add": "d", "value": 2.0}, "value belongs to clamp"),
        ({"add": "d", "source": "others"}, "source names the prompts whose activations"),
        (
            {"ablate": "resample", "site": SITE, "source": "others", "source_position": 0},
            "source_position is where a mean is taken",
        ),
        ({"add": "d", "sweep": {"strengh": (1, 2)}}, "sweeps 'strengh', no field or slot of it"),
        ({"add": "d", "sweep": {"strength": ()}}, "each level once"),
        ({"ablate": "zero", "heads": ["1.0"], "sweep": {"heads": (1.1, 1.2)}}, "heads are texts"),
        ({"add": "d", "site": Z}, "'d' has 24 numbers, .* has 4 × 6"),
        ({"clamp": ("nowhere.safetensors", 1)}, "no file, folder or stored run"),
        ({"clamp": ("nowhere.safetensors", -1)}, "numbered from 0"),
    ],
    ids=lambda x: "-".join(map(str, x)) if isinstance(x, dict) else "",
)
def test_what_cannot_be_done_is_refused_in_one_line(llama, three, table, why):
    with pytest.raises((DataError, ModelError), match=why) as refused:
        measured(llama[0], three, intervention(**table), tables=(direction(unembedding=" a"),))
    assert "\n" not in str(refused.value)


def test_pairs_that_do_not_fit_are_told_with_their_row(llama):
    folder, _ = llama
    uneven = rows_of(*TEXTS, text=TEMPLATE, corrupted=TEMPLATE.replace("{who}", "{other}"))
    table = intervention(patch="corrupted", site=SITE)
    with pytest.raises(DataError, match=r"row 1: the other text of its pair .* position = -1"):
        measured(folder, uneven, table)
    same = rows_of(*TEXTS, text=TEMPLATE, corrupted=TEMPLATE)
    with pytest.raises(DataError, match="row 1: both texts of the pair are the same"):
        measured(folder, same, table)
    lonely = rows_of(TEXTS[0], text=TEMPLATE)
    with pytest.raises(DataError, match="row 1: no other prompt has other tokens"):
        measured(folder, lonely, intervention(ablate="resample", site=SITE))
    unnamed = rows_of(*({**r, "corrupted": "class A:\n  b"} for r in TEXTS), text=TEMPLATE)
    with pytest.raises(DataError, match=r"no slot \{what\}; write corrupted = "):
        measured(folder, unnamed, intervention(patch="corrupted", site=SITE, position="{what}"))


def test_a_dictionary_of_another_width_or_two_places_is_refused(llama, three, tmp_path):
    folder, _ = llama
    write(dictionary(SITE, d=20), tmp_path / "narrow.safetensors", "assay")
    with pytest.raises(DataError, match=r"reads 20 numbers for each token, .* has 24"):
        measured(folder, three, intervention(clamp=(str(tmp_path / "narrow.safetensors"), 1)))
    through = dictionary(
        SITE, sites_out=(MLP,), b_pre=torch.zeros(1, 24), mean_out=torch.zeros(1, 24)
    )
    write(through, tmp_path / "through.safetensors", "assay")
    with pytest.raises(DataError, match="reads and writes at different sites"):
        measured(folder, three, intervention(clamp=(str(tmp_path / "through.safetensors"), 1)))
    write(dictionary(SITE), tmp_path / "it.safetensors", "assay")
    with pytest.raises(DataError, match="latents 0 to 9, got 10"):
        measured(folder, three, intervention(clamp=(str(tmp_path / "it.safetensors"), 10)))
