"""Tables: what a study says about a model, each a small value: models, prompts, directions,
interventions, reads and probes.

Texts may have slots: "{city} lies in" takes the column `city` of each row of the prompts. A site
may have one too: "blocks.{layer}.hook_resid_pre" with `sweep = { layer = [4, 8, 12] }`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

Plain = bool | int | float | str
Position = int | str
"""A token of the prompt: a number from 0, or from the end as -1; "{slot}", the last token of what
stands in this slot; "all"; to read also "mean". Of activations that is the mean over all tokens
but the first that the model reads, such as a BOS."""
Positions = int | str | tuple[Position, ...]
"""A place, or several tokens: a list of places, or "all of {slot}", every token of a slot."""
Few = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Answer = str | tuple[str, ...]
"""A text, or several of which any will do: their probabilities are added up."""
Answers = Annotated[tuple[Answer, ...], msgspec.Meta(min_length=1, max_length=2)]
Labels = Annotated[tuple[Plain, ...], msgspec.Meta(min_length=2)]
Texts = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
Own = bool
"""In place of a text: true, the token that the unchanged model finds most probable there, or, with
`token_site`, the token on top at that site by the logit lens. Of two models it is the first's."""


Written = Literal[
    "", "loss", "perplexity", "words", "distinct", "repeated", "loops", "uppercase", "tokens",
    "share", "function",
]  # fmt: skip

Layer = Annotated[int, msgspec.Meta(ge=0)]
Decay = Annotated[float, msgspec.Meta(ge=0)]
DType = Literal["", "float32", "bfloat16", "float16"]


class Weights(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}
):
    """A change of a model's weights themselves."""

    round: Annotated[int, msgspec.Meta(ge=0, le=12)] | None = None
    """To how many decimals they are rounded."""
    scale: float = 1.0
    """What they are multiplied by."""
    bits: Annotated[int, msgspec.Meta(ge=2, le=16)] | None = None
    """To how many bits the matrices among them are rounded, to nearest, symmetrically."""
    per: Literal["channel", "group", "tensor"] = "channel"
    """What shares a scale, the largest number by that of the bits: an output channel, `group`
    weights of one, or a matrix."""
    group: Annotated[int, msgspec.Meta(ge=2)] = 128
    of: str = ""
    """Of which weights: what stands in their names, such as "layers.9.mlp"; left out: all."""
    from_: str = ""
    """The label, or the name, of another model of the same shape, from which these weights are
    taken."""
    swap: tuple[Layer, Layer] | None = None
    """Two blocks that change places, such as [10, 11]."""
    blocks: tuple[Layer, ...] = ()
    """The whole order of the blocks: which one runs at each place, such as [0, 2, 1, 3]. One that
    is there twice runs twice, and one that is not there never."""


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A language model."""

    name: str = ""
    """As everywhere: smollm2, gemma3-270m, a folder, or OWNER/NAME[@REVISION] that was fetched."""
    label: str = ""
    """What its arm is called as it is, and what stands before the names of its others, as
    LABEL/ARM; the first model's is main, and its others have their own names alone."""
    like: str = ""
    """In place of a name: the label, or the name, of a model whose untrained twin this is; its
    weights are drawn anew by the seed of the run."""
    checkpoints: tuple[str, ...] = ()
    """In place of a name: several states of one training, such as ["./step-100", "./step-1000"];
    each is a level of the dimension `checkpoint`: its step, else its name."""
    base: str = ""
    """Of a LoRA adapter's folder: the model that it changes; left out: the one that its
    adapter_config.json names."""
    dtype: DType = ""
    """What it computes in: float32 (left out), bfloat16 or float16."""
    device: str = ""
    """Where it is, such as cuda:1; auto spreads it over all GPUs; left out: where the run is."""
    weights: Weights | tuple[Weights, ...] | None = None
    """A change of its weights, such as { round = 3 } or { scale = 0.9, of = "layers.9.mlp" }; in a
    sweep one with slots, such as { swap = ["{layer}", "{layer+1}"] }, or a list of changes, one for
    each level."""
    sweep: Mapping[str, tuple[Plain, ...]] = {}
    """Levels of the slots of `weights`, such as { layer = "0:29" }: each makes a model."""
    bos: bool | None = None
    """Whether every text begins with the model's BOS token; left out: as its tokenizer has it."""
    controls: tuple[str, ...] | None = None
    """The near controls of claims about the model as it is; left out: untrained; of a pattern heads
    and, where `to` is a slot, position; where rows have different answers, unrelated."""

    def __hash__(self) -> int:
        """All but the levels, which are a mapping, and have no hash."""
        return hash((self.name, self.label, self.like, self.checkpoints, self.weights))


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message of a chat."""

    role: str
    """As the model's chat template calls it: system, user, assistant."""
    content: str
    """The message with its slots."""


