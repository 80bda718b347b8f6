"""The store contract, run on our store."""

from assay.lab.store.store import Store
from store_contract import check_store


def test_store(tmp_path):
    check_store(lambda: Store(tmp_path / "store"))
