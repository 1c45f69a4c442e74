"""kuai: neural networks from Blocks, written as ordinary Python, run as one compiled program."""

import logging as _logging

from kuai import callbacks as callbacks
from kuai import data as data
from kuai import errors as errors
from kuai import hybrid as _hybrid_package  # registers how blocks are compiled
from kuai import init as init
from kuai import losses as losses
from kuai import metrics as metrics
from kuai import models as models
from kuai import nn as nn
from kuai import random as random
from kuai import show as show
from kuai import testing as testing
from kuai.core.autograd import grad as grad
from kuai.core.autograd import value_and_grad as value_and_grad
from kuai.core.binding import functional as functional
from kuai.core.block import Block as Block
from kuai.core.capture import capture as capture
from kuai.core.containers import replicate as replicate
from kuai.core.extensions import auto_hybridize as auto_hybridize
from kuai.core.modes import eager as eager
from kuai.core.modes import eval_mode as eval_mode
from kuai.core.modes import is_training as is_training
from kuai.core.modes import train_mode as train_mode
from kuai.core.parameter import Constant as Constant
from kuai.core.parameter import Parameter as Parameter
from kuai.core.parameter import State as State
from kuai.core.policy import Policy as Policy
from kuai.hybrid.bounds import bounded as bounded
from kuai.hybrid.disk import cache as cache
from kuai.hybrid.function import explain as explain
from kuai.hybrid.function import hybrid as hybrid
from kuai.random import seed as seed
from kuai.train.lr_finder import find_learning_rate as find_learning_rate
from kuai.train.trainer import Trainer as Trainer

_logging.getLogger(__name__).addHandler(_logging.NullHandler())  # silent unless a program asks
