"""Comparisons: methods x seeds at one budget in one run, and the table that one can believe."""
