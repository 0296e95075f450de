"""Builds the C kernel at install; everything else stands in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["service/geoweir/spatial/kernel/build.py:ffi"])
