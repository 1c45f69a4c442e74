"""What attention and transformer layers compute, in float64 NumPy, from the formulas."""

from __future__ import annotations

import math

import numpy as np

from tests.oracles import dense, gelu_tanh, layer_norm


def split(x, heads):
    return x.reshape(*x.shape[:2], heads, -1)


def causal(time):
    return np.tril(np.ones((time, time), bool))


def attended(q, k, v, mask=None, bias=0.0):
    """Row by row, so that nothing is shared with a batched product; no key: zeros."""
    batch, time, heads, width = q.shape
    share = heads // k.shape[2]
    scores = np.zeros((batch, heads, time, k.shape[1])) + bias
    allowed = np.broadcast_to(True if mask is None else mask, scores.shape)
    y = np.zeros(q.shape)
    for b, h, i in np.ndindex(batch, heads, time):
        keys, values = k[b, :, h // share], v[b, :, h // share]
        row = (scores[b, h, i] + keys @ q[b, i, h] / math.sqrt(width))[allowed[b, h, i]]
        powers = np.exp(row - row.max(initial=-np.inf))
        if len(row):
            y[b, i, h] = powers / powers.sum() @ values[allowed[b, h, i]]
    return y


def attention(a, x, context=None, *, at="", heads=2, key_heads=None, turn=None, **masks):
    context = x if context is None else context
    q = split(dense(a, x, f"{at}query."), heads)
    k, v = (
        split(dense(a, context, f"{at}{name}."), key_heads or heads) for name in ("key", "value")
    )
    if turn is not None:
        q, k = turn(q), turn(k)
    y = attended(q, k, v, **masks)
    return dense(a, y.reshape(*y.shape[:2], -1), f"{at}output.")


def rotary(x, base=10000.0, *, interleaved=False, features=None, scaling=None, positions=None):
    """Each pair as a complex number, turned by a complex number."""
    width = features or x.shape[-1]
    speeds = base ** (-np.arange(0, width, 2) / width)
    speeds = speeds if scaling is None else scaling(speeds)
    positions = np.arange(x.shape[1])[None] if positions is None else np.asarray(positions)
    turns = np.exp(1j * positions[..., None] * speeds)[:, :, None]
    y = x.copy()
    if interleaved:
        a, b = slice(0, width, 2), slice(1, width, 2)
    else:
        a, b = slice(0, width // 2), slice(width // 2, width)
    turned = (x[..., a] + 1j * x[..., b]) * turns
    y[..., a], y[..., b] = turned.real, turned.imag
    return y


def llama3(speeds, factor, low, high, length):
    """As the published code writes it: wavelengths, and three cases."""
    found = []
    for speed in speeds:
        wavelength = 2 * math.pi / speed
        if wavelength < length / high:
            found.append(speed)
        elif wavelength > length / low:
            found.append(speed / factor)
        else:
            smooth = (length / wavelength - low) / (high - low)
            found.append((1 - smooth) * speed / factor + smooth * speed)
    return np.array(found)


def sinusoids(x):
    y = x.copy()
    for position, feature in np.ndindex(x.shape[1:]):
        speed = 10000.0 ** (-(feature - feature % 2) / x.shape[2])
        wave = math.cos if feature % 2 else math.sin
        y[:, position, feature] += wave(position * speed)
    return y


def feed_forward(a, x, at="", activation=gelu_tanh):
    hidden = dense(a, x, f"{at}up.")
    if f"{at}gate.weight" in a:
        hidden = activation(dense(a, x, f"{at}gate.")) * hidden
    else:
        hidden = activation(hidden)
    return dense(a, hidden, f"{at}down.")


def norm(a, x, at):
    own = {path.removeprefix(at): array for path, array in a.items() if path.startswith(at)}
    return layer_norm(own, x)


def relu(x):
    return np.maximum(x, 0)


def encoder_layer(a, x, at="", *, norm_first=False, activation=relu, **options):
    def attend(y):
        return attention(a, y, at=f"{at}attention.", **options)

    def feed(y):
        return feed_forward(a, y, f"{at}feed_forward.", activation)

    for block, name in ((attend, "attention_norm."), (feed, "feed_forward_norm.")):
        x = x + block(norm(a, x, at + name)) if norm_first else norm(a, x + block(x), at + name)
    return x


def decoder_layer(a, x, memory, at="", **masks):
    y = attention(a, x, at=f"{at}attention.", mask=causal(x.shape[1]))
    x = norm(a, x + y, f"{at}attention_norm.")
    y = attention(a, x, memory, at=f"{at}cross_attention.", **masks)
    x = norm(a, x + y, f"{at}cross_attention_norm.")
    y = feed_forward(a, x, f"{at}feed_forward.", relu)
    return norm(a, x + y, f"{at}feed_forward_norm.")
