"""Backbones by name: classes of `transformers`, built from a configuration or loaded with weights; one of our own, for
which weights come as a package; timm where asked.

Whatever the backbone, what comes out is tokens: B × N × C, places of the picture in reading order, with `prefix`
tokens that are no places (class tokens) before them.
"""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from hierlandmarks.errors import MissingDataError, UsageError
from hierlandmarks.params import nearest
from hierlandmarks_benchmark.efficientnet import BLOCKS, WIDTH, EfficientNetLite0, read_weights
from hierlandmarks_benchmark.recipe import ModelParams

# backbone -> its configuration and class in transformers, and how many tokens are no places
FAMILIES = {
    "resnet": ("ResNetConfig", "ResNetModel", 0),
    "vit": ("ViTConfig", "ViTModel", 1),
    "deit": ("DeiTConfig", "DeiTModel", 2),
    "dinov2": ("Dinov2Config", "Dinov2Model", 1),
    "clip": ("CLIPVisionConfig", "CLIPVisionModel", 1),
}
LITE = "efficientnet-lite0"
TIMM = "timm:"
_BOOKKEEPING = {"transformers_version", "model_type", "architectures", "dtype", "_name_or_path", "return_dict"}


class Backbone(nn.Module):
    """Pictures, normalised, B × 3 × S × S → tokens B × N × C.

    Attributes:
        width: C, the length of a token.
        prefix: tokens before the places.
        config: where it differs from the class's defaults, enough to build the same backbone without its weights.
    """

    width: int
    prefix: int
    config: dict[str, Any]


def build_backbone(params: ModelParams, size: int, *, pretrained: bool) -> Backbone:
    """The backbone a recipe names.

    Args:
        params: `backbone`, `config` and `weights` are read.
        size: side of the pictures in pixels; becomes the configuration's image_size where it has one.
        pretrained: whether to load `params.weights` where it names any; False leaves them random.

    Raises:
        UsageError: unknown backbone or configuration key (the nearest is named), a configuration that does not
            fit, or weights of another architecture.
        MissingDataError: weights or timm are not there.
    """
    if params.backbone.startswith(TIMM):
        return _Timm(params, pretrained=pretrained)
    if params.backbone == LITE:
        return _Lite(params, pretrained=pretrained)
    if params.backbone not in FAMILIES:
        advice = nearest(params.backbone, [*FAMILIES, LITE, f"{TIMM}NAME"])
        raise UsageError("model.backbone is unknown", got=repr(params.backbone), do=advice)
    return _Transformers(params, size, pretrained=pretrained)


class _Transformers(Backbone):
    def __init__(self, params: ModelParams, size: int, *, pretrained: bool) -> None:
        super().__init__()
        import transformers

        config_name, class_name, self.prefix = FAMILIES[params.backbone]
        config_class, model_class = getattr(transformers, config_name), getattr(transformers, class_name)
        known = set(config_class().to_dict()) - _BOOKKEEPING
        for key in params.config:
            if key not in known:
                raise UsageError(f"model.config has an unknown key {key!r}", do=nearest(str(key), known))
        # Not every backbone that pools has a pooler; where there is one it is not used, and would get no gradient.
        extra = {"add_pooling_layer": False} if params.backbone in ("vit", "deit") else {}
        if params.weights and pretrained:
            self.inner = _load(model_class, config_class, params, extra)
        else:
            sized = {"image_size": size} if "image_size" in known and not params.weights else {}
            try:
                self.inner = model_class(config_class(**{**sized, **params.config}), **extra)
            except Exception as error:  # transformers has many ways to refuse a configuration
                got = " ".join(str(error).split())
                raise UsageError("model.config does not make a backbone", got=got, do="correct it") from error
        config: Any = self.inner.config
        self.config = {key: value for key, value in config.to_diff_dict().items() if key in known}
        self.width = int(getattr(config, "hidden_size", 0) or config.hidden_sizes[-1])
        self._image_size = getattr(config, "image_size", None) if params.backbone in ("vit", "deit", "clip") else None
        # CLIP's own last norm lies in its pooler, which sees only the class token.
        names = (name for name, _ in self.inner.named_modules() if name.endswith("post_layernorm"))
        self._last_norm = next(names, "")

    def forward(self, pictures: Tensor) -> Tensor:
        other = self._image_size is not None and pictures.shape[-1] != self._image_size
        found = self.inner(pictures, **({"interpolate_pos_encoding": True} if other else {})).last_hidden_state
        tokens = _as_tokens(found)
        return cast(Tensor, self.inner.get_submodule(self._last_norm)(tokens)) if self._last_norm else tokens


