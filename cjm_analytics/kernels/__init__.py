"""Compiled loops: arrays in, arrays out. Nothing here knows what a journey is for.

Import a kernel where it is first needed, inside the function that calls it: Numba takes its time to load.
"""
