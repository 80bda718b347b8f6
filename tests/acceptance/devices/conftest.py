"""These tests are collected only where they are named, and compute where `device_fixtures` says."""

from pathlib import Path

from device_fixtures import device, left_out, near

__all__ = ["device", "near"]


def pytest_ignore_collect(collection_path, config):
    return left_out(Path(__file__).parent, config)
