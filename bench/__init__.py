"""Measures Sallyport against its budgets: floor and product side by side, in one run.

No test asserts a time; `make bench` prints ratios, and a budget that is missed is a matter for a
profile and for the design.
"""
