"""Several workers on one machine: processors, accelerators, and the end of all at the failure of one."""

import os

import pytest

from neocarbs_jax.command_line import slots


@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_slots_share_the_processors(number):
    shares = [slots.processors_of(slot, number) for slot in range(number)]
    usable = os.sched_getaffinity(0)
    assert all(share and set(share) <= usable for share in shares)
    if number <= len(usable):
        assert len({processor for share in shares for processor in share}) == sum(map(len, shares))


@pytest.fixture
def programs(monkeypatch, tmp_path):
    """Run a Python text in each slot, in place of a worker; return the exit code and what each wrote."""

    def run(text, number, **options):
        script = tmp_path / "worker.py"
        script.write_text(
            f"import os, sys, time\nout = open(r'{tmp_path}/' + os.environ['NEOCARBS_SLOT'], 'w')\n{text}"
        )
        monkeypatch.setattr(slots, "MODULE", (str(script),))
        code = slots.run([], number, **options)
        return code, [(tmp_path / str(slot)).read_text() for slot in range(number)]

    return run


def test_accelerators_are_shared_in_turns(programs):
    text = "out.write(os.environ['CUDA_VISIBLE_DEVICES'])"
    assert programs(text, 3, devices=("4", "5")) == (0, ["4", "5", "4"])


def test_each_keeps_to_its_own_processors(programs):
    text = "time.sleep(0.5); out.write(str(sorted(os.sched_getaffinity(0))))"
    _, told = programs(text, 2, pin=True)
    assert told == [str(slots.processors_of(slot, 2)) for slot in range(2)]


@pytest.mark.slow
def test_the_failure_of_one_ends_all(programs):
    text = "time.sleep(0.2 if os.environ['NEOCARBS_SLOT'] == '1' else 60); sys.exit(7)"
    assert programs(text, 2)[0] == 7
