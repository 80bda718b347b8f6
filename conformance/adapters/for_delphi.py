"""delphi's adapter: the key under which embeddings of examples are cached."""

import torch
from delphi.latents.constructors import create_token_key
from protocol import serve


def data_keys(a, b):
    """create_token_key of both."""
    return {
        "differ": create_token_key(torch.tensor(a), len(a[0]))
        != create_token_key(torch.tensor(b), len(b[0]))
    }


OPERATIONS = {"data_keys": data_keys}

if __name__ == "__main__":
    serve("delphi", "eai-delphi", OPERATIONS)
