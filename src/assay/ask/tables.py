"""Tables: what a study says about a model, each a small value: models, prompts, directions,
interventions, reads and probes.

Texts may have slots: "{city} lies in" takes the column `city` of each row of the prompts. So may
sites: "blocks.{layer}.hook_resid_pre" with `sweep = { layer = [4, 8, 12] }`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

Plain = bool | int | float | str
Position = int | str
"""A token of the prompt: a number from 0, or from the end as -1; "{slot}", the last token of this
slot; "all"; for reads also "mean". For activations that is the mean over all tokens except the
first that the model reads, such as a BOS."""
Positions = int | str | tuple[Position, ...]
"""A position, or several: a list, or "all of {slot}" for every token of a slot."""
Few = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Answer = str | tuple[str, ...]
"""A text, or several whose probabilities are added."""
Answers = Annotated[tuple[Answer, ...], msgspec.Meta(min_length=1, max_length=2)]
Labels = Annotated[tuple[Plain, ...], msgspec.Meta(min_length=2)]
Texts = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
Own = bool
"""Instead of a text: true, the most probable token of the unchanged model (of two models, the
first) or, with `token_site`, by the logit lens at that site."""


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
    """A change of a model's weights."""

    round: Annotated[int, msgspec.Meta(ge=0, le=12)] | None = None
    """Number of decimals to which they are rounded."""
    scale: float = 1.0
    """Factor."""
    bits: Annotated[int, msgspec.Meta(ge=2, le=16)] | None = None
    """Bits to which the matrices among them are rounded, to nearest, symmetrically."""
    per: Literal["channel", "group", "tensor"] = "channel"
    """What shares a scale, its largest weight over that of the bits: an output channel, `group`
    weights of one, or a matrix."""
    group: Annotated[int, msgspec.Meta(ge=2)] = 128
    of: str = ""
    """Which weights: part of their names, such as "layers.9.mlp"; left out: all."""
    from_: str = ""
    """The label or name of another model of the same shape, from which these weights are taken."""
    swap: tuple[Layer, Layer] | None = None
    """Two blocks that are swapped, such as [10, 11]."""
    blocks: tuple[Layer, ...] = ()
    """The order of the blocks: which one runs at each place, such as [0, 2, 1, 3]. A block can be
    repeated or left out."""


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A language model."""

    name: str = ""
    """smollm2, gemma3-270m, a folder, or OWNER/NAME[@REVISION] that was fetched."""
    label: str = ""
    """The name of its own arm, and the prefix of its other arms, as LABEL/ARM; the first model's
    arm is main, and its other arms have no prefix."""
    like: str = ""
    """Instead of a name: the label or name of a model whose untrained twin this is; its weights are
    drawn by the seed of the run."""
    checkpoints: tuple[str, ...] = ()
    """Instead of a name: checkpoints of one training, such as ["./step-100", "./step-1000"]; each
    is a level of the dimension `checkpoint`: its step, otherwise its name."""
    base: str = ""
    """For the folder of a LoRA adapter: the model that it changes; left out: the one in its
    adapter_config.json."""
    dtype: DType = ""
    """Precision: float32 (left out), bfloat16 or float16."""
    device: str = ""
    """Device, such as cuda:1; auto spreads it over all GPUs; left out: that of the run."""
    weights: Weights | tuple[Weights, ...] | None = None
    """A change of its weights, such as { round = 3 } or { scale = 0.9, of = "layers.9.mlp" }; in a
    sweep with slots, such as { swap = ["{layer}", "{layer+1}"] }, or a list with one change for
    each level."""
    sweep: Mapping[str, tuple[Plain, ...]] = {}
    """Levels of the slots of `weights`, such as { layer = "0:29" }; each makes a model."""
    bos: bool | None = None
    """Whether every text begins with the model's BOS token; left out: as in its tokenizer."""
    controls: tuple[str, ...] | None = None
    """Near controls of claims about the unchanged model; left out: untrained; for a pattern heads
    and, if `to` is a slot, position; if answers differ between rows, unrelated."""

    def __hash__(self) -> int:
        """Everything except the sweep, since a mapping has no hash."""
        return hash((self.name, self.label, self.like, self.checkpoints, self.weights))


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message of a chat."""

    role: str
    """A role of the model's chat template: system, user, assistant."""
    content: str
    """The message, with slots."""


