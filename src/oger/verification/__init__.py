"""Outcome rewards: is the answer of a trajectory right?"""
