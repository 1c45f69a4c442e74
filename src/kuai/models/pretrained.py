"""What users call; the rest is imported when they do, so that kuai starts fast."""

from __future__ import annotations

import os
from typing import Any

from kuai.core.block import Block


def from_pretrained(folder: str | os.PathLike[str], *, dtype: Any = None) -> Block:
    """Build a net from a folder in Hugging Face's layout, and load its weights.

    Args:
        folder: with config.json and model.safetensors, or model.safetensors.index.json and the
            shards that it names. `save_pretrained` of the library transformers writes one. The
            families gpt2, llama, bert, vit and resnet are known, with the heads GPT2LMHeadModel
            (whose arrays GPT2Model has too), LlamaForCausalLM, BertForMaskedLM, BertForPreTraining,
            BertForSequenceClassification, ViTForImageClassification, ResNetForImageClassification.
        dtype: of the parameters; default float32, whatever the file has.

    Returns:
        The net: `GPT2`, `Llama`, `BERT`, `ViT` or `ResNet`. Language models give logits of tokens,
        classifiers logits of classes; images have their channels last.

    Raises:
        ArgumentError: the model is of no known family, has another head or none, or an option
            that its net lacks; or a value in the config makes no sense.
        MissingFileError: the folder, its config, its weights or a shard is not there.
        FileFormatError: a file is damaged or of another format.
        CheckpointError: the arrays do not fit the net that the config describes; the message lists
            all that is missing, unexpected or of another shape.

    Example:
        >>> try:
        ...     kuai.models.from_pretrained("no/such/folder")
        ... except kuai.errors.MissingFileError as error:
        ...     print(error)
        from_pretrained: no/such/folder: no such folder; give one with config.json in it
    """
    from kuai.models.hugging_face import built

    return built(folder, dtype)