class Prompts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The texts that a model reads, one for each row."""

    name: str = "prompts"
    text: str | tuple[str, ...] = ()
    """The prompt with its slots, or several, each filled from every row and available as the column
    `template`. Left out: the column `text` of each row."""
    messages: tuple[Message, ...] = ()
    """Instead of a text: a chat, rendered by each model's chat template. The positions {user} and
    {assistant} are the ends of the last messages of these roles."""
    assistant: str = ""
    """For a chat: the beginning of the assistant's answer, which the model continues."""
    thinking: bool | None = None
    """For a chat: whether the model should think first, if its template supports that."""
    date: str = ""
    """For a chat: the date that a template writes, such as 26 Jul 2024."""
    file: str = ""
    """JSONL (one object per line), CSV with a header, or plain text with one prompt per line."""
    rows: tuple[Mapping[str, Plain], ...] = ()
    """The rows, instead of a file."""
    slots: Mapping[str, tuple[Plain, ...]] = {}
    """Columns whose combinations are the rows, instead of a file and rows."""
    where: str | Mapping[str, Plain | tuple[Plain, ...]] = {}
    """Which rows are used: those with this value, or one of these, in a column, such as { label =
    "french" }; or a condition of reads, such as "right" or "lead > 0", that is true in the
    unchanged first model and evaluated when the study runs; left out: all."""
    corrupted: str | tuple[Message, ...] = ""
    """The other text of each pair, with slots; for a chat its messages; left out: the column
    `corrupted`, if there is one."""
    split: str = ""
    """The column that is never in both halves if something is learned: rows with the same value are
    all learned from or all measured. Left out: each row by itself."""
    learn: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5
    """The share of the groups from which directions and probes learn."""
    unit: str = ""
    """The column over which is generalised, such as template; rows with the same value are
    averaged. Left out: the column of `split`, otherwise each row."""
    levels: str = ""
    """A column whose values are levels of a dimension of this name, for conditions such as
    right[length=long] and for curves. Each unit has every level."""
    shots: tuple[Annotated[int, msgspec.Meta(ge=0, le=100)], ...] = ()
    """Numbers of other rows before each as examples, such as [0, 1, 4]: levels of the dimension
    `shots`."""
    example: str = ""
    """For shots: the text of such a row, with its answer."""


