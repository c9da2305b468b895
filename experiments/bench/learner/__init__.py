"""Benchmarks of the learner: learning curves, advantages against the truth, throughput."""