class Prompts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The texts that a model reads, one for each row."""

    name: str = "prompts"
    text: str | tuple[str, ...] = ()
    """The prompt with its slots, or several: each is filled from every row, and is the column
    `template`. Left out: the column `text` of each row."""
    messages: tuple[Message, ...] = ()
    """In place of a text: a chat, which each model's own chat template makes a text of. The places
    {user} and {assistant} are the last message of this role."""
    assistant: str = ""
    """Of a chat: how the assistant's answer begins, from which the model goes on."""
    thinking: bool | None = None
    """Of a chat: whether the model is to think first, where its template knows that."""
    date: str = ""
    """Of a chat: the date that a template writes, such as 26 Jul 2024."""
    file: str = ""
    """JSONL (an object a line), CSV with a header, or plain text, a prompt a line."""
    rows: tuple[Mapping[str, Plain], ...] = ()
    """The rows themselves, in place of a file."""
    slots: Mapping[str, tuple[Plain, ...]] = {}
    """Columns of which every combination is a row, in place of a file and rows."""
    where: str | Mapping[str, Plain | tuple[Plain, ...]] = {}
    """Which of the rows are taken: those that have this value, or one of these, in a column, such
    as { label = "french" }; or a condition of reads, such as "right" or "lead > 0", that is true of
    them in the unchanged first model, and is found out when the study runs; left out: all."""
    corrupted: str | tuple[Message, ...] = ""
    """The other text of each pair, with slots, of a chat its messages; left out: the column
    `corrupted`, if there is one."""
    split: str = ""
    """The column that is never in both halves where something is learned: what has one value is
    learned from or measured. Left out: each row by itself."""
    learn: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5
    """The share of the groups from which directions and probes learn, where they learn from these
    prompts."""
    unit: str = ""
    """The column that is generalised over, such as template; rows that share it are averaged. Left
    out: the column of `split`, else each row."""
    levels: str = ""
    """A column whose values are levels of a dimension of this name, which conditions select, as in
    right[length=long], and curves go over. Each unit has every level."""
    shots: tuple[Annotated[int, msgspec.Meta(ge=0, le=100)], ...] = ()
    """How many other rows stand before each as examples, such as [0, 1, 4]: levels of the dimension
    `shots`."""
    example: str = ""
    """Of shots: how one of those rows is written, with its answer."""


