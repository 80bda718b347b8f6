"""How likely a language model finds whole answers: log-probabilities of every token of each, all
prompts of a question in one pass.

Prompts that begin alike share those tokens: together they are a tree, each of whose nodes attends
to its ancestors alone, so each beginning is computed once and comes out as it would by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.errors import DataError, ModelError
from assay.core.heavy import torch
from assay.subjects.decoder import Params, forward
from assay.subjects.pretrained import Pretrained

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

    token: Int[np.ndarray, "node"]
    depth: Int[np.ndarray, "node"]
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


def answer_logprobs(
    model: Pretrained, questions: Sequence[Asked]
) -> Float[np.ndarray, "asked answer"]:
    """log P(answer | prompt) summed over the answer's tokens, in nats, of prompts with equally many
    answers; one pass for all of them.

    Raises: ModelError for a prompt longer than the model reads, DataError as `scored`.
    """
    scored_answers = [scored(model.encode, prompt_tree) for prompt_tree in questions]
    flat = [s for answers in scored_answers for s in answers]
    most = int(model.model.config.max_position_embeddings)
    if (longest := max(len(s.tokens) for s in flat)) > most:
        raise ModelError(
            f"{model.name} reads at most {most} tokens, a prompt with its answer has "
            f"{longest}; shorten the question"
        )
    prompt_tree = tree([s.tokens[:-1] for s in flat])  # the last token is only predicted
    read = [
        (i, path[k - 1], s.tokens[k])
        for i, (s, path) in enumerate(zip(flat, prompt_tree.paths, strict=True))
        for k in range(s.start, len(s.tokens))
    ]
    answer, node, target = (np.array(x) for x in zip(*read, strict=True))
    places, back = np.unique(node, return_inverse=True)
    logs = (
        _log_softmax(model, prompt_tree, places)[back, torch.from_numpy(target)]
        .double()
        .cpu()
        .numpy()
    )
    total = np.bincount(answer, weights=logs, minlength=len(flat))
    return total.reshape(len(questions), -1)


def _log_softmax(
    model: Pretrained, prompt_tree: Tree, places: Int[np.ndarray, "place"]
) -> Float[torch.Tensor, "place v"]:
    """Next-token log-probabilities at some nodes of a tree."""
    dtype, device = getattr(torch, model.dtype), model.device
    mask = torch.zeros(prompt_tree.sees.shape, dtype=dtype, device=device).masked_fill(
        ~torch.from_numpy(prompt_tree.sees).to(device), torch.finfo(dtype).min
    )
    with torch.no_grad():
        final = model.model.base_model(
            input_ids=torch.from_numpy(prompt_tree.token)[None].to(device),
            position_ids=torch.from_numpy(prompt_tree.depth)[None].to(device),
            attention_mask=mask[None, None],
            use_cache=False,
        ).last_hidden_state[0, torch.from_numpy(places).to(device)]
        return model.head(final).float().log_softmax(-1)


def small_answer_logprobs(
    params: Params, encode: Encode, questions: Sequence[Asked], pad: int, rows: int = 256
) -> Float[np.ndarray, "run asked answer"]:
    """log P(answer | prompt) by small transformers with a run axis, in nats, whose context is
    filled up with `pad` before a prompt.

    Raises: DataError for a prompt longer than the context, or as `scored`.
    """

    flat = [s for question in questions for s in scored(encode, question)]
    context = params["W_pos"].shape[1]
    if (longest := max(len(s.tokens) for s in flat)) - 1 > context:
        raise DataError(
            f"a prompt with its answer has {longest} tokens; this model reads {context} and "
            "writes one more"
        )
    total = np.zeros((len(params["W_E"]), len(flat)))
    for a in range(0, len(flat), rows):
        part = flat[a : a + rows]
        tokens = torch.tensor([[pad] * (context - len(s.tokens) + 1) + s.tokens[:-1] for s in part])
        deepest = max(len(s.tokens) - s.start for s in part)
        with torch.no_grad():
            logs = forward(params, tokens)[0][:, :, -deepest:].log_softmax(-1).double().cpu()
        for i, s in enumerate(part):
            for k, target in enumerate(reversed(s.tokens[s.start :]), 1):
                total[:, a + i] += logs[:, i, -k, target].numpy()
    return total.reshape(len(total), len(questions), -1)


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
