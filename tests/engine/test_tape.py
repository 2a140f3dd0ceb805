"""The tape and the walk back over it."""

import gc
import threading
import weakref

import numpy as np
import pytest

from engine import OPS, Op, ShapeError, Tensor, backward_steps, no_grad
from engine import functional as F
from engine.onnx_spec import Refused


def leaf(*values):
    return Tensor(np.array(values, float), requires_grad=True)


def test_a_chain_of_ten_thousand_ops_is_walked_and_freed():
    x = leaf(1.0)
    y = x
    for _ in range(10_000):
        y = y + 1.0
    y.backward()
    assert x.grad.tolist() == [1.0]
    assert y.item() == 10_001.0
    del y  # freed without a stack overflow


def test_a_second_backward_gives_the_same_gradients_again():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (F.sigmoid(x * w) * x).sum()
    y.backward()
    first = x.grad.copy(), w.grad.copy()
    x.grad = w.grad = None
    y.backward()
    np.testing.assert_array_equal(x.grad, first[0])
    np.testing.assert_array_equal(w.grad, first[1])


def test_gradients_of_two_backwards_add_up():
    x = leaf(2.0)
    y = x * x
    y.backward()
    y.backward()
    assert x.grad.tolist() == [8.0]


def test_what_is_used_twice_gets_both_gradients():
    x = leaf(3.0)
    h = x * 2.0
    (h * h + h).backward()
    assert x.grad.tolist() == [2.0 * (2 * 6.0 + 1)]


def test_a_diamond_is_walked_once_a_result():
    x = leaf(1.0)
    for _ in range(40):  # 2**40 paths, 80 results
        x_next = x + x
        x = x_next
    steps = list(backward_steps(x))
    assert len(steps) == 40


def test_intermediate_results_keep_no_gradient():
    x = leaf(1.0)
    h = x * 2.0
    h.sum().backward()
    assert h.grad is None
    assert x.grad is not None


def test_one_gradient_shared_by_two_leaves_is_not_one_array():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (a + b).sum().backward()
    a.grad += 100.0
    assert b.grad.tolist() == [1.0, 1.0]


def test_the_given_gradient_is_not_a_leafs_own():
    x, g = leaf(1.0, 2.0), np.array([5.0, 6.0])
    F.reshape(x, (2,)).backward(g)
    x.grad += 1.0
    assert g.tolist() == [5.0, 6.0]


def test_a_gradient_spread_from_one_number_is_an_array_of_its_own():
    x = leaf(1.0, 2.0, 3.0)
    F.broadcast_to(x, (2, 3)).sum().backward()
    x.grad += 1.0
    assert x.grad.tolist() == [3.0, 3.0, 3.0]


def test_a_leafs_gradient_lies_in_memory_as_the_leaf_does():
    rng = np.random.default_rng(0)
    for x in (rng.standard_normal((8, 32, 8, 8)), rng.standard_normal((8, 8, 8, 32)).transpose(0, 3, 1, 2)):
        images = Tensor(x.astype(np.float32), requires_grad=True)
        filters = Tensor(rng.standard_normal((16, 32, 3, 3)).astype(np.float32), requires_grad=True)
        y = F.conv2d(images, filters, padding=1)
        y.backward(np.ones(y.shape, np.float32))
        if images.data.flags.c_contiguous:
            assert images.grad.flags.c_contiguous
        assert filters.grad.flags.c_contiguous
        assert y.contiguous().data.flags.c_contiguous
        np.testing.assert_array_equal(y.contiguous().data, y.data)


def test_nothing_is_recorded_inside_no_grad():
    x = leaf(1.0)
    with no_grad():
        y = x * 2.0
        with no_grad():
            pass
        z = y + x
    assert y.node is None
    assert not z.requires_grad
    assert (x * 2.0).requires_grad
    with pytest.raises(ValueError, match="nothing to walk back"):
        y.backward()


def test_no_grad_ends_when_an_error_leaves_it():
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert (leaf(1.0) * 2.0).requires_grad