class Top(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Choose the parts of a model that have most of something, on one half of the prompts. They
    are changed or read on the other half, which is measured."""

    n: int | str
    """How many, or a slot of a sweep."""
    skip: Annotated[int, msgspec.Meta(ge=0)] | str = 0
    """How many of the first are left out: with n = 1 and skip = 1 the second is chosen; or a slot
    of a sweep, so that each is chosen by itself."""
    lowest: bool = False
    """Whether those are chosen that have least of it, in place of most."""
    above: float | None = None
    """Only those that have more of it than this number, at most n; of the lowest those that have
    less."""
    of: Literal["heads", "neurons", "latents"]
    """Heads of `layers`; neurons at the intervention's site, or, without one, of mlp.hook_post of
    `layers`; latents of its dictionary."""
    by: str | tuple[Plain, Plain] = "norm"
    """Of what: norm, how much they write or are on; two labels, how much more on rows of the first;
    the name of a direction, how much they write along it; of heads also that of a read of a
    pattern, as each head in turn gives it; of heads and neurons that of any other read: how much
    lower it is where this part alone is changed, of a loss, rank, entropy or KL divergence how
    much higher."""
    score: Literal["difference", "auroc", "gradient", "attribution", "weights"] = "difference"
    """Of labels: how far the means are apart, or how well it separates the labels. Of a read:
    difference runs the model without each part, gradient estimates what this does by activation
    times gradient, in one pass, and attribution what a patch from the pair's other text does, by
    the difference of the activations times the gradient (attribution patching). Of a direction, for
    neurons and latents: weights, what one writes along it at an activation of 1, on no prompts; of
    neurons also of the norm of what they write so, or of its variance over the vocabulary."""
    among: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Of variance: only among so many neurons with the largest norm; left out: among all."""
    change: str | Intervention = ""
    """Of a read: the name of an intervention, which is made to each part in turn, such as a patch
    along a path; left out: the change that is made to the parts that are chosen."""
    position: Positions = ""
    """At which tokens parts are compared; left out: where they are changed or read."""
    steps: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    """Of gradient and attribution: as of a read's gradient, integrated over so many steps."""
    within: str = ""
    """A column: parts are chosen for each prompt by itself, on the other prompts of the same value,
    such as paraphrases."""
    label: str = "label"
    """The column of the labels."""
    prompts: str = ""
    """Other prompts, of which all choose; left out: one half of those that are measured."""
    layers: tuple[int, ...] = ()
    """The blocks among whose heads or neurons is chosen; left out: all."""


class Read(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number that is measured on each prompt. Give one kind; claims use its name."""

    name: str
    log_prob: Own | str | Answers = ""
    """log P(text | prompt) in nats, over all of its tokens; of two texts the first less the second.
    A list in place of a text is any of its texts, as in [["red", "blue"], ["Monday"]]."""
    prob: Own | str | Answers = ""
    """P(text | prompt), as `log_prob`, from 0 to 1; of two texts the first less the second."""
    accuracy: Annotated[tuple[Answer, ...], msgspec.Meta(min_length=1)] = ()
    """1 where the first of these texts is the most probable to follow, else 0; ties share; of one
    text alone, where it is what the model writes, the likeliest token each time. A list in place of
    a text is any of its texts."""
    rank: Own | str = ""
    """The rank of the text's first token among all that could follow, 1 the most probable."""
    entropy: bool = False
    """Of the next token, in nats; with position = "mean" the mean over the prompt's tokens."""
    loss: bool = False
    """The mean loss over the prompt's own tokens, in nats a token; with a position other than -1
    the loss at it, or the mean over several, such as "all of {second}"."""
    kl: bool = False
    """KL divergence of the next token from the untouched model's, in nats, or its mean over the
    prompt's tokens; 0 where nothing is done."""
    agrees: bool = False
    """1 where the most probable next token is that of the untouched model, or of the first model of
    a difference, else 0; with position = "mean" the share of the prompt's tokens."""
    generates: Texts = ()
    """1 where what the model writes on, the likeliest token each time, contains one of these texts
    as whole words (large and small letters alike), else 0."""
    begins: Texts = ()
    """1 where what it writes begins with one of these texts, as `generates` compares them, else
    0."""
    tokens: Few = 20
    """How many tokens it writes at most, for `generates`, `begins` and `written`."""
    temperature: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Of what the model writes: the temperature at which each token is sampled, anew for each seed;
    0 takes the likeliest."""
    written: Written = ""
    """Of what the model writes on: its mean loss in nats a token, or its perplexity, by the model
    without any change; how many words it has; which share of its pairs of words are different ones;
    which share of its runs of `ngram` tokens were there before; how often the most frequent of
    these occurs; which share of its letters are upper case; how many tokens it has; which share of
    its words are among `words`; or what a `function` of your own, which takes by name text or
    columns, returns of it."""
    words: str | Texts = ()
    """Of share: a list of words, in large or small letters, or a text file with a word on each
    line."""
    ngram: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    """How many tokens a run has, for repeated and loops."""
    logit_lens: Own | str | tuple[str, str] = ""
    """As `log_prob` of first tokens, as the residual stream at `site` would give it through final
    norm and unembedding."""
    logit: Own | str | tuple[str, str] = ""
    """The logit of a text's first token, before the softmax; of two texts the first less the
    second."""
    pattern: str = ""
    """A head as "LAYER.HEAD": how much attention the token at `position` pays to that at `to`, from
    0 to 1; with position = "mean" the mean over the prompt's tokens that can."""
    heads: Texts = ()
    """Heads as "LAYER.HEAD": of `direct` those whose writes are added up; without another kind
    those whose patterns are averaged."""
    direct: Own | str | tuple[str, str] = ""
    """What `heads`, or what writes at `site` or `sites`, add to the logit of a text's first token
    through the final norm, its scale held; of two texts to the first less the second."""
    gradient: str = ""
    """The name of a read: its gradient by the activations of `heads`, of `neurons`, of latents as
    in `feature`, or of all of `site`, times these activations, added up over tokens."""
    steps: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    """Of gradient: the mean of so many, while the activations go from zero, or from what is patched
    in, to what they are (integrated gradients)."""
    patch: Literal["", "corrupted"] = ""
    """Of gradient: corrupted, what a patch from the pair's other text would change, to first order:
    the difference of the activations times the gradient (attribution patching)."""
    weights: Literal[
        "",
        "copying",
        "ov_cosine",
        "ov_rank",
        "logit",
        "rank",
        "norm",
        "kurtosis",
        "in_out_cosine",
        "q_composition",
        "k_composition",
        "v_composition",
    ] = ""
    """A number of the weights of `heads`: how far the eigenvalues of the OV circuit are positive,
    so that a head copies; or what the OV circuit makes of a `token`: its cosine with the
    unembedding of the token `onto`, or the rank of this. With a `site`, such as
    blocks.0.hook_mlp_out, the circuit reads what this has for a token alone, not its embedding.
    Or of a `direction`: the logit or the rank that the unembedding makes of it for a `token`. Or
    how much of what `heads` write the queries, keys or values of a later head, `to`, read. Or of
    `neurons`: the norm or the kurtosis of their output weights, or the cosine of these with the
    input weights."""
    direction: str = ""
    """Of weights: the name of a direction that goes through final norm's weight and unembedding."""
    token: Own | str = ""
    """Of ov_cosine and ov_rank: the text whose first token's embedding the head attends to; of
    logit and rank that of which they are, or true."""
    onto: str = ""
    """The text onto whose first token it writes; left out: the same."""
    attends: Position = ""
    """Of `direct` of heads: the token to which alone they are taken to attend, so that it is what
    their OV circuits make of it; left out: as they attend."""
    to: Position = 0
    """To which token; or "previous", the one before; "self"; "induction", the one behind the last
    earlier occurrence of the token that attends. Of a composition: the later head, "17.4"."""
    projection: str = ""
    """The name of a direction: what the activation has along it, x · v / ‖v‖."""
    feature: tuple[str, int | tuple[int, ...]] | None = None
    """A dictionary's file or stored run and a latent, or several, whose mean it is: its activation;
    with position = "all" the highest over the prompt's tokens, with "mean" their mean."""
    top: Top | None = None
    """In place of neurons, heads or latents by number: those that have most of something, chosen on
    prompts that are not measured."""
    norm: bool = False
    """The length of the activation at `site`; with position = "mean" the mean over tokens."""
    cosine: str | tuple[str, str] = ""
    """The cosine of the activation and a direction, by its name; of two names that of these
    directions, whatever the prompt."""
    distance: str = ""
    """The name of a direction that keeps its length, such as a mean: how far the activation at
    `site` is from it; with position = "mean" the mean over tokens."""
    neurons: tuple[int | str, ...] = ()
    """Numbers of neurons at `site`, such as blocks.9.mlp.hook_post, or, without one, each
    "BLOCK.NEURON" of mlp.hook_post, or a slot of a sweep: their mean activation; with position =
    "all" the highest over the prompt's tokens."""
    active: float | None = None
    """The share of the numbers at `site`, such as the neurons of blocks.9.mlp.hook_post, that are
    above this one, such as 0; of several tokens the mean."""
    coordinates: Literal["", "kurtosis", "max", "participation", "hoyer"] = ""
    """How unequal the numbers at `site` are: their excess kurtosis, 0 of a normal distribution; the
    largest magnitude over the median one; how many carry most of the squared length, as a
    participation ratio; or Hoyer's sparsity, 0 if all are equally large and 1 if one alone is not
    0. Of several tokens the mean."""
    l0: str = ""
    """A dictionary's file or stored run: how many of its latents are on at a token; with position =
    "mean" the mean over the prompt's tokens."""
    fvu: str = ""
    """A dictionary's file or stored run: the share of the variance of the prompt's activations that
    it does not explain."""
    anisotropy: bool = False
    """The mean cosine of the activations at `site` of each two tokens of the prompt."""
    across: Literal[
        "", "effective_rank", "participation_ratio", "explained", "cosine", "cka", "rsa", "distance"
    ] = ""
    """One number of the activations at `site` on all prompts: how many dimensions they fill, as an
    effective rank or a participation ratio; which share of their variance the first `components`
    principal components have; the mean cosine of every two; how far the means of the rows of two
    `labels` are apart; or how similarly the prompts are arranged at this site and at `other_site`,
    on `other_text`, or with a change: by linear CKA, or by the rank correlation of the similarities
    of every two (rsa)."""
    components: Annotated[int, msgspec.Meta(ge=1)] = 1
    """Of explained: how many principal components."""
    labels: tuple[Plain, Plain] | None = None
    """Of distance: the labels of the rows whose means are compared."""
    label: str = "label"
    """Of distance: the column of the labels."""
    cka: bool = False
    """How alike the tokens of a prompt lie at `site` with and without a change, or in the two
    models of a difference, or at `site` and `other_site`, from 0 to 1: linear CKA."""
    jaccard: str = ""
    """A dictionary's file or stored run: of the latents that are on with or without a change, or in
    either model of a difference, the share that are on in both; at a token, or with position =
    "all" anywhere in the prompt."""
    similarity: Literal["", "cosine", "correlation", "distance"] = ""
    """How alike the activations at `site` are on the prompt and on its other text, or, on the
    prompt, those at `site` and at `other_site`; or, with two or more `heads`, how alike these
    attend from the tokens at `position`: the mean of every two."""
    other_text: str = ""
    """Of similarity, CKA and RSA: the other text, with slots; left out of similarity: `corrupted`
    of the prompts."""
    other_site: str = ""
    """Of similarity, CKA and RSA: the other site of the same model that is compared with `site`."""
    column: str | tuple[str, str] = ""
    """A column of the prompts: its number; of a column and a label 1 where it has that label, else
    0. For corr and auroc with another read."""
    function: str = ""
    """A function of your own, "FILE.py:NAME": it takes by name any of acts, before (of the
    untouched model), logits, tokens and columns of a prompt that was read under each of b changes,
    and returns b numbers."""
    position: Positions = -1
    """Where it is read, of several tokens the mean; "mean" leaves out an opening such as a BOS, and
    of activations the first token of a prompt without one."""
    site: str = ""
    """Where `logit_lens`, `norm` and `neurons` read; `projection`, `cosine` and `feature`, where
    that is not their own site; and `rank`, `logit`, `entropy` and `kl`, by final norm and
    unembedding in place of what the model gives."""
    token_site: str = ""
    """Of `agrees`, and where true is in place of a text: the site at which the token is on top in
    the unchanged model; left out: its end."""
    sites: tuple[str, ...] = ()
    """Of a `function`: the sites whose activations it takes; of `direct` those whose writes are
    added up."""
    prompts: str = ""
    """The prompts on which it is measured, in every arm of which a statement has it; left out:
    those that the arm measures."""
    sweep: Mapping[str, tuple[Plain, ...]] = {}
    """Values of slots or fields of this table, each a level of a dimension: { layer = [4, 8, 12] };
    of `feature` the latents."""


class Direction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A direction at a site. Give one way to get it. A mean, a difference of means and the
    activation of a text keep their length; every other direction has length 1."""

    name: str
    site: str = ""
    """A residual site, such as blocks.15.hook_resid_pre."""
    heads: Texts = ()
    """In place of a site: heads as "LAYER.HEAD", from the sum of whose writes to the stream it is
    learned; with `mean` that is a function vector."""
    neurons: Texts = ()
    """Neurons as "LAYER.NEURON": what they write to the stream together at an activation of 1, the
    sum of their rows of the output matrix (value vectors)."""
    top: Top | None = None
    """In place of heads or neurons by number: those that have most of something, such as { n = 10,
    of = "heads", by = "right" }, chosen on prompts that are not measured. By a read: how much it
    falls where a head alone is patched from the pair's other text, or, without one, set to its
    mean."""
    position: Position = -1
    """Where activations are read that it is learned from."""
    prompts: str = ""
    """The prompts that it is learned from; left out: the half of the first ones that is not
    measured; of an intervention with prompts of its own, of these."""
    label: str = "label"
    """The column that holds the labels."""
    difference: Labels | None = None
    """The mean activation of rows of the first label less that of the second; of more labels the
    subspace in which their means differ, for `erase`, `keep` and `project_out`."""
    probe: Labels | None = None
    """The weights of a ridge regression that tells the labels apart, along which the first is
    higher; of more labels all of their weights, a subspace."""
    iterations: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    """Of probe: so many probes one after another, each fitted on what those before it leave, whose
    weights together are a subspace (INLP)."""
    mean: bool = False
    """The mean activation of all rows, with its length."""
    component: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """The principal component of this number, 1 the largest; with position = "all" that of all
    tokens but the first, set to its mean where it is taken out, as `components` are."""
    components: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """The first so many principal components together, a subspace for `keep` and `project_out`;
    with position = "all" those of all tokens but the first that the model reads."""
    feature: tuple[str, int] | None = None
    """A dictionary's file or stored run and a latent: its decoder row."""
    unembedding: str | tuple[str, str] = ""
    """A token's unembedding with the final norm's weight, or that of the first less that of the
    second."""
    embedding: str | tuple[str, str] = ""
    """A token's embedding, likewise."""
    mean_row: Literal["", "embedding", "unembedding"] = ""
    """The mean over the embeddings, or the unembeddings, of all tokens, with its length."""
    activation: str | tuple[str, str] = ""
    """What `site` has on a text at `position`, or what it has on the first less that on the second,
    the shorter of which is filled up with spaces. With position = "all" each token has its own,
    which is added to that token of a prompt (ActAdd)."""
    das: str = ""
    """The answer to the pair's other text: the direction is trained by gradient descent so that the
    model gives it where this part alone is patched from that text (distributed alignment
    search)."""
    rank: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    """Of das: how many dimensions are trained; more than one can only be patched `along`."""
    steps: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 40
    """Of das: how many steps of eight pairs it is trained."""
    lr: Annotated[float, msgspec.Meta(gt=0)] = 0.02
    """Of das: Adam's learning rate at the beginning; it falls to 0."""
    sweep: Mapping[str, tuple[Plain, ...]] = {}
    """Values of slots, each a level of a dimension of what uses it: { layer = [4, 8] }."""


class Block(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}
):
    """Block the attention from some tokens to others, in some layers or heads. A slot means all
    of its tokens."""

    from_: Position = -1
    """The tokens that attend; left out: the last."""
    to: Positions
    """The tokens, or a list of them, that they no longer see; their attention goes to all others
    that they see."""
    layers: tuple[int | str, ...] = ()
    """The numbers of blocks, or slots of a sweep; left out, without heads: all."""
    heads: tuple[str, ...] = ()
    """Heads as "LAYER.HEAD", in place of layers."""


class Path(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The only parts that a patch of heads or of an MLP reaches."""

    to: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """Later heads as "LAYER.HEAD", MLPs as "LAYER.mlp", or "logits"."""
    input: Literal["", "q", "k", "v"] = ""
    """Of heads: by which input alone, their queries, keys or values; left out: by all."""


class Intervention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of the model while it reads, which makes an arm of this name. Give one kind."""

    name: str
    add: str = ""
    """The name of a direction: `strength` times it is added."""
    strength: float = 1.0
    project_out: str = ""
    """The name of a direction that is taken out; of principal components, which are set to their
    mean."""
    keep: str = ""
    """The name of principal components that alone are kept: all other dimensions are set to their
    mean."""
    erase: str = ""
    """The name of a direction between two labels, whose concept is erased by LEACE: what is left
    tells the labels apart by no linear means, and is changed as little as can be."""
    ablate: str = ""
    """zero; mean (over all tokens of the prompts, or over the prompts at `position`), or resample
    (what another prompt has there, its tokens counted from the first)."""
    scale: float | None = None
    """What the activation is multiplied by."""
    patch: str = ""
    """What is put there: corrupted, what the pair's other text has; other, another prompt's; clean,
    what the untouched model has, where another change came before; or swapped, at each of the two
    places of `position` what the other one has. At one `position` each text has its own; at all
    both have as many tokens."""
    noise: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Gaussian noise that is added, in standard deviations of what the site has over the
    prompts."""
    source: str = ""
    """Of a mean or resample ablation, or a patch from another prompt: the name of the prompts whose
    activations, or their mean, are put there; left out: those that are measured."""
    source_position: Positions = ""
    """Of a mean over a source: at which token of these prompts; left out: as `position`."""
    reconstruct: str = ""
    """A dictionary's file or stored run, whose reconstruction is put in the place of what the site
    has; the first token that a model reads is left as it is."""
    after: str = ""
    """The name of another intervention that is made as well, in the same arm."""
    clamp: tuple[str, int | tuple[int, ...]] | None = None
    """A dictionary's file or stored run and a latent, or several, whose activations are set to
    `value`; what the dictionary does not explain stays."""
    value: float = 0.0
    """In units of the dictionary."""
    block: Block | None = None
    """Attention from some tokens to others that is blocked, such as { from = "{answer}",
    to = "{name}", layers = [8, 9] }."""
    along: str = ""
    """Of a patch: the name of a direction; only what activations have along it is patched."""
    path: Path | None = None
    """Of a patch: the path along which alone it goes, such as { to = ["10.4"], input = "k" }, with
    all else held as it was."""
    function: str = ""
    """A function of your own, "FILE.py:NAME": it takes x, [1, token, …], and by name any of site,
    tokens and columns, and returns what goes on in the place of x."""
    site: str | tuple[str, ...] = ""
    """Where; left out: the direction's own site. Several are changed together."""
    window: tuple[int, int] | None = None
    """The change is made in the blocks around those of `site`, or of `block`, as well: [-4, 5] from
    4 before to 5 after each, as far as the model has them."""
    neurons: tuple[int | str, ...] = ()
    """Numbers at the site that are ablated or patched, in place of all of it; of several blocks,
    without a site, as "BLOCK.NEURON": those of mlp.hook_post."""
    top: Top | None = None
    """In place of heads, neurons or latents by number: those that have most of something, such as
    { n = 10, of = "heads", by = "norm" }."""
    heads: Texts = ()
    """Heads as "LAYER.HEAD", changed together, in place of a site: what they write (hook_z)."""
    all_but: bool = False
    """Of heads of the model, or neurons of a site: all others are changed, so that those that are
    named or chosen are the only ones that are kept."""
    position: Positions = "all"
    """At which token, or tokens; all: every one of the text, a BOS before it left as it is. No
    feature is set at the first token that a model reads."""
    prompts: str = ""
    """The prompts that are measured under it; left out: the first."""
    sweep: Mapping[str, tuple[Plain, ...]] = {}
    """Values of fields or slots, each a level of a dimension: { strength = [2, 4, 8] }."""
    controls: tuple[str, ...] | None = None
    """The near controls that are made; left out: all that this kind of intervention has."""
    damage: str = ""
    """The prompts of the control `damage`, about something else, whose column `end` is what should
    follow; left out: 48 plain sentences."""


class Probe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A probe, trained on the activations of one half of the prompts and judged on the other. It
    makes an arm of this name, which measures its accuracy, or R² if it predicts a number."""

    name: str
    label: str = "label"
    """The column to predict. Texts are classes, and so are two numbers; with more numbers, the
    probe is a regression."""
    site: str = ""
    """Such as "blocks.{layer}.hook_resid_post", with the layers in `sweep`."""
    kind: str = "ridge"
    """ridge, logistic, difference (of two labels the nearer mean, along the difference of means),
    sparse (the `k` best features or neurons), attention (a weighted mean
    over tokens, whose weights are learned too), or mlp (a hidden layer of 32 ReLUs on the first 128
    principal components)."""
    k: Few = 16
    """How many features a sparse probe reads."""
    dictionary: str = ""
    """A dictionary's file or stored run, whose codes are read in place of activations."""
    neurons: tuple[int | str, ...] = ()
    """Numbers of neurons at the site, or slots of a sweep, which alone are read: of one neuron a
    threshold is learned."""
    latents: tuple[int | str, ...] = ()
    """Of a dictionary: the latents that alone are read."""
    heads: Texts = ()
    """In place of a site: heads of one block as "LAYER.HEAD", whose outputs (hook_z) are read."""
    position: Position = -1
    """At which token; "mean" over all. No probe and no control sees a token behind it."""
    prompts: str = ""
    """The prompts that are probed; left out: the first."""
    test: str = ""
    """Other prompts that it is judged on; left out: the half of those that it does not learn
    from."""
    test_site: str = ""
    """Another site of the same width that it is judged at; left out: where it learns."""
    intervention: str = ""
    """The name of an intervention under which the model reads all prompts; left out: as it is."""
    folds: int = 0
    """5, say: a cross-validation, in which each fold of the prompts is judged by what is learned
    from the others; with `test`, a fold of those prompts. The unit is then a fold."""
    sweep: Mapping[str, tuple[Plain, ...]] = {}
    """Values of fields or slots, each a level of a dimension: { layer = [4, 8, 12] }."""
    controls: tuple[str, ...] | None = None
    """The near controls that are made; left out: bag, embedding, places, untrained and permuted;
    of a claim that less can be read under an intervention those of the intervention."""


class Diff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The difference of two models, prompt by prompt, or of two tables of prompts, row by row. It
    makes an arm of this name, whose reads are those of the second minus those of the first."""

    name: str
    models: tuple[str, str] | None = None
    """Labels of models; the first model of the study is also called by its name, or main."""
    prompts: tuple[str, str] | None = None
    """In place of models: the names of prompts, as many of each, that each model reads."""
    intervention: str = ""
    """The intervention under which both are read; left out: none."""
    controls: tuple[str, ...] | None = None
    """The near controls that are made; left out: of models shuffled, where both have weights of the
    same shapes, else untrained; of prompts those of a model as it is, or of the intervention; and,
    where rows have different answers, unrelated."""


Steps = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Window = Annotated[int, msgspec.Meta(ge=2, le=8192)]
Size = Annotated[int, msgspec.Meta(ge=1, le=2**17)]


class Train(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Train something in the study: with a site, a dictionary of a model's activations; with `of`,
    a model further, such as for fine-tuning; otherwise a small model from scratch. Fields that are
    left out have the usual values of their kind."""

    name: str
    """Its label, as of a model; of a dictionary the name of its arm, and what stands in place of a
    file."""
    of: str = ""
    """The label, or the name, of the model that it begins as, or whose activations it reads; left
    out, of a dictionary: the first model."""
    prompts: str = ""
    """The prompts that it learns; of a dictionary from one half of them, measured on the other."""
    text: str = ""
    """In place of prompts: stdlib, docs, or a folder of text files, cut into windows."""
    site: str | tuple[str, ...] = ""
    """Where a dictionary reads, such as blocks.15.hook_resid_post; several make it a crosscoder,
    which reads them side by side, and writes all of them."""
    models: tuple[str, str] | None = None
    """In place of `of`: the labels of two models, such as ["main", "tuned"], whose activations at
    the site a crosscoder reads side by side."""
    site_out: str = ""
    """Where a transcoder writes; left out: where it reads."""
    dictionary: str = ""
    """Its kind: topk (left out), batchtopk, relu, gated, jumprelu."""
    d_sae: Size | None = None
    """Latents: 2048."""
    k: Size | None = None
    """Of topk and its kin, how many latents stay on: 32."""
    penalty: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """λ of the others: the larger, the fewer latents are on."""
    tokens: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] | None = None
    """Of a text, from how many tokens a dictionary learns at most: 50,000."""
    layers: Few | None = None
    """Blocks of a model from nothing: 1."""
    d: Size | None = None
    """Width of its stream: 64; its MLPs have four times as many neurons."""
    heads: Few | None = None
    """Heads of each block: 4."""
    steps: Steps | None = None
    """20 of a model trained further, 1000 of one from nothing, 1500 of a dictionary."""
    batch: Few | None = None
    """Texts a step: 8, and 64 from nothing; of a dictionary tokens a step: 256."""
    context: Window | None = None
    """Tokens of a text at most: 64, of a dictionary 128."""
    lr: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Adam's learning rate at its top: 1e-4, 3e-3 from nothing, 2e-3 of a dictionary."""
    decay: Decay | Mapping[str, Decay] | None = None
    """AdamW's weight decay, of everything that is trained: 0; of a dictionary also of some of its
    parameters alone, such as { W_enc = 0.01 }."""
    warmup: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Over how many steps the rate rises to its top: 0, of a dictionary 100."""
    only: str = ""
    """Of a model trained further: what the names of the trained weights contain, such as
    "layers.9.mlp"; left out: all."""
    rank: Few | None = None
    """Of a model trained further: that of what is added to each linear map of the blocks (LoRA),
    while all weights stay as they are."""
    alpha: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """What is added counts alpha / rank times; left out: once."""
    edit: str = ""
    """A slot, such as "{country}": in place of training, edit the output weights of the MLP that
    `only` names by a matrix of rank one, so that another value at this slot's last token makes the
    prompts likely (ROME); with a text, one that changes little of it."""
    seed: int = 0
    """What draws the start and the order of the texts."""
    per_seed: bool = False
    """Whether each seed of the study trains a dictionary of its own, so that claims are about the
    method; else there is one, by `seed`."""
    frozen: str = ""
    """Which half of a dictionary stays as random as it started: decoder, soft-decoder or
    encoder."""
    controls: tuple[str, ...] | None = None
    """The near controls that are made; left out, of a dictionary: random, frozen and untrained; of
    a model trained further: all."""
    damage: str = ""
    """Of a model trained further the prompts of the controls `damage` and `other-text`, about
    something else; left out: 48 plain sentences."""
