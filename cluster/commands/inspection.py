"""`inspect`: what an architecture costs, part by part, or how large a space is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from search_spaces.errors import SpecError, nearest
from search_spaces.spec import Spec, first_hole

DEFAULT_INPUT = (3, 224, 224)
DEFAULT_OUTPUTS = 1000
NAS_RL_CHILDREN = 12_800
"""Children of the search whose schedule of layers is shown; Zoph & Le, 2017, section 4.1."""


def inspect(arch: str, input_text: str | None, outputs: int | None, as_json: bool, draw: str | None) -> int:
    """Prints what an architecture costs and what is left of it deployed; as JSON each part of it, too.

    Of a space, named or written down, it prints how many candidates it has.

    Args:
        arch: A reference name, a JSON file, the name of a space, or a space as a search file writes it.
        input_text: `CxHxW`; None: the reference's own.
        outputs: Number of classes; None: the reference's own.
        as_json: Print JSON.
        draw: File to draw it into.

    Raises:
        SpecError: Something is unknown or cannot be built.
    """
    from search_spaces.reference import KEEP, names, resolve

    template = _template(arch)
    if template is not None and arch not in names():
        if draw is not None:
            raise SpecError("a space has no picture", arch, "a reference architecture, or a JSON file", "--draw")
        return _shown(arch, {"name": arch, **_space(template)}, as_json)
    try:
        found = resolve(arch)
    except SpecError as error:
        raise _with_spaces(error, arch) from None
    shape = _shape(input_text) if input_text is not None else found.input_shape or DEFAULT_INPUT
    count = outputs if outputs is not None else found.outputs or DEFAULT_OUTPUTS
    figures = {"name": arch, **_costs(found.architecture, shape, count), "input": list(shape), "outputs": count}
    if draw is not None:
        _draw(found.architecture, shape, count, draw)
    if as_json:
        figures["nodes"] = _nodes(found.architecture, shape, count)
        if arch in KEEP:
            figures["keep_probabilities"] = _keep(found.architecture, shape, count, KEEP[arch])
        if template is not None:
            figures["space"] = _space(template)
    return _shown(arch, figures, as_json)


def _template(arch: str) -> Any:
    """The template of the space that a text names or writes down; None: it does neither."""
    from cluster.searchfile import mapping
    from search_spaces.build import Architecture
    from search_spaces.template import presets, template

    if arch.lstrip().startswith("{"):
        data = mapping(arch)
        return template(data, Architecture if {"preset", "kind"} & data.keys() else None)
    return presets()[arch]() if arch in presets() else None


def _space(template: Any) -> dict[str, Any]:
    """Candidates of a space and of each spec in it, isomorphic ones counted apart; None: it has numbers without end."""
    from controllers.rl.reinforce import ReinforceConfig
    from search_spaces.domains import First
    from search_spaces.space import Space

    space = Space(template)
    figures: dict[str, Any] = {"cardinality": space.cardinality(), "decisions": len(space.points())}
    fields = (
        {name: getattr(template, name) for name in type(template).model_fields} if isinstance(template, Spec) else {}
    )
    inner = {name: part for name, part in fields.items() if isinstance(part, Spec) and first_hole(part) is not None}
    if inner:
        figures["parts"] = {name: Space(part).cardinality() for name, part in inner.items()}
    if any(isinstance(point.domain, First) for point in space.points()):
        config = ReinforceConfig(grow_start=6)
        starts = range(0, NAS_RL_CHILDREN, config.grow_every)
        figures["layer_schedule"] = {str(sampled): (config.depths(sampled) or (0, 0))[1] for sampled in starts}
    return figures


def _costs(architecture: Any, shape: tuple[int, ...], outputs: int) -> dict[str, Any]:
    from search_spaces.cost import trained_and_deployed, uncounted

    price, params, macs = trained_and_deployed(architecture, shape, outputs)
    figures = {"params": price.params, "macs": price.macs, "activation_bytes": price.activation_bytes}
    figures |= {"deployed_params": params, "deployed_macs": macs}
    auxiliary, statistics = uncounted(architecture, shape, outputs)
    return figures | {"auxiliary_params": auxiliary, "norm_statistics": statistics}


def _nodes(architecture: Any, shape: tuple[int, ...], outputs: int) -> list[dict[str, Any]]:
    """Name, shape and parameters of each part that has a picture of its own."""
    nodes = architecture.graph(shape, outputs).nodes
    return [{"name": n.name, "kind": n.kind, "shape": list(n.shape), "params": n.params} for n in nodes]


def _keep(architecture: Any, shape: tuple[int, ...], outputs: int, keep: float) -> list[float]:
    """Probabilities that a path is kept at the end of training, one a depth, the first layer first."""
    import torch

    from search_spaces.networks.layers import DropPath

    with torch.device("meta"):
        network = architecture.build(shape, outputs)
    depths = sorted({module.depth for module in network.modules() if isinstance(module, DropPath)})
    return [round(1.0 - depth * (1.0 - keep), 9) for depth in depths]


def _with_spaces(error: SpecError, arch: str) -> SpecError:
    """The refusal of an unknown name, with the nearest space where none of the references is near."""
    from search_spaces.template import presets

    close = nearest(arch, presets()) if "did you mean" not in error.rule and error.has_got else None
    return (
        error
        if close is None
        else SpecError(f"{error.rule}, did you mean the space {close!r}?", error.got, error.allowed, error.path)
    )


def _shown(arch: str, figures: dict[str, Any], as_json: bool) -> int:
    if as_json:
        print(json.dumps(figures))
        return 0
    if "cardinality" in figures:
        print(f"{arch}: a space of {_many(figures['cardinality'])} candidates, {figures['decisions']} decisions")
        for name, count in figures.get("parts", {}).items():
            print(f"  {name:<16}  {_many(count)}")
        return 0
    print(f"{arch}: input {'x'.join(map(str, figures['input']))}, {figures['outputs']} outputs")
    print(f"  parameters        {figures['params']:,}; deployed {figures['deployed_params']:,}")
    if figures["auxiliary_params"]:
        print(f"  auxiliary head    {figures['auxiliary_params']:,} more parameters while it trains")
    print(f"  multiply-adds     {figures['macs']:,}; deployed {figures['deployed_macs']:,}")
    print(f"  activation bytes  {figures['activation_bytes']:,}")
    return 0


def _many(count: int | None) -> str:
    return "endlessly many" if count is None else f"{count:,}"


def _shape(text: str) -> tuple[int, ...]:
    parts = text.lower().split("x")
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise SpecError("must be a shape", text, "CxHxW, such as 3x224x224", "--input")
    return tuple(int(part) for part in parts)


def _draw(architecture: Any, shape: tuple[int, ...], outputs: int, file: str) -> None:
    from search_spaces.drawing import draw

    path = Path(file)
    if path.suffix.lower() not in (".svg", ".png"):
        raise SpecError("a picture is SVG or PNG", file, "a name that ends in .svg or .png", "--draw")
    try:
        draw(architecture, shape, outputs, path)
    except OSError as error:
        raise SpecError(f"cannot be written ({error.strerror})", file, path="--draw") from None
