"""What `kuai.NAME` is, for every NAME: importing this fills the package.

It happens with the first use of a name; and with the first block that runs, so that what stands
above core has registered itself (`core/registry.py`).
"""

import sys as _sys
from typing import TYPE_CHECKING as _TYPE_CHECKING

from kuai import callbacks as callbacks
from kuai import data as data
from kuai import errors as errors
from kuai import init as init
from kuai import interop as interop
from kuai import losses as losses
from kuai import metrics as metrics
from kuai import nn as nn
from kuai import random as random
from kuai import show as show
from kuai.core.autograd import grad as grad
from kuai.core.autograd import value_and_grad as value_and_grad
from kuai.core.automatic import auto_hybridize as auto_hybridize
from kuai.core.binding import functional as functional
from kuai.core.block import Block as Block
from kuai.core.capture import capture as capture
from kuai.core.containers import replicate as replicate
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
from kuai.hybrid.memory import keep_memory as keep_memory
from kuai.random import seed as seed
from kuai.train.lr_finder import find_learning_rate as find_learning_rate
from kuai.train.trainer import Trainer as Trainer

if _TYPE_CHECKING:  # these come by themselves, for not every program uses them
    from kuai import models as models
    from kuai import testing as testing

_public = {name: value for name, value in globals().items() if not name.startswith("_")}
vars(_sys.modules["kuai"]).update(_public, __all__=sorted([*_public, "models", "testing"]))
