"""Compiled loops: arrays in, arrays out. Nothing here knows what a journey is for.

`native` says how they are compiled and kept. Import a kernel where it is first needed, inside the function
that calls it.
"""
