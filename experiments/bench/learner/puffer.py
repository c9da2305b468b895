"""The peer of `throughput`: PufferLib 3.0's own training, in an environment of its own.

    pip install pufferlib==3.0.0        # with PyTorch; from source, as its C environments have to be built
    taskset -c 0 python experiments/bench/learner/puffer.py pong --minibatch 16384
    taskset -c 0 python -m experiments.bench.learner.throughput --networks "mlp 128x1 shared"

One core, 1024 environments, segments of 64, one epoch, Adam, policy `Default` without recurrence. Prints the median of
environment steps per CPU second and per second over ten updates, after four. Imports nothing of this project.
"""

import argparse
import os
import statistics
import sys
import time

NUM_ENVS, SEGMENT_LENGTH, NUM_WARM, NUM_TIMED = 1024, 64, 4, 10


def parse() -> argparse.Namespace:
    """The command line, taken from PufferLib, which reads it too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("env", choices=["pong", "breakout"])
    parser.add_argument("--width", type=int, default=128, help="of the hidden layer")
    parser.add_argument("--minibatch", type=int, default=16384, help="samples of a gradient step")
    args = parser.parse_args()
    sys.argv = sys.argv[:1]
    return args


def main() -> None:
    """Train and print."""
    args = parse()
    import torch  # pyright: ignore[reportMissingImports]
    from pufferlib import pufferl  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    name = f"puffer_{args.env}"
    settings = pufferl.load_config(name)
    settings["train"].update(
        device="cpu", optimizer="adam", minibatch_size=args.minibatch, bptt_horizon=SEGMENT_LENGTH, update_epochs=1,
        total_timesteps=10**9, checkpoint_interval=10**9, env=name, use_rnn=False,
    )  # fmt: skip
    settings["vec"] = {"backend": "Serial", "num_envs": 1}
    settings["env"]["num_envs"] = NUM_ENVS
    settings["rnn_name"], settings["policy"] = None, {"hidden_size": args.width}
    pufferl.PuffeRL.print_dashboard = lambda *_, **__: None
    env = pufferl.load_env(name, settings)
    trainer = pufferl.PuffeRL(settings["train"], env, pufferl.load_policy(settings, env))
    rates = []
    for update in range(NUM_WARM + NUM_TIMED):
        wall, cpu, steps = time.perf_counter(), time.process_time(), trainer.global_step
        trainer.evaluate()
        trainer.train()
        if update >= NUM_WARM:
            steps = trainer.global_step - steps
            rates.append((steps / (time.process_time() - cpu), steps / (time.perf_counter() - wall)))
    per_cpu, per_wall = (statistics.median(rate) for rate in zip(*rates, strict=True))
    sys.stdout.write(f"{name}, torch {torch.__version__}: {per_cpu:.0f} steps / cpu s, {per_wall:.0f} steps / s\n")
    sys.stdout.flush()
    os._exit(0)  # its monitoring thread does not end by itself


if __name__ == "__main__":
    main()
