"""Whole models, ready to train, each from its paper or original config."""

from __future__ import annotations

from kuai.models.bert import BERT as BERT
from kuai.models.convnext import ConvNeXt as ConvNeXt
from kuai.models.generation import LanguageModel as LanguageModel
from kuai.models.gpt2 import GPT2 as GPT2
from kuai.models.lenet import lenet as lenet
from kuai.models.llama import Llama as Llama
from kuai.models.lstm_lm import LSTMLanguageModel as LSTMLanguageModel
from kuai.models.mlp import mlp as mlp
from kuai.models.pretrained import from_pretrained as from_pretrained
from kuai.models.resnet import ResNet as ResNet
from kuai.models.resnet import resnet18 as resnet18
from kuai.models.resnet import resnet34 as resnet34
from kuai.models.resnet import resnet50 as resnet50
from kuai.models.resnet import resnet101 as resnet101
from kuai.models.resnet import resnet152 as resnet152
from kuai.models.unet import UNet as UNet
from kuai.models.vgg import vgg as vgg
from kuai.models.vgg import vgg11 as vgg11
from kuai.models.vgg import vgg13 as vgg13
from kuai.models.vgg import vgg16 as vgg16
from kuai.models.vgg import vgg19 as vgg19
from kuai.models.vit import ViT as ViT