def test_no_grad_is_this_threads_own():
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((leaf(1.0) * 2.0).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_nothing_is_recorded_where_no_gradient_is_wanted():
    y = F.relu(np.ones(3)) * 2.0
    assert y.node is None


def test_steps_say_what_backward_does():
    x, w = leaf(1.0, -2.0), leaf(3.0, 4.0)
    y = F.relu(x * w).sum()
    steps = list(backward_steps(y))
    assert [s.op.name for s in steps] == ["sum", "relu", "mul"]
    assert [s.index for s in steps] == [0, 1, 2]
    assert steps[1].gradient.tolist() == [1.0, 1.0]
    assert steps[2].input_gradients[0].tolist() == [3.0, 0.0]
    assert steps[0].options["keepdims"] is False
    assert x.grad.tolist() == [3.0, 0.0]


def test_a_walk_left_half_way_changes_nothing():
    x = leaf(1.0)
    walk = backward_steps((x * 2.0) * 3.0)
    next(walk)
    walk.close()
    assert x.grad is None


def test_backward_needs_one_number_or_a_gradient_of_the_shape():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match="needs the gradient"):
        (x * 2.0).backward()
    with pytest.raises(ShapeError, match=r"\(3,\).*\(2,\)"):
        (x * 2.0).backward(np.ones(3))


def test_a_leaf_can_be_walked_back_from():
    x = leaf(1.0)
    x.backward()
    assert x.grad.tolist() == [1.0]


def test_only_leaves_that_require_it_get_a_gradient():
    x, fixed = leaf(1.0), Tensor(np.array([2.0]))
    (x * fixed).backward()
    assert fixed.grad is None


def test_detach_cuts_the_tape():
    x = leaf(2.0)
    (x * x.detach()).backward()
    assert x.grad.tolist() == [2.0]


def test_integers_have_no_gradient():
    with pytest.raises(ValueError, match="floating-point"):
        Tensor(np.array([1]), requires_grad=True)


def test_comparisons_are_recorded_without_a_gradient():
    x = leaf(-1.0, 2.0)
    positive = x > 0.0
    assert positive.node.op is OPS["gt"]
    assert not positive.requires_grad
    F.where(positive, x, 0.1 * x).sum().backward()
    assert x.grad.tolist() == [0.1, 1.0]


def test_the_tape_is_freed_with_its_result():
    x = leaf(1.0)
    y = (x * 2.0) * 3.0
    middle = weakref.ref(y.node.inputs[0])
    gc.disable()
    try:
        del y
        assert middle() is None  # by counting references, without the cycle collector
    finally:
        gc.enable()


def test_a_tensor_meets_arrays_and_numbers_on_either_side():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for y in (2.0 * x, x * 2.0, np.array([2.0, 2.0], np.float32) * x, x * np.array([2.0, 2.0], np.float32), 2 * x):
        assert isinstance(y, Tensor)
        assert y.dtype == np.float32
        assert y.data.tolist() == [2.0, 4.0]
    assert (1 - x).data.tolist() == [0.0, -1.0]
    assert (2 / x).data.tolist() == [2.0, 1.0]
    assert (2**x).data.tolist() == [2.0, 4.0]
    assert (np.array([[1.0, 1.0]], np.float32) @ x).data.tolist() == [3.0]


def test_numpys_functions_are_refused_instead_of_leaving_the_tape():
    with pytest.raises(TypeError):
        np.exp(leaf(1.0))


def test_python_numbers_and_lists_become_float32():
    assert Tensor([1.0, 2.0]).dtype == np.float32
    assert Tensor(np.array([1.0])).dtype == np.float64
    assert (Tensor(np.array([1, 2])) * 0.5).dtype.kind == "f"
    assert (Tensor(np.array([1, 2])) / 2).dtype == np.float32
    assert float(Tensor([2.5])) == 2.5


def test_indexing_with_tensors_and_numbers():
    x = leaf(1.0, 2.0, 3.0)
    (x[Tensor(np.array([0, 0]))].sum() + x[-1] * 5.0 + x[x > 1.5].sum()).backward()
    assert x.grad.tolist() == [2.0, 1.0, 6.0]
    assert [float(v.item()) for v in x] == [1.0, 2.0, 3.0]


def test_a_way_back_that_gives_too_few_gradients_is_named():
    two = Op(lambda x, y: (x + y, lambda g: (g,)), Refused("only for this test"), selective=False)
    with pytest.raises(ValueError, match="2 inputs, but its way back gives 1 gradients"):
        two(leaf(1.0), leaf(2.0)).backward()


def test_a_wrong_shape_is_named():
    with pytest.raises(ShapeError, match=r"\(2,\) and \(3,\)"):
        leaf(1.0, 2.0) + leaf(1.0, 2.0, 3.0)
    with pytest.raises(ShapeError, match=r"\(2,\) and \(3,\)"):
        leaf(1.0, 2.0) @ leaf(1.0, 2.0, 3.0)