class _Timm(Backbone):
    def __init__(self, params: ModelParams, *, pretrained: bool) -> None:
        super().__init__()
        try:
            import timm
        except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that does not match torch
            raise MissingDataError(
                f"{params.backbone} needs timm, which does not import",
                got=str(error),
                do="pip install hierlandmarks[timm] beside a matching torchvision, or use a backbone of transformers",
            ) from error
        name = params.backbone.removeprefix(TIMM)
        if not timm.is_model(name):
            raise UsageError("model.backbone is unknown to timm", got=name, do=nearest(name, timm.list_models()))
        self.inner = timm.create_model(
            name, pretrained=pretrained and bool(params.weights), num_classes=0, **params.config
        )
        self.width, self.config = int(self.inner.num_features), dict(params.config)
        self.prefix = int(getattr(self.inner, "num_prefix_tokens", 0))

    def forward(self, pictures: Tensor) -> Tensor:
        return _as_tokens(self.inner.forward_features(pictures))


class _Lite(Backbone):
    def __init__(self, params: ModelParams, *, pretrained: bool) -> None:
        super().__init__()
        for key in params.config:
            if key != "frozen":
                raise UsageError(f"model.config has an unknown key {key!r}", do=nearest(str(key), ["frozen"]))
        frozen = params.config.get("frozen", 0)
        if not isinstance(frozen, int) or not 0 <= frozen <= BLOCKS:
            raise UsageError("model.config.frozen is out of range", got=frozen, expected=f"0 to {BLOCKS} blocks")
        self.inner, self.width, self.prefix = EfficientNetLite0(frozen), WIDTH, 0
        self.config = dict(params.config)
        if params.weights and pretrained:
            tensors = read_weights(params.weights)
            try:
                self.inner.load_state_dict(tensors)
            except RuntimeError as error:
                got = " ".join(str(error).split())[:200]
                raise UsageError(f"the weights are not those of {LITE}", got=got, do="name theirs") from error

    def forward(self, pictures: Tensor) -> Tensor:
        return _as_tokens(self.inner(pictures))


def _load(model_class: Any, config_class: Any, params: ModelParams, extra: dict[str, Any]) -> nn.Module:
    try:
        config = config_class.from_pretrained(params.weights, **params.config)
        model, report = model_class.from_pretrained(params.weights, config=config, output_loading_info=True, **extra)
    except OSError as error:
        raise MissingDataError(
            f"there are no weights {params.weights!r}",
            got=str(error).splitlines()[0],
            do="give a folder, connect to the model hub once, or leave model.weights empty to start from random ones",
        ) from error
    if report["missing_keys"] or report.get("mismatched_keys"):
        lacking = sorted(report["missing_keys"]) or sorted(report["mismatched_keys"])
        raise UsageError(
            f"the weights {params.weights!r} are not those of a {params.backbone}",
            got=f"no fitting {lacking[0]} (and {len(lacking) - 1} more)",
            do="name the backbone they belong to",
        )
    return cast(nn.Module, model)


def _as_tokens(features: Tensor) -> Tensor:
    """B × C × h × w maps become B × hw × C; tokens stay."""
    return features.flatten(2).transpose(1, 2) if features.ndim == 4 else features
