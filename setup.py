"""Builds the C kernel at install; everything else stands in pyproject.toml."""

from setuptools import setup

setup(
    cffi_modules=["service/geoweir/spatial/kernel/build.py:ffi"],
    # The kernel uses the limited API: one wheel for every Python from 3.11 on.
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
