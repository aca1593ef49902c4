"""Composition: which constructs make up the three stacks, and the settings of each stage."""
