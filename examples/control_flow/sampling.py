"""A small language model, and the loop that samples from it until it says that the word ends.

A net learns to guess the next letter of a month's name from the three before it. The sampler draws
letter after letter and leaves its loop at the end token: `while`, `break` and a random key for each
trip, in one program with the net inside.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

import kuai
from kuai import nn

# fmt: off
MONTHS = [
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
]
# fmt: on
LETTERS = "." + "abcdefghijklmnopqrstuvwxyz"  # the end token first
END, CONTEXT, LONGEST = 0, 3, 20


class Speller(kuai.Block):
    """The last letters (batch, CONTEXT) → logits of the next one (batch, letters)."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), 16)
        self.hidden = nn.Dense(64, activation="relu")
        self.out = nn.Dense(len(LETTERS))

    def forward(self, context):
        letters = self.embedding(context).reshape(context.shape[0], -1)
        return self.out(self.hidden(letters))


class Sampler(kuai.Block):
    """A word (LONGEST,) and its length, drawn from a speller.

    Args:
        speller: gives the logits.
    """

    def __init__(self, speller: Speller):
        super().__init__()
        self.speller = speller

    def forward(self, temperature):
        context = jnp.full(CONTEXT, END)
        word = jnp.full(LONGEST, END)
        length = 0
        while length < LONGEST:
            logits = self.speller(context[None])[0] / temperature
            letter = jax.random.categorical(kuai.random.key(), logits)
            if letter == END:
                break
            word = word.at[length].set(letter)
            context = jnp.append(context[1:], letter)
            length += 1
        return word, length


def letters_of(words: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Every place of every word: the letters before it (count, CONTEXT), and the letter there."""
    contexts, letters = [], []
    for word in words:
        numbers = [END] * CONTEXT + [LETTERS.index(letter) for letter in word] + [END]
        for place in range(CONTEXT, len(numbers)):
            contexts.append(numbers[place - CONTEXT : place])
            letters.append(numbers[place])
    return np.array(contexts, np.int32), np.array(letters, np.int32)


def drawn(sampler: Sampler, temperature: float) -> str:
    word, length = sampler(jnp.asarray(temperature))
    return "".join(LETTERS[letter] for letter in word.tolist()[: int(length)])


def main(epochs: int = 100, words: int = 100) -> list[str]:
    kuai.seed(0)
    speller = Speller()
    trainer = kuai.Trainer(speller, optax.adam(1e-2), kuai.losses.softmax_cross_entropy)
    trainer.fit(letters_of(MONTHS), epochs=epochs, batch_size=32, progress=False)
    sampler = Sampler(speller).hybridize()
    sample = [drawn(sampler, temperature=0.5) for _ in range(words)]
    print("drawn:", *sample[:12])
    print(f"months among {words} words: {sum(word in MONTHS for word in sample)}")
    print(f"different ones: {len(set(sample) & set(MONTHS))}")
    loop = next(part for part in sampler.explain().signatures[0].staged if part.kind == "while")
    print(f"the last word, {sample[-1]}: {loop}, and one before it")
    return sample


if __name__ == "__main__":
    main()
