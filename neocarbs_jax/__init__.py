"""NeoCARBS: a cost-aware tuner that finds the Pareto front of score against cost."""
