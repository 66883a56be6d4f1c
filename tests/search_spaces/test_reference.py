"""References by name, by family prefix and from a file; everything else is refused."""

import json

import pytest

from search_spaces import reference as module
from search_spaces.architectures.chain import Chain, ConvLayer
from search_spaces.cost import cost
from search_spaces.errors import SpecError
from search_spaces.reference import Reference, names, reference, register, register_family, resolve


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(module, "_NAMED", dict(module._NAMED))
    monkeypatch.setattr(module, "_FAMILIES", dict(module._FAMILIES))


def test_chain_6_has_the_parameters_counted_by_hand():
    convolutions = (
        9 * 3 * 36 + 9 * 36 * 48 + 25 * (36 + 48) * 36 + 9 * (48 + 36) * 64 + 7 * 64 * 48 + 7 * (36 + 48) * 48
    )
    norms = 2 * (36 + 48 + 36 + 64 + 48 + 48)
    assert cost(*reference("chain-6")).params == convolutions + norms + 48 * 10 + 10 == 191_286


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("resnet18", 11_689_512),
        ("resnet50", 23_508_032 + 2_049_000),
        ("cr-resnet50", 39_820_352 + 2_049_000),
        ("resnet101", 42_500_160 + 2_049_000),
        ("cr-resnet101", 71_147_328 + 2_049_000),
    ],
)
def test_residual_networks_have_their_published_parameters(name, params):
    assert cost(*reference(name)).params == params


def test_the_recurrent_cell_of_nas_rl_has_eight_pairs_of_matrices_a_layer():
    layer, vocabulary = 8 * 1152 * (1152 + 1152), 10_000
    found = cost(*reference("nascell"))
    assert found.params == vocabulary * 1152 + vocabulary + 2 * layer == 53_997_328  # 54 million are published
    assert found.macs == 2 * layer + 1152 * vocabulary


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(SpecError, match=r"unknown reference architecture, did you mean 'chain-6'\?; got 'chain6'"):
        reference("chain6")
    with pytest.raises(SpecError, match="unknown reference architecture"):
        resolve("nothing:like-it")


def test_a_family_is_given_the_text_behind_its_prefix(registry):
    @register_family("widths")
    def make(text: str) -> Reference:
        return Reference(Chain(layers=tuple(ConvLayer(filters=int(n)) for n in text.split(":"))), (1, 8, 8), 2)

    assert [layer.filters for layer in reference("widths:3:5").architecture.layers] == [3, 5]
    assert resolve("widths:7").architecture.layers[0].filters == 7
    assert {"chain-6", "widths:..."} <= set(names())


def test_a_name_is_given_once(registry):
    for name in ("chain-6", "again"):
        decorate = register(name)
        if name == "again":
            decorate(lambda: Reference(Chain(layers=(ConvLayer(),))))
            with pytest.raises(ValueError, match="two reference architectures are called 'again'"):
                register_family(name)(lambda text: reference(text))
        else:
            with pytest.raises(ValueError, match="called 'chain-6'"):
                decorate(lambda: reference("again"))


def test_a_file_gives_its_architecture_without_input_and_outputs(tmp_path):
    path = tmp_path / "net.json"
    spec = reference("chain-6").architecture
    path.write_text(spec.to_json())
    assert resolve(path) == resolve(str(path)) == Reference(spec, None, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "is no JSON"),
        ('{"kind": "chian"}', "did you mean 'chain'"),
        ('{"kind": "chain", "layers": [{"heigth": 3}]}', "net.json/layers/0: unknown key 'heigth'"),
        (
            json.dumps({"kind": "chain", "layers": [{"filters": {"categorical": [1, 2]}}]}),
            "net.json/layers/0/filters: ",
        ),
    ],
    ids=["missing", "no-json", "kind", "key", "hole"],
)
def test_a_bad_file_is_refused_with_its_name(tmp_path, content, message):
    path = tmp_path / "net.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SpecError) as caught:
        resolve(path)
    assert str(path) in str(caught.value) and message in str(caught.value)