class Top(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Choose the parts of a model that have most of something, on one half of the prompts. They are
    changed or read on the other half, which is measured."""

    n: int | str
    """How many, or a slot of a sweep."""
    skip: Annotated[int, msgspec.Meta(ge=0)] | str = 0
    """How many of the first are skipped: n = 1 and skip = 1 chooses the second; or a slot of a
    sweep, to choose them one by one."""
    lowest: bool = False
    """Whether to choose those with least instead of most."""
    above: float | None = None
    """Only parts above this number, at most n; for the lowest, parts below it."""
    of: Literal["heads", "neurons", "latents"]
    """Heads of `layers`; neurons at the intervention's site, or otherwise of mlp.hook_post of
    `layers`; latents of its dictionary."""
    by: str | tuple[Plain, Plain] = "norm"
    """By what: norm, how much they write or are active; two labels, how much more on rows of the
    first; the name of a direction, how much they write along it; for heads also a read of a
    pattern, with each head in turn; for heads and neurons any other read: how much lower it is
    (loss, rank, entropy or KL divergence: higher) if only this part is changed."""
    score: Literal["difference", "auroc", "gradient", "attribution", "weights"] = "difference"
    """For labels: the difference of the means, or the AUROC. For a read: difference runs the model
    without each part; gradient estimates its effect by activation times gradient, in one pass;
    attribution estimates that of a patch from the pair's other text by the difference of the
    activations times the gradient (attribution patching). For a direction, with neurons and
    latents: weights, what each writes along it at activation 1, without prompts; with neurons also
    the norm of their output weights, or the variance of its effect over the vocabulary."""
    among: Annotated[int, msgspec.Meta(ge=0)] = 0
    """For variance: only among this many neurons with the largest norm; left out: all."""
    change: str | Intervention = ""
    """For a read: the name of an intervention that is made to each part in turn, such as a patch
    along a path; left out: the change that is made to the chosen parts."""
    position: Positions = ""
    """At which tokens parts are compared; left out: where they are changed or read."""
    steps: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    """For gradient and attribution: steps of the integration, as for a read's gradient."""
    within: str = ""
    """A column: parts are chosen for each prompt separately, on the other prompts with the same
    value, such as paraphrases."""
    label: str = "label"
    """The column of the labels."""
    prompts: str = ""
    """Other prompts on which to choose; left out: one half of the measured ones."""
    layers: tuple[int, ...] = ()
    """The blocks whose heads or neurons can be chosen; left out: all."""


class Read(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number that is measured on each prompt. Give one kind; claims use its name."""

    name: str
    log_prob: Own | str | Answers = ""
    """log P(text | prompt) in nats, over all of its tokens; for two texts the first minus the
    second. A list instead of a text is any of its texts, as in [["red", "blue"], ["Monday"]]."""
    prob: Own | str | Answers = ""
    """P(text | prompt), as `log_prob`, from 0 to 1; for two texts the first minus the second."""
    accuracy: Annotated[tuple[Answer, ...], msgspec.Meta(min_length=1)] = ()
    """1 if the first of these texts is the most probable, otherwise 0; ties share; for a single
    text, 1 if the model writes it, taking the likeliest token each time. A list instead of a text
    is any of its texts."""
    rank: Own | str = ""
    """The rank of the text's first token among all tokens, 1 the most probable."""
    entropy: bool = False
    """Of the next token, in nats; with position = "mean" the mean over the prompt's tokens."""
    loss: bool = False
    """The mean loss of the prompt's own tokens, in nats per token; with a position other than -1
    the loss there, or the mean over several, such as "all of {second}"."""
    kl: bool = False
    """KL divergence of the next token from the unchanged model's, in nats, or its mean over the
    prompt's tokens; 0 without a change."""
    agrees: bool = False
    """1 if the most probable next token is that of the unchanged model, or of the first model of a
    difference, otherwise 0; with position = "mean" the share of the prompt's tokens."""
    generates: Texts = ()
    """1 if what the model writes, the likeliest token each time, contains one of these texts as
    whole words (ignoring case), otherwise 0."""
    begins: Texts = ()
    """1 if what it writes begins with one of these texts, compared as in `generates`, otherwise
    0."""
    tokens: Few = 20
    """Maximum number of tokens that it writes, for `generates`, `begins` and `written`."""
    temperature: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """The temperature at which each written token is sampled, for each seed; 0 takes the
    likeliest."""
    written: Written = ""
    """A number of what the model writes: its mean loss in nats per token, or its perplexity, by the
    unchanged model; the number of words; the share of distinct pairs of words; the share of
    repeated runs of `ngram` tokens; the count of the most frequent run; the share of upper-case
    letters; the number of tokens; the share of words that are among `words`; or the result of your
    own `function`, which takes text or columns by name."""
    words: str | Texts = ()
    """For share: a list of words, in any case, or a text file with one word per line."""
    ngram: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    """Length of a run in tokens, for repeated and loops."""
    logit_lens: Own | str | tuple[str, str] = ""
    """Like `log_prob` of first tokens, by final norm and unembedding of the residual stream at
    `site`."""
    logit: Own | str | tuple[str, str] = ""
    """The logit of a text's first token; for two texts the first minus the second."""
    pattern: str = ""
    """A head as "LAYER.HEAD": the attention from the token at `position` to that at `to`, from 0 to
    1; with position = "mean" the mean over the prompt's tokens that can attend to it."""
    heads: Texts = ()
    """Heads as "LAYER.HEAD": for `direct`, those whose writes are added; without another kind,
    those whose patterns are averaged."""
    direct: Own | str | tuple[str, str] = ""
    """What `heads`, or the components at `site` or `sites`, add to the logit of a text's first
    token through the final norm, with its scale held constant; for two texts to the first minus the
    second."""
    gradient: str = ""
    """The name of a read: its gradient by the activations of `heads`, `neurons`, latents as in
    `feature`, or all of `site`, times these activations, summed over tokens."""
    steps: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    """For gradient: the mean of so many, while the activations go from zero, or from the patched
    ones, to their values (integrated gradients)."""
    patch: Literal["", "corrupted"] = ""
    """For gradient: corrupted, the first-order effect of a patch from the pair's other text: the
    difference of the activations times the gradient (attribution patching)."""
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
    """A number of the weights. Of `heads`: how far the eigenvalues of the OV circuit are positive,
    so that a head copies; what the OV circuit makes of a `token`: its cosine with the unembedding
    of the token `onto`, or the rank of that token; with a `site`, such as blocks.0.hook_mlp_out,
    the circuit reads its output for the token alone instead of the embedding; or how much of what
    they write the queries, keys or values of a later head, `to`, read. Of a `direction`: the logit
    or rank of a `token` by the unembedding. Of `neurons`: the norm or kurtosis of their output
    weights, or the cosine of these with the input weights."""
    direction: str = ""
    """For weights: the name of a direction, through the final norm's weight and the unembedding."""
    token: Own | str = ""
    """For ov_cosine and ov_rank: the text whose first token's embedding the head attends to; for
    logit and rank the text whose first token they are about, or true."""
    onto: str = ""
    """The text onto whose first token it writes; left out: the same."""
    attends: Position = ""
    """For `direct` with heads: the only token that they are taken to attend to, which gives the
    effect of their OV circuits; left out: their actual attention."""
    to: Position = 0
    """The attended token; or "previous", the one before; "self"; "induction", the one after the
    last earlier occurrence of the attending token. For a composition: the later head, "17.4"."""
    projection: str = ""
    """The name of a direction: the component of the activation along it, x · v / ‖v‖."""
    feature: tuple[str, int | tuple[int, ...]] | None = None
    """A dictionary's file or stored run and a latent, or several that are averaged: the activation;
    with position = "all" the maximum over the prompt's tokens, with "mean" their mean."""
    top: Top | None = None
    """Instead of neurons, heads or latents by number: those with most of something, chosen on
    prompts that are not measured."""
    norm: bool = False
    """The length of the activation at `site`; with position = "mean" the mean over tokens."""
    cosine: str | tuple[str, str] = ""
    """The cosine of the activation and a direction, by its name; with two names, of these
    directions, whatever the prompt."""
    distance: str = ""
    """The name of a direction that keeps its length, such as a mean: the distance of the activation
    at `site` from it; with position = "mean" the mean over tokens."""
    neurons: tuple[int | str, ...] = ()
    """Numbers of neurons at `site`, such as blocks.9.mlp.hook_post, or without a site
    "BLOCK.NEURON" of mlp.hook_post, or a slot of a sweep: their mean activation; with position =
    "all" the maximum over the prompt's tokens."""
    active: float | None = None
    """The share of the coordinates at `site`, such as the neurons of blocks.9.mlp.hook_post, above
    this number, such as 0; for several tokens the mean."""
    coordinates: Literal["", "kurtosis", "max", "participation", "hoyer"] = ""
    """How unequal the coordinates at `site` are: excess kurtosis, 0 for a normal distribution; the
    largest magnitude over the median; the participation ratio; or Hoyer's sparsity, 0 if all are
    equal and 1 if only one is not 0. For several tokens the mean."""
    l0: str = ""
    """A dictionary's file or stored run: the number of its active latents at a token; with position
    = "mean" the mean over the prompt's tokens."""
    fvu: str = ""
    """A dictionary's file or stored run: the share of the variance of the prompt's activations that
    it does not explain."""
    anisotropy: bool = False
    """The mean cosine of the activations at `site` over all pairs of tokens of the prompt."""
    across: Literal[
        "", "effective_rank", "participation_ratio", "explained", "cosine", "cka", "rsa", "distance"
    ] = ""
    """One number of the activations at `site` on all prompts: their dimension, as an effective rank
    or a participation ratio; the share of their variance in the first `components` principal
    components; the mean cosine of all pairs; the distance between the means of two `labels`; or how
    similarly the prompts are arranged at this site and at `other_site`, on `other_text`, or with a
    change: by linear CKA, or by the rank correlation of pairwise similarities (rsa)."""
    components: Annotated[int, msgspec.Meta(ge=1)] = 1
    """For explained: the number of principal components."""
    labels: tuple[Plain, Plain] | None = None
    """For distance: the labels of the rows whose means are compared."""
    label: str = "label"
    """For distance: the column of the labels."""
    cka: bool = False
    """How similarly the tokens of a prompt are arranged at `site` with and without a change, in the
    two models of a difference, or at `site` and `other_site`, from 0 to 1: linear CKA."""
    jaccard: str = ""
    """A dictionary's file or stored run: of the latents that are active with or without a change,
    or in either model of a difference, the share that are active in both; at a token, or with
    position = "all" anywhere in the prompt."""
    similarity: Literal["", "cosine", "correlation", "distance"] = ""
    """How similar the activations at `site` are on the prompt and its other text, or those at
    `site` and `other_site` on the prompt; or, with two or more `heads`, how similarly these attend
    from the tokens at `position`: the mean over pairs."""
    other_text: str = ""
    """For similarity, CKA and RSA: the other text, with slots; left out for similarity: `corrupted`
    of the prompts."""
    other_site: str = ""
    """For similarity, CKA and RSA: the other site of the same model, compared with `site`."""
    column: str | tuple[str, str] = ""
    """A column of the prompts: its number; for a column and a label 1 if it has that label,
    otherwise 0. For corr and auroc with another read."""
    function: str = ""
    """Your own function, "FILE.py:NAME": it takes by name any of acts, before (of the unchanged
    model), logits, tokens and columns of a prompt read under b changes, and returns b numbers."""
    position: Positions = -1
    """Where it is read; for several tokens the mean. "mean" leaves out an opening such as a BOS
    and, for activations, the first token of a prompt without one."""
    site: str = ""
    """Where `logit_lens`, `norm` and `neurons` read; and `projection`, `cosine` and `feature`, if
    not at their own site; and `rank`, `logit`, `entropy` and `kl`, by the logit lens."""
    token_site: str = ""
    """For `agrees`, and for true instead of a text: the site at which the token of the unchanged
    model is read by the logit lens; left out: the output."""
    sites: tuple[str, ...] = ()
    """For a `function`: the sites whose activations it takes; for `direct` those whose writes are
    added."""
    prompts: str = ""
    """The prompts on which it is measured, in every arm of a statement; left out: those of the
    arm."""
    sweep: Mapping[str, tuple[Plain, ...]] = {}
    """Values of slots or fields of this table, each a level of a dimension: { layer = [4, 8, 12] };
    for `feature` the latents."""


class Direction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A direction at a site. Give one way to get it. A mean, a difference of means and the
    activation of a text keep their length; every other direction has length 1."""

    name: str
    site: str = ""
    """A residual site, such as blocks.15.hook_resid_pre."""
    heads: Texts = ()
    """Instead of a site: heads as "LAYER.HEAD", from the sum of whose writes to the stream it is
    learned; with `mean` that is a function vector."""
    neurons: Texts = ()
    """Neurons as "LAYER.NEURON": the sum of their rows of the output matrix (value vectors)."""
    top: Top | None = None
    """Instead of heads or neurons by number: those with most of something, such as { n = 10, of =
    "heads", by = "right" }, chosen on prompts that are not measured. By a read: how much it falls
    if a head alone is patched from the pair's other text or, without pairs, set to its mean."""
    position: Position = -1
    """Where the activations are read from which it is learned."""
    prompts: str = ""
    """The prompts that it is learned from; left out: the half of the first prompts, or of the
    intervention's own prompts, that is not measured."""
    label: str = "label"
    """The column of the labels."""
    difference: Labels | None = None
    """The mean activation of rows of the first label minus that of the second; for more labels the
    subspace of the differences of their means, for `erase`, `keep` and `project_out`."""
    probe: Labels | None = None
    """The weights of a ridge regression that separates the labels, pointing to the first; for more
    labels all weights, a subspace."""
    iterations: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    """For probe: the number of successive probes, each fitted on what the earlier ones leave; their
    weights together are a subspace (INLP)."""
    mean: bool = False
    """The mean activation of all rows, with its length."""
    component: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """The principal component of this number, 1 the largest; with position = "all" over all tokens
    except the first, and set to its mean if it is projected out, like `components`."""
    components: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """The first principal components, as many as this, a subspace for `keep` and `project_out`;
    with position = "all" over all tokens except the first that the model reads."""
    feature: tuple[str, int] | None = None
    """A dictionary's file or stored run and a latent: its decoder row."""
    unembedding: str | tuple[str, str] = ""
    """A token's unembedding with the final norm's weight, or the first token's minus the
    second's."""
    embedding: str | tuple[str, str] = ""
    """A token's embedding, or the first token's minus the second's."""
    mean_row: Literal["", "embedding", "unembedding"] = ""
    """The mean over the embeddings, or the unembeddings, of all tokens, with its length."""
    activation: str | tuple[str, str] = ""
    """The activation of `site` on a text at `position`, or on the first text minus the second, the
    shorter one padded with spaces. With position = "all" each token has its own, which is added to
    that token of a prompt (ActAdd)."""
    das: str = ""
    """The answer to the pair's other text: the direction is trained by gradient descent so that the
    model gives it if only this part is patched from that text (distributed alignment search)."""
    rank: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    """For das: the number of trained dimensions; more than one can only be patched `along`."""
    steps: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 40
    """For das: the number of steps of eight pairs."""
    lr: Annotated[float, msgspec.Meta(gt=0)] = 0.02
    """For das: Adam's learning rate at the beginning; it falls to 0."""
    sweep: Mapping[str, tuple[Plain, ...]] = {}
    """Values of slots, each a level of a dimension of the tables that use it: { layer = [4, 8]
    }."""


class Block(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}
):
    """Block the attention from some tokens to others, in some layers or heads. A slot means all of
    its tokens."""

    from_: Position = -1
    """The tokens that attend; left out: the last."""
    to: Positions
    """The tokens, or a list of them, that they no longer see; their attention goes to the
    others."""
    layers: tuple[int | str, ...] = ()
    """Numbers of blocks, or slots of a sweep; left out, without heads: all."""
    heads: tuple[str, ...] = ()
    """Heads as "LAYER.HEAD", instead of layers."""


class Path(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The only parts that a patch of heads or of an MLP reaches."""

    to: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """Later heads as "LAYER.HEAD", MLPs as "LAYER.mlp", or "logits"."""
    input: Literal["", "q", "k", "v"] = ""
    """For heads: the only input that is reached, their queries, keys or values; left out: all."""


class Intervention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of the model while it reads, which makes an arm of this name. Give one kind."""

    name: str
    add: str = ""
    """The name of a direction that is added, times `strength`."""
    strength: float = 1.0
    project_out: str = ""
    """The name of a direction that is projected out; principal components are set to their mean."""
    keep: str = ""
    """The name of principal components that are kept: all other dimensions are set to their
    mean."""
    erase: str = ""
    """The name of a direction between two labels, whose concept is erased by LEACE: then no linear
    function separates the labels, with the smallest possible change."""
    ablate: str = ""
    """zero; mean (over all tokens of the prompts, or over the prompts at `position`), or resample
    (the activations of another prompt, tokens counted from the first)."""
    scale: float | None = None
    """The factor of the activation."""
    patch: str = ""
    """What is put in: corrupted, the activations of the pair's other text; other, those of another
    prompt; clean, those of the unchanged model, after another change; or swapped, at each of the
    two places of `position` those of the other. At a single `position` each text has its own; at
    all, both have equally many tokens."""
    noise: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Gaussian noise that is added, in standard deviations of the site over the prompts."""
    source: str = ""
    """For a mean or resample ablation, or a patch from another prompt: the name of the prompts
    whose activations, or their mean, are put in; left out: the measured ones."""
    source_position: Positions = ""
    """For a mean over a source: the token of these prompts; left out: as `position`."""
    reconstruct: str = ""
    """A dictionary's file or stored run, whose reconstruction replaces the activations; the first
    token that a model reads is unchanged."""
    after: str = ""
    """The name of another intervention that is made as well, in the same arm."""
    clamp: tuple[str, int | tuple[int, ...]] | None = None
    """A dictionary's file or stored run and a latent, or several, whose activations are set to
    `value`; the dictionary's error is unchanged."""
    value: float = 0.0
    """In units of the dictionary."""
    block: Block | None = None
    """Attention from some tokens to others that is blocked, such as { from = "{answer}", to =
    "{name}", layers = [8, 9] }."""
    along: str = ""
    """For a patch: the name of a direction; only the component along it is patched."""
    path: Path | None = None
    """For a patch: the only path that it takes, such as { to = ["10.4"], input = "k" }; everything
    else is held constant."""
    function: str = ""
    """Your own function, "FILE.py:NAME": it takes x, [1, token, …], and by name any of site, tokens
    and columns, and returns the replacement of x."""
    site: str | tuple[str, ...] = ""
    """Where; left out: the direction's own site. Several are changed together."""
    window: tuple[int, int] | None = None
    """Also change the blocks around those of `site` or `block`: [-4, 5] from 4 before to 5 after
    each, as far as the model has them."""
    neurons: tuple[int | str, ...] = ()
    """Numbers at the site that are ablated or patched, instead of the whole site; without a site,
    "BLOCK.NEURON" of mlp.hook_post."""
    top: Top | None = None
    """Instead of heads, neurons or latents by number: those with most of something, such as { n =
    10, of = "heads", by = "norm" }."""
    heads: Texts = ()
    """Heads as "LAYER.HEAD", changed together, instead of a site: their outputs (hook_z)."""
    all_but: bool = False
    """For heads of the model, or neurons of a site: all others are changed, so that only the named
    or chosen ones are kept."""
    position: Positions = "all"
    """At which token, or tokens; all: every token of the text, not a BOS before it. Latents are
    never set at the first token that a model reads."""
    prompts: str = ""
    """The prompts that are measured under it; left out: the first."""
    sweep: Mapping[str, tuple[Plain, ...]] = {}
    """Values of fields or slots, each a level of a dimension: { strength = [2, 4, 8] }."""
    controls: tuple[str, ...] | None = None
    """The near controls; left out: all of this kind of intervention."""
    damage: str = ""
    """The prompts of the control `damage`, about something else, with the expected continuation in
    the column `end`; left out: 48 plain sentences."""

    @property
    def takes_out(self) -> bool:
        """Whether the change only takes something out of the model, so that there must be something
        that it can lower."""
        removed = (self.ablate, self.project_out, self.keep, self.erase, self.reconstruct)
        return any(removed) or self.block is not None or (self.clamp is not None and not self.value)


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
    """ridge, logistic, difference (the nearer mean; for two labels along the difference of means),
    sparse (the `k` best features or neurons), attention (a weighted mean over tokens with learned
    weights), or mlp (a hidden layer of 32 ReLUs on the first 128 principal components)."""
    k: Few = 16
    """The number of features of a sparse probe."""
    dictionary: str = ""
    """A dictionary's file or stored run, whose codes are read instead of activations."""
    neurons: tuple[int | str, ...] = ()
    """Numbers of neurons at the site, or slots of a sweep, that alone are read: for a single neuron
    a threshold is learned."""
    latents: tuple[int | str, ...] = ()
    """For a dictionary: the latents that alone are read."""
    heads: Texts = ()
    """Instead of a site: heads of one block as "LAYER.HEAD", whose outputs (hook_z) are read."""
    position: Position = -1
    """At which token; "mean" over all. The probe and its controls see no later token."""
    prompts: str = ""
    """The prompts that are probed; left out: the first."""
    test: str = ""
    """Other prompts on which it is judged; left out: the half from which it does not learn."""
    test_site: str = ""
    """Another site of the same width at which it is judged; left out: where it learns."""
    intervention: str = ""
    """The name of an intervention under which the model reads all prompts; left out: none."""
    folds: int = 0
    """Number of folds, such as 5, of a cross-validation in which each fold of the prompts is judged
    by a probe trained on the others; with `test`, a fold of those prompts. The unit is then a
    fold."""
    sweep: Mapping[str, tuple[Plain, ...]] = {}
    """Values of fields or slots, each a level of a dimension: { layer = [4, 8, 12] }."""
    controls: tuple[str, ...] | None = None
    """The near controls; left out: bag, embedding, places, untrained and permuted; for a claim that
    less can be read under an intervention, those of the intervention."""


class Diff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The difference of two models, prompt by prompt, or of two tables of prompts, row by row. It
    makes an arm of this name, whose reads are those of the second minus those of the first."""

    name: str
    models: tuple[str, str] | None = None
    """Labels of models; the first model of the study is also called by its name, or main."""
    prompts: tuple[str, str] | None = None
    """Instead of models: the names of two tables of prompts with equally many rows."""
    intervention: str = ""
    """The intervention under which both are read; left out: none."""
    controls: tuple[str, ...] | None = None
    """The near controls; left out: for models shuffled, if their weights have the same shapes,
    otherwise untrained; for prompts those of an unchanged model, or of the intervention; and, if
    answers differ between rows, unrelated."""


Steps = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Window = Annotated[int, msgspec.Meta(ge=2, le=8192)]
Size = Annotated[int, msgspec.Meta(ge=1, le=2**17)]


class Train(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Train something in the study: with a site, a dictionary of a model's activations; with `of`,
    a model further, such as for fine-tuning; otherwise a small model from scratch. Fields that are
    left out have the defaults of their kind."""

    name: str
    """Its label, as for a model; for a dictionary the name of its arm, used instead of a file."""
    of: str = ""
    """The label or name of the model that it starts from, or whose activations it reads; left out,
    for a dictionary: the first model."""
    prompts: str = ""
    """The prompts that it learns; a dictionary learns from one half of them and is measured on the
    other."""
    text: str = ""
    """Instead of prompts: stdlib, docs, or a folder of text files, cut into windows."""
    site: str | tuple[str, ...] = ""
    """Where a dictionary reads, such as blocks.15.hook_resid_post; with several it is a crosscoder,
    which reads them side by side and writes all of them."""
    models: tuple[str, str] | None = None
    """Instead of `of`: the labels of two models, such as ["main", "tuned"], whose activations at
    the site a crosscoder reads side by side."""
    site_out: str = ""
    """Where a transcoder writes; left out: where it reads."""
    dictionary: str = ""
    """Its kind: topk (left out), batchtopk, relu, gated, jumprelu."""
    d_sae: Size | None = None
    """Latents: 2048."""
    k: Size | None = None
    """For topk and batchtopk, the number of active latents: 32."""
    penalty: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """λ of the others: the larger, the fewer latents are active."""
    tokens: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] | None = None
    """For a text: the maximum number of tokens from which a dictionary learns, 50,000."""
    layers: Few | None = None
    """Blocks of a model from scratch: 1."""
    d: Size | None = None
    """Width of its stream: 64; its MLPs have four times as many neurons."""
    heads: Few | None = None
    """Heads of each block: 4."""
    steps: Steps | None = None
    """20 for a model trained further, 1000 from scratch, 1500 for a dictionary."""
    batch: Few | None = None
    """Texts per step: 8, and 64 from scratch; for a dictionary tokens per step: 256."""
    context: Window | None = None
    """Maximum tokens of a text: 64, for a dictionary 128."""
    lr: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Adam's highest learning rate: 1e-4, 3e-3 from scratch, 2e-3 for a dictionary."""
    decay: Decay | Mapping[str, Decay] | None = None
    """AdamW's weight decay: 0; for a dictionary also of single parameters, such as { W_enc = 0.01
    }."""
    warmup: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Steps over which the rate rises to its maximum: 0, for a dictionary 100."""
    only: str = ""
    """For a model trained further: part of the names of the trained weights, such as
    "layers.9.mlp"; left out: all."""
    rank: Few | None = None
    """For a model trained further: the rank of the additions to each linear map of the blocks
    (LoRA), while all weights are frozen."""
    alpha: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """The additions are multiplied by alpha / rank; left out: by 1."""
    edit: str = ""
    """A slot, such as "{country}": instead of training, add a rank-one matrix to the output weights
    of the MLP in `only`, so that another value at this slot's last token makes the prompts likely
    (ROME); with a text, such that outputs for the text change little."""
    seed: int = 0
    """Draws the start and the order of the texts."""
    per_seed: bool = False
    """Whether each seed of the study trains its own dictionary, so that claims are about the
    method; otherwise there is one, by `seed`."""
    frozen: str = ""
    """The half of a dictionary that stays at its random start: decoder, soft-decoder or encoder."""
    controls: tuple[str, ...] | None = None
    """The near controls; left out, for a dictionary: random, frozen and untrained; for a model
    trained further: all."""
    damage: str = ""
    """For a model trained further: the prompts of the controls `damage` and `other-text`, about
    something else; left out: 48 plain sentences."""
