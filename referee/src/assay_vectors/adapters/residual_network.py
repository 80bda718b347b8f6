"""The network of attribution vectors in torch: a stream, blocks that add to it, a readout; each
reader sees the stream through a module of its own, where libraries put their hooks."""

import torch


def rows(x):
    """Rows as a tensor."""
    return torch.tensor(x, dtype=torch.float64)


class Point(torch.nn.Module):
    """Passes on what it reads, as a tensor of its own."""

    def forward(self, x):
        """A copy."""
        return x.clone()


class Network(torch.nn.Module):
    """`embed` is what comes in, `mlp0` … what blocks add; `embed_to_mlp0` and so on what a reader
    sees of each."""

    def __init__(self, blocks, readout, point=Point):
        super().__init__()
        self.weights = [[rows(b[name]) for name in ("W_in", "b_in", "W_out")] for b in blocks]
        self.readout = rows(readout)
        self.writers = ["embed", *(f"mlp{i}" for i in range(len(blocks)))]
        readers = [*self.writers[1:], "logits"]
        self.edges = [(u, v) for i, v in enumerate(readers) for u in self.writers[: i + 1]]
        for name in (*self.writers, *(f"{u}_to_{v}" for u, v in self.edges)):
            setattr(self, name, point())

    def forward(self, x):
        """The number of each row."""
        wrote = {"embed": self.get_submodule("embed")(x)}
        for i, (w, b, out) in enumerate(self.weights):
            name = f"mlp{i}"
            wrote[name] = self.get_submodule(name)(torch.relu(self.seen(wrote, name) @ w + b) @ out)
        return self.seen(wrote, "logits") @ self.readout

    def seen(self, wrote, reader):
        """What a reader sees of all that was written before it."""
        return sum(self.get_submodule(f"{u}_to_{reader}")(x) for u, x in wrote.items())
