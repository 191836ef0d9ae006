"""Judging what was measured: is it as it was on the nights before?"""
