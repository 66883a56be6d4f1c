"""The layer of a tree cell against formulas written out, step by step."""

import pytest
import torch

from search_spaces.blocks.tree_cells import TreeCell, TreeNode, tree_cells
from search_spaces.cost import called_cost
from search_spaces.networks.tree_cells import ACTIVATE, COMBINE
from search_spaces.space import Space


def _run(cell: TreeCell, step) -> None:
    """Compare a layer with `step(a, b, c) -> h, c`, where a and b are the leaves' products with x_t and h_{t-1}."""
    layer = cell.build(5, 7)
    x, state = torch.randn(3, 6, 5), (torch.randn(3, 7), torch.randn(3, 7))
    for h, c in (state, (torch.zeros(3, 7), torch.zeros(3, 7))):
        found, (last_h, last_c) = layer(x, (h, c))
        for t in range(6):
            a = [x[:, t] @ weight.T for weight in layer.weight_input.split(7)]
            b = [h @ weight.T for weight in layer.weight_hidden.split(7)]
            h, c = step(a, b, c)
            assert torch.allclose(found[:, t], h, atol=1e-6)
        assert torch.allclose(last_h, h, atol=1e-6) and torch.allclose(last_c, c, atol=1e-6)
    assert torch.equal(found, layer(x, None)[0])


def test_the_example_of_base_2():
    # Paper, section 3.4: node 0 tanh(W1 x + W2 h), node 1 relu((W3 x) * (W4 h)), node 2 a sigmoid of their product.
    nodes = (
        TreeNode(combination="add", activation="tanh"),
        TreeNode(combination="elem_mult", activation="relu"),
        TreeNode(combination="elem_mult", activation="sigmoid"),
    )
    cell = TreeCell(nodes=nodes, inject=TreeNode(combination="add", activation="relu"), memory=1, injected=0)

    def step(a, b, c):
        first = torch.relu(torch.tanh(a[0] + b[0]) + c)
        memory = a[1] * b[1]
        return torch.sigmoid(first * torch.relu(memory)), memory

    _run(cell, step)


def test_the_cell_that_was_found_on_the_penn_treebank():
    def step(a, b, c):
        sigmoid, relu, tanh = torch.sigmoid, torch.relu, torch.tanh
        l0, l1, l2 = sigmoid(a[0] + b[0]), relu(a[1] + b[1]), sigmoid(a[2] + b[2])
        l3, l4, l5 = relu(a[3] * b[3]), tanh(a[4] + b[4]), sigmoid(a[5] + b[5])
        l6, l7 = tanh(a[6] + b[6]), sigmoid(a[7] + b[7])
        m0, m1, m2, m3 = tanh(l0 * l1), tanh(l2 + l3), tanh(l4 * l5), sigmoid(l6 + l7)
        new_c = tanh(m0 + c) * m1
        return tanh(new_c * tanh(m2 + m3)), new_c

    _run(TreeCell(), step)


def test_the_injection_at_the_root_changes_the_output_and_memory_is_read_before_it():
    step_of = TreeNode(combination="elem_mult", activation="sigmoid")
    inject = TreeNode(combination="add", activation="sigmoid")
    cell = TreeCell(nodes=(step_of,), inject=inject, memory=0, injected=0)

    def step(a, b, c):
        return torch.sigmoid(torch.sigmoid(a[0] * b[0]) + c), a[0] * b[0]

    _run(cell, step)


def test_all_combinations_and_activations_are_those_of_the_specs():
    x, y = torch.tensor([-0.5, 2.0]), torch.tensor([0.25, 1.0])
    assert {name: f(x, y).tolist() for name, f in COMBINE.items()} == {
        "add": [-0.25, 3.0],
        "elem_mult": [-0.125, 2.0],
        "max": [0.25, 2.0],
    }
    assert torch.equal(ACTIVATE["sin"](x), torch.sin(x)) and torch.equal(ACTIVATE["identity"](x), x)
    domains = {point.role: set(point.domain.values()) for point in Space(tree_cells(2, control=True)).points()}
    assert domains["nodes/*/combination"] == set(COMBINE) and domains["nodes/*/activation"] == set(ACTIVATE)


@pytest.mark.parametrize(("inputs", "hidden"), [(5, 7), (12, 4)])
def test_parameters_and_multiply_adds(inputs, hidden):
    found = called_cost(lambda: TreeCell().build(inputs, hidden), lambda layer: layer(torch.zeros(2, 9, inputs), None))
    assert found.params == 8 * hidden * (inputs + hidden)
    assert found.macs == 2 * 9 * 8 * hidden * (inputs + hidden)


def test_names_of_weights():
    state = TreeCell().build(3, 4).state_dict()
    assert {name: tuple(weight.shape) for name, weight in state.items()} == {
        "weight_input": (32, 3),
        "weight_hidden": (32, 4),
    }
    assert all(weight.abs().max() <= 0.5 and weight.std() > 0.2 for weight in state.values())
