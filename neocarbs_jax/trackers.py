"""The short path to `neocarbs_jax.adapters.trackers`."""

from neocarbs_jax.adapters.trackers import CSV, MLflow, TensorBoard, Tracker, Trackio, WandB, all_of

__all__ = ["CSV", "MLflow", "TensorBoard", "Tracker", "Trackio", "WandB", "all_of"]
