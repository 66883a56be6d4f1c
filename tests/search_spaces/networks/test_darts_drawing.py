"""The nodes that the picture of a two-cell network consists of."""

from search_spaces.reference import reference


def test_sizes_and_parameters_of_an_imagenet_network():
    spec, shape, outputs = reference("darts-v2-imagenet")
    nodes = {node.name: node for node in spec.draw_graph(shape, outputs).nodes}
    assert nodes["stem"].shape == (48, 28, 28)
    assert nodes["cell 13"].shape == (768, 7, 7)
    assert nodes["cell 4 input 0"].shape[1:] == (28, 28)
    assert nodes["cell 4 node 2"].shape == (96, 14, 14)
    assert sum(node.params for node in nodes.values()) == 4_718_752
