"""The benchmark is fair: nobody inherits a handicap, everybody builds the same networks."""

import numpy as np
import pytest
import torch

from bench import of_engine, of_torch
from bench.bench_engine import GROWTH, WORK, Contestant, table, unhandicapped
from bench.shapes import NETWORKS, OPS
from engine import Tensor

HANDICAPS = {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_L2_SIZE": "1", "MKL_DEBUG_CPU_TYPE": "5",
             "ATEN_CPU_CAPABILITY": "default", "OMP_WAIT_POLICY": "active", "MALLOC_ARENA_MAX": "1"}


def test_contestants_do_not_inherit_what_slows_them_down_and_name_their_kernels(monkeypatch):
    for name, value in HANDICAPS.items():
        monkeypatch.setenv(name, value)
    contestant = Contestant("engine", 1)
    try:
        assert "openblas" in contestant.version or "BLAS" in contestant.version
        assert "Prescott" not in contestant.version
    finally:
        contestant.close()


def test_only_handicaps_are_left_out():
    assert unhandicapped({"PATH": "/bin", "HOME": "/root", **HANDICAPS}) == {"PATH": "/bin", "HOME": "/root"}


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_is_the_same_in_the_engine_and_in_torch(name):
    rows = NETWORKS[name]["layers"]
    ours = of_engine.sequence(rows, np.random.default_rng(0)).eval()
    theirs = of_torch.sequence(rows).eval()
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    x = np.random.default_rng(1).standard_normal((2, *NETWORKS[name]["input"][1:]), np.float32)
    with torch.no_grad():
        right = theirs(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ours(Tensor(x)).data, right, rtol=1e-3, atol=1e-4)


def test_every_workload_is_known_and_the_table_has_a_line_for_each():
    assert set(WORK) | set(GROWTH) == set(NETWORKS) | set(OPS)
    rows = [{"work": work, "threads": threads, "milliseconds": {"engine": 1.0, "torch": 2.0}, "ratio": {"torch": 0.5},
             "ratio_torch_by_process": [0.5], "versions": []} for work in WORK for threads in (1, 2, 3)]
    lines = table(rows, [], []).splitlines()
    for row in rows:
        assert any(line.startswith(f"| {row['work']} | {row['threads']} |") for line in lines)
