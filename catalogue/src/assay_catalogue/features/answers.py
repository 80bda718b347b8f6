"""How likely a language model finds whole answers: log-probabilities of every token of each, all
prompts of a question in one pass.

Prompts that begin alike share those tokens: together they are a tree, each of whose nodes attends
to its ancestors alone, so each beginning is computed once and comes out as it would by itself.
Where that is not so, since a window or the length of a text bears on what a token attends to, every
sequence is run by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.errors import DataError, ModelError
from assay.core.heavy import torch
from assay.subjects.batches import run_many
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site

Encode = Callable[[str], list[int]]
Asked = tuple[str, Sequence[str]]
"""A prompt and the answers that may follow it, as text."""


class Scored(NamedTuple):
    """A prompt with one answer as tokens, of which those from `start` on are what tells the answers
    apart."""

    tokens: list[int]
    start: int


def scored(encode: Encode, question: Asked) -> list[Scored]:
    """Each answer behind its prompt, encoded as one text: a tokenizer may join an answer's letter
    with the prompt's last sign.

    What is scored begins where the answers' tokens begin to differ, or with the answer, whichever
    comes first.
    Raises: DataError where one answer is the beginning of another, or no answer adds a token.
    """
    prompt, answers = question
    whole = [encode(prompt + answer) for answer in answers]
    prompt_tokens = encode(prompt)
    start = min(
        len(_shared(tokens, other))
        for tokens in whole
        for other in (*whole, prompt_tokens)
        if other is not tokens
    )
    for tokens, answer in zip(whole, answers, strict=True):
        if not start < len(tokens) or any(
            other is not tokens and _shared(tokens, other) == tokens for other in whole
        ):
            raise DataError(
                f"the answer {answer!r} is empty or begins another answer of the same "
                "question, so they cannot be compared"
            )
    if start == 0:
        raise DataError("a prompt needs at least one token before its answers")
    return [Scored(tokens, start) for tokens in whole]


def _shared(a: Sequence[int], b: Sequence[int]) -> list[int]:
    """The tokens with which both begin."""
    n = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return list(a[:n])


class Tree(NamedTuple):
    """Sequences that share their beginnings; a node is a token after all of its ancestors."""

    token: Int[np.ndarray, " node"]
    depth: Int[np.ndarray, " node"]
    sees: Bool[np.ndarray, "node node"]
    """Which nodes a node attends to: its ancestors and itself."""
    paths: list[list[int]]
    """The nodes of each sequence."""


def tree(sequences: Sequence[Sequence[int]]) -> Tree:
    """The tree of these sequences of tokens, each distinct beginning one node."""
    known: dict[tuple[int, int], int] = {}
    token: list[int] = []
    parent: list[int] = []
    paths = []
    for sequence in sequences:
        current, path = -1, []
        for t in sequence:
            if (current, t) not in known:
                known[current, t] = len(token)
                token.append(t)
                parent.append(current)
            current = known[current, t]
            path.append(current)
        paths.append(path)
    sees, depth = np.eye(len(token), dtype=bool), np.zeros(len(token), np.int64)
    for node, above in enumerate(parent):  # a parent always comes before its children
        if above >= 0:
            sees[node] |= sees[above]
            depth[node] = depth[above] + 1
    return Tree(np.array(token, np.int64), depth, sees, paths)


class Streams(NamedTuple):
    """Where the tokens of answers are predicted: the residual stream that leaves the last block."""

    stream: Float[torch.Tensor, "place d"]
    place: Int[np.ndarray, " token"]
    """Where each token of an answer is predicted."""
    target: Int[np.ndarray, " token"]
    answer: Int[np.ndarray, " token"]
    """Which answer it is of, prompt by prompt."""
    shape: tuple[int, int]
    """(prompts, answers of each)."""

    @property
    def first(self) -> tuple[Int[np.ndarray, " asked"], Int[np.ndarray, "asked answer"]]:
        """(the place where a prompt's answers begin to differ, the token of each that differs)."""
        _, begin = np.unique(self.answer, return_index=True)
        begin = begin.reshape(self.shape)
        return self.place[begin[:, 0]], self.target[begin]


def read_streams(model: Pretrained, questions: Sequence[Asked]) -> Streams:
    """Run prompts with equally many answers in one pass, each behind what the model's texts begin
    with, up to the end of the last block.

    Raises: ModelError for a prompt longer than the model reads, DataError as `scored`.
    """

    def encode(text: str) -> list[int]:
        return [*model.folder.opening, *model.encode(text)]

    scored_answers = [scored(encode, question) for question in questions]
    flat = [s for answers in scored_answers for s in answers]
    most = int(model.model.config.max_position_embeddings)
    if (longest := max(len(s.tokens) for s in flat)) > most:
        raise ModelError(
            f"{model.name} reads at most {most} tokens, but a prompt with its answer has "
            f"{longest}; shorten the question"
        )
    prompt_tree = tree([s.tokens[:-1] for s in flat])  # the last token is only predicted
    read = [
        (i, path[k - 1], s.tokens[k])
        for i, (s, path) in enumerate(zip(flat, prompt_tree.paths, strict=True))
        for k in range(s.start, len(s.tokens))
    ]
    answer, node, target = (np.array(x) for x in zip(*read, strict=True))
    nodes, place = np.unique(node, return_inverse=True)
    read_by = _last_stream if _is_shared(model, prompt_tree) else _streams_apart
    stream = read_by(model, prompt_tree)[torch.from_numpy(nodes).to(model.device)]
    return Streams(stream, place, target, answer, (len(questions), len(flat) // len(questions)))


def answer_logprobs(
    model: Pretrained, questions: Sequence[Asked]
) -> Float[np.ndarray, "asked answer"]:
    """log P(answer | prompt) summed over the answer's tokens, in nats, of prompts with equally many
    answers; one pass for all of them.

    Raises: as `read_streams`.
    """
    return streams_logprobs(model, read_streams(model, questions))


def streams_logprobs(model: Pretrained, streams: Streams) -> Float[np.ndarray, "asked answer"]:
    """log P(answer | prompt) from streams that were read, in nats."""
    with torch.no_grad():
        logs = model.head(model.final_norm(streams.stream)).float().log_softmax(-1)
    weights = logs[streams.place, torch.from_numpy(streams.target)].double().cpu().numpy()
    return np.bincount(streams.answer, weights=weights).reshape(streams.shape)


def _is_shared(model: Pretrained, prompt_tree: Tree) -> bool:
    """Whether a node of the tree comes out as it would in a text of its own: whether all texts fit
    into every window, and the model turns positions of all lengths alike."""
    config, longest = model.model.config, int(prompt_tree.depth.max()) + 1
    tokens = {"sliding_window": longest, "attention_chunk_size": longest}
    tokens["window_size"] = len(prompt_tree.token)  # GPT-Neo counts what stands between in the pass
    for name, count in tokens.items():
        if isinstance(size := getattr(config, name, None), int) and size < count:
            return False
    regimes = {model.regime(n + 1) for n in range(longest)}
    return "z" in model.folder.architecture.sites and len(regimes) == 1


def _streams_apart(model: Pretrained, prompt_tree: Tree) -> Float[torch.Tensor, "node d"]:
    """What leaves the last block at every node of a tree, each sequence run by itself; also its
    beginnings, where the model is another for them."""
    site = Site("resid_post", model.layers - 1)
    parts = [
        path[:length]
        for path in prompt_tree.paths
        for length in {model.regime(n + 1): n + 1 for n in range(len(path))}.values()
    ]
    sequences = [prompt_tree.token[part].tolist() for part in parts]
    traces = run_many(model, sequences, capture=[site], logits=False)
    stream = torch.empty(len(prompt_tree.token), model.width(site), device=model.device)
    for part, (trace,) in zip(parts, traces, strict=True):
        own = [n for n in range(len(part)) if model.regime(n + 1) == model.regime(len(part))]
        stream[[part[n] for n in own]] = trace.acts[site][0, own].float()
    return stream.to(getattr(torch, model.dtype))


def _last_stream(model: Pretrained, prompt_tree: Tree) -> Float[torch.Tensor, "node d"]:
    """What leaves the last block at every node of a tree."""
    dtype, device = getattr(torch, model.dtype), model.device
    mask = torch.zeros(prompt_tree.sees.shape, dtype=dtype, device=device).masked_fill(
        ~torch.from_numpy(prompt_tree.sees).to(device), torch.finfo(dtype).min
    )
    final: list[torch.Tensor] = []
    hook = model.final_norm.register_forward_pre_hook(lambda _, args: final.append(args[0]))
    try:
        with torch.no_grad():
            model.model.base_model(
                input_ids=torch.from_numpy(prompt_tree.token)[None].to(device),
                position_ids=torch.from_numpy(prompt_tree.depth)[None].to(device),
                attention_mask=mask[None, None],
                use_cache=False,
            )
    finally:
        hook.remove()
    return final[0][0]


def restricted(logprobs: Float[np.ndarray, "*any answer"]) -> Float[np.ndarray, "*any answer"]:
    """Probabilities of the answers, given that one of them is what is said.

    Formula: exp(ℓ_i) / Σ_j exp(ℓ_j)
    """
    shifted = np.exp(logprobs - logprobs.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def mass(logprobs: Float[np.ndarray, "*any answer"]) -> Float[np.ndarray, "*any"]:
    """The probability that any of the answers is said at all, between 0 and 1."""
    return np.exp(logprobs).sum(-1)


def more_likely(p: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """1 where an answer of two is the likelier one, 0 where it is the less likely, ½ at a tie."""
    return np.where(p == 0.5, 0.5, (p > 0.5).astype(float))
