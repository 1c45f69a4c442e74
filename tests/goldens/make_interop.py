"""Make tests/goldens/interop/SYSTEM with the real systems: weights, and outputs for a given input.

    python tests/goldens/make_interop.py torch|keras|tensorflow|paddle|gluon

The interpreter must have that system: torch 2.13.0; keras 3.15.1 on jax 0.10.2, with h5py 3.16.0;
tensorflow-cpu 2.21.0; paddlepaddle 3.3.1; mxnet 1.9.1, which needs Python 3.8 and numpy < 1.24.
The weights are random but even (multiples of 1/64 below 1), so that they differ in every place
and are exact in every float format. expected.npz holds, for each net, its input and output.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

OUT = Path(__file__).parent / "interop"
GENERATOR = np.random.RandomState(0)


def values(shape: Any) -> np.ndarray:
    return (GENERATOR.randint(-63, 64, size=tuple(shape)) / 64).astype(np.float32)


def positive(shape: Any) -> np.ndarray:
    return (GENERATOR.randint(16, 64, size=tuple(shape)) / 64).astype(np.float32)


INPUTS = {
    "mlp": values((2, 5)),
    "convbn": values((2, 6, 6, 3)),  # channels last; the channels-first systems get it transposed
    "lstm": values((2, 4, 3)),  # batch, time, features
    "transformer": values((2, 4, 8)),
}


def save_expected(folder: Path, outputs: dict[str, Any]) -> None:
    arrays = {f"{name}.input": INPUTS[name] for name in outputs}
    arrays.update({f"{name}.output": np.asarray(value) for name, value in outputs.items()})
    np.savez(folder / "expected.npz", **arrays)  # type: ignore[arg-type]


def make_torch(folder: Path) -> None:
    import torch
    from torch import nn

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.layer(x)

    nets = {
        "mlp": nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)),
        "convbn": nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(144, 2),
        ),
        "lstm": nn.LSTM(3, 4, batch_first=True),
        "transformer": Encoder(),
    }
    outputs = {}
    for name, net in nets.items():
        net.eval()
        for key, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.tensor((positive if "var" in key else values)(tensor.shape)))
        x = torch.tensor(INPUTS[name])
        found = net(x.permute(0, 3, 1, 2) if x.ndim == 4 else x)
        outputs[name] = (found[0] if name == "lstm" else found).detach().numpy()
        torch.save(net.state_dict(), folder / f"{name}.pt")
    save_expected(folder, outputs)
    mlp = nets["mlp"].state_dict()
    torch.save(mlp, folder / "mlp_legacy.pt", _use_new_zipfile_serialization=False)
    optimizer = torch.optim.Adam(nets["mlp"].parameters())
    nets["mlp"](torch.tensor(INPUTS["mlp"])).sum().backward()
    optimizer.step()
    nested = {"epoch": 3, "state_dict": mlp, "optimizer": optimizer.state_dict(), "args": ["a"]}
    torch.save(nested, folder / "checkpoint.pt")
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    views = {
        "base": base,
        "tied": base,
        "column": base[:, 1],
        "transposed": base.t(),
        "row": base[1:2],
        "expanded": base[:, :1].expand(3, 4),
        "scalar": base[2, 3],
        "empty": base[:0],
    }
    torch.save(views, folder / "views.pt")
    torch.save(views, folder / "views_legacy.pt", _use_new_zipfile_serialization=False)
    kinds = "bfloat16 float16 float64 float8_e4m3fn float8_e5m2 int8 int64 uint16 bool complex64"
    numbers = torch.arange(6).reshape(2, 3)
    torch.save({k: numbers.to(getattr(torch, k)) for k in kinds.split()}, folder / "dtypes.pt")


def make_keras(folder: Path) -> None:
    os.environ["KERAS_BACKEND"] = "jax"
    import keras
    from keras import layers

    def transformer() -> Any:
        x = inputs = keras.Input((4, 8))
        attended = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
        x = layers.LayerNormalization(name="first_norm")(x + attended)
        hidden = layers.Dense(8)(layers.Dense(16, activation="relu", name="wide")(x))
        return keras.Model(inputs, layers.LayerNormalization()(x + hidden))

    dense = layers.Dense
    nets = {
        "mlp": keras.Sequential([keras.Input((5,)), dense(7, activation="relu"), dense(3)]),
        "convbn": keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                layers.Conv2D(4, 3, padding="same"),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Flatten(),
                dense(2, name="head"),
            ]
        ),
        "lstm": keras.Sequential([keras.Input((4, 3)), layers.LSTM(4, return_sequences=True)]),
        "transformer": transformer(),
    }
    outputs = {}
    for name, net in nets.items():
        for weight in net.weights:
            weight.assign((positive if "variance" in weight.path else values)(weight.shape))
        outputs[name] = np.asarray(net(INPUTS[name]))
        net.save(folder / f"{name}.keras")
        net.save_weights(folder / f"{name}.weights.h5")
        by_path = {weight.path: np.asarray(weight) for weight in net.weights}
        np.savez(folder / f"{name}.npz", **{k.replace("/", "|"): v for k, v in by_path.items()})  # type: ignore[arg-type]
    save_expected(folder, outputs)
    nets["convbn"].save(folder / "convbn.h5")


def make_tensorflow(folder: Path) -> None:
    import tensorflow as tf

    class Dense(tf.Module):
        def __init__(self, inputs: int, units: int) -> None:
            super().__init__()
            self.kernel = tf.Variable(values((inputs, units)), name="kernel")
            self.bias = tf.Variable(values((units,)), name="bias")

    class Mlp(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [Dense(5, 7), Dense(7, 3)]
            self.scale = tf.Variable(tf.ones((), tf.bfloat16), name="scale")

        @tf.function(input_signature=[tf.TensorSpec((None, 5), tf.float32)])
        def __call__(self, x: Any) -> Any:
            first, second = self.layers
            hidden = tf.nn.relu(x @ first.kernel + first.bias)
            return hidden @ second.kernel + second.bias

    net = Mlp()
    save_expected(folder, {"mlp": net(tf.constant(INPUTS["mlp"])).numpy()})
    tf.train.Checkpoint(model=net).save(str(folder / "mlp" / "ckpt"))
    tf.saved_model.save(net, str(folder / "mlp_saved_model"))
    for program in (folder / "mlp_saved_model").glob("*.pb"):
        program.unlink()  # holds paths of this machine; the variables are what is read


def make_paddle(folder: Path) -> None:
    import paddle
    from paddle import nn

    nets = {
        "mlp": nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)),
        "convbn": nn.Sequential(
            nn.Conv2D(3, 4, 3, padding=1),
            nn.BatchNorm2D(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(144, 2),
        ),
        "lstm": nn.LSTM(3, 4),
        "transformer": nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0),
    }
    outputs = {}
    for name, net in nets.items():
        net.eval()
        for key, tensor in net.state_dict().items():
            tensor.set_value((positive if "variance" in key else values)(tensor.shape))
        x = paddle.to_tensor(INPUTS[name])
        found = net(x.transpose([0, 3, 1, 2]) if x.ndim == 4 else x)
        outputs[name] = (found[0] if name == "lstm" else found).numpy()
        paddle.save(net.state_dict(), str(folder / f"{name}.pdparams"))
    save_expected(folder, outputs)
    mlp = nets["mlp"]
    paddle.save(mlp.state_dict(), str(folder / "mlp_protocol2.pdparams"), protocol=2)
    half = {k: v.astype("bfloat16") for k, v in mlp.state_dict().items()}
    paddle.save(half, str(folder / "mlp_bfloat16.pdparams"))
    paddle.save({"net": mlp.state_dict(), "epoch": 3}, str(folder / "nested.pdparams"))
    spec = [paddle.static.InputSpec([None, 5], "float32")]
    paddle.jit.save(paddle.jit.to_static(mlp, input_spec=spec), str(folder / "mlp_program"))
    spec = [paddle.static.InputSpec([None, 4, 3], "float32")]
    lstm = paddle.jit.to_static(nets["lstm"], input_spec=spec)
    paddle.jit.save(lstm, str(folder / "lstm_program"))


def make_paddle_old(folder: Path) -> None:
    """The program format before Paddle 3: .pdmodel, a protobuf."""
    os.environ["FLAGS_enable_pir_api"] = "0"  # noqa: SIM112 - Paddle's own name
    import traceback

    import paddle
    from paddle import nn

    # Paddle would write this machine's paths.
    traceback.extract_stack = lambda *_, **__: []  # type: ignore[assignment]

    mlp = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))
    mlp.set_state_dict(paddle.load(str(folder.parent / "paddle" / "mlp.pdparams")))
    mlp.eval()
    spec = [paddle.static.InputSpec([None, 5], "float32")]
    paddle.jit.save(paddle.jit.to_static(mlp, input_spec=spec), str(folder / "mlp_program"))
    (folder / "mlp_program.pdiparams.info").unlink()


def make_gluon(folder: Path) -> None:
    import mxnet as mx
    from mxnet.gluon import nn, rnn

    def sequential(*blocks: Any) -> Any:
        net = nn.HybridSequential()
        for block in blocks:
            net.add(block)
        return net

    nets = {
        "mlp": sequential(nn.Dense(7, activation="relu"), nn.Dense(3)),
        "convbn": sequential(
            nn.Conv2D(4, 3, padding=1), nn.BatchNorm(), nn.Activation("relu"), nn.Dense(2)
        ),
        "lstm": rnn.LSTM(4, layout="NTC"),
    }
    outputs = {}
    for name, net in nets.items():
        net.initialize()
        x = mx.nd.array(INPUTS[name])
        x = x.transpose((0, 3, 1, 2)) if x.ndim == 4 else x
        net(x)
        for key, parameter in net.collect_params().items():
            parameter.set_data(mx.nd.array((positive if "var" in key else values)(parameter.shape)))
        outputs[name] = net(x).asnumpy()
        net.save_parameters(str(folder / f"{name}.params"))
    save_expected(folder, outputs)
    nets["convbn"].hybridize()
    nets["convbn"](mx.nd.array(INPUTS["convbn"]).transpose((0, 3, 1, 2)))
    nets["convbn"].export(str(folder / "convbn_export"))
    mx.nd.save(str(folder / "list.params"), [mx.nd.arange(3), mx.nd.arange(4).reshape((2, 2))])
    dense = mx.nd.array([[0, 1, 0], [0, 0, 0], [2, 0, 3]])
    sparse = {kind: dense.tostype(kind) for kind in ("default", "row_sparse", "csr")}
    mx.nd.save(str(folder / "sparse.params"), sparse)
    kinds = "float16 float64 int8 uint8 int32 int64"
    mx.nd.save(
        str(folder / "dtypes.params"),
        {kind: mx.nd.arange(6).reshape((2, 3)).astype(kind) for kind in kinds.split()},
    )
    with mx.util.np_shape(True):
        mx.nd.save(
            str(folder / "np_shape.params"),
            {"scalar": mx.np.array(2.5).as_nd_ndarray(), "empty": mx.nd.zeros((0, 3))},
        )


def main(system: str) -> None:
    folder = OUT / system
    folder.mkdir(parents=True, exist_ok=True)
    globals()["make_" + system](folder)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            print(path.relative_to(OUT), path.stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1])
