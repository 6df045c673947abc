"""Typical wrong answers to the exercises of chapter 08, and what the check must say about them."""


def _shares(body: str) -> str:
    return f"def first_shares(columns, mean_length, masked_share, weights):\n{body}"


def _adam(loop: str) -> str:
    return (
        "def adam_moves(slopes, rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8):\n"
        "    m = v = 0.0\n    moves = []\n    for t, g in enumerate(slopes, start=1):\n"
        + loop
        + "    return np.array(moves)\n"
    )


_SHARES = (
    "    m = masked_share * mean_length\n"
    "    k = mean_length - m\n"
    "    x = np.array([{aap}, {mip}, {map}, 1.0])\n"
    "    x = x * np.array([weights[name] for name in NAMES])\n"
    "    return x / x.sum()\n"
)
_AVERAGES = "        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2\n"

MISTAKES = {
    1: [
        (_shares(_SHARES.format(aap="mean_length * columns", mip="m", map="m * columns")), "only at visible positions"),
        (_shares(_SHARES.format(aap="columns", mip="1", map="columns")), "averaged over positions"),
        (_shares(_SHARES.format(aap="k * columns", mip="m * columns", map="m * columns")), "one question a mask"),
        (_shares(_SHARES.format(aap="k", mip="m", map="m")), "one question for each column"),
        (
            _shares(
                "    m = masked_share * mean_length\n"
                "    x = np.array([(mean_length - m) * columns, m, m * columns, 1.0])\n"
                "    return x / x.sum()\n"
            ),
            "forgot the weights",
        ),
        (
            _shares(_SHARES.format(aap="k * columns", mip="m", map="m * columns").replace("x / x.sum()", "x")),
            "must sum to 1",
        ),
    ],
    2: [
        ("def equal_pull(gram):\n    w = 1 / np.diag(gram)\n    return w / w.sum()\n", "squared lengths"),
        ("def equal_pull(gram):\n    return 1 / np.sqrt(np.diag(gram))\n", "must sum to 1"),
        ("def equal_pull(gram):\n    w = np.sqrt(np.diag(gram))\n    return w / w.sum()\n", "a small weight"),
        ("def equal_pull(gram):\n    return np.full(4, 0.25)\n", "they should be equal"),
    ],
    3: [
        (_adam(_AVERAGES + "        moves.append(-rate * m / (math.sqrt(v) + epsilon))\n"), "too small at first"),
        (
            _adam(
                _AVERAGES + "        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)\n"
                "        moves.append(rate * m_hat / (math.sqrt(v_hat) + epsilon))\n"
            ),
            "a minus is missing",
        ),
        (
            _adam("        moves.append(-rate * g / (math.sqrt(g**2) + epsilon))\n"),
            "the later ones are not",
        ),
        (_adam("        moves.append(-rate * g)\n"), "first move should be 0.001 long"),
    ],
    4: [
        (
            "def weight_limit(gram, weights, raised, watched):\n"
            "    if gram[watched, raised] >= 0:\n        return math.inf\n"
            "    return max(0.0, gram[watched] @ weights / -gram[watched, raised])\n",
            "still in the sum",
        ),
        (
            "def weight_limit(gram, weights, raised, watched):\n"
            "    gram = gradients.cosines(gram)\n"
            "    if gram[watched, raised] >= 0:\n        return math.inf\n"
            "    rest = np.where(np.arange(4) == raised, 0, weights)\n"
            "    return max(0.0, gram[watched] @ rest / -gram[watched, raised])\n",
            "You used cosines",
        ),
        (
            "def weight_limit(gram, weights, raised, watched):\n"
            "    if gram[watched, raised] >= 0:\n        return math.inf\n"
            "    rest = np.where(np.arange(4) == raised, 0, weights)\n"
            "    return gram[watched] @ rest / -gram[watched, raised]\n",
            "cannot be negative",
        ),
        (
            "def weight_limit(gram, weights, raised, watched):\n"
            "    rest = np.where(np.arange(4) == raised, 0, weights)\n"
            "    return max(0.0, gram[watched] @ rest / -gram[watched, raised])\n",
            "return math.inf",
        ),
    ],
}
