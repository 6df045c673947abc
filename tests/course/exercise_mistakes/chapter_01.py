"""Typical mistakes in the exercises of chapter 01, and a piece of the message that each must get."""

POPULARITY = """
def popularity_mi(sequences, attributes_of_item):
    counts = {{}}
    for sequence in sequences:
        for item in {items}:
            counts[item] = {count}
    total = sum(counts.values())
    joint = {{}}
    for item, count in counts.items():
        for a in attributes_of_item[item]:
            joint[item, a] = count {share}
    whole = sum(joint.values())
    joint = {{pair: p / whole for pair, p in joint.items()}}
    rows, columns = {{}}, {{}}
    for (item, a), p in joint.items():
        rows[item] = rows.get(item, 0) + p
        columns[a] = columns.get(a, 0) + p
    return sum(p * {log}(p / (rows[item] * columns[a])) for (item, a), p in joint.items())
"""
RIGHT = {
    "items": "sequence[:-2]",
    "count": "counts.get(item, 0) + 1",
    "share": "/ len(attributes_of_item[item])",
    "log": "math.log",
}

INFO_NCE = """
def drawn_info_nce(positive, negatives):
    candidates = torch.cat([positive[:, None], negatives], dim=1)
    return {result}
"""

OPTIMAL = """
def uniform_log_ratio(x, y, w):
    length = (y + w).clamp(max=1) - (y - w).clamp(min=0)
    near = (y[None, :] - x[:, None]).abs() <= w
    {result}
"""

MISTAKES = {
    1: [
        (POPULARITY.format(**RIGHT | {"items": "sequence"}), "held-out items"),
        (POPULARITY.format(**RIGHT | {"items": "sequence[:-1]"}), "held-out items"),
        (POPULARITY.format(**RIGHT | {"count": "1"}), "count occurrences"),
        (POPULARITY.format(**RIGHT | {"share": ""}), "divide by the number of attributes"),
        (POPULARITY.format(**RIGHT | {"log": "math.log2"}), "in bits"),
        (
            "def popularity_mi(sequences, attributes_of_item):\n    return float('nan')",
            "It is NaN",
        ),
    ],
    2: [
        (
            INFO_NCE.format(result="(positive - negatives.logsumexp(dim=1)).mean() + math.log(negatives.shape[1])"),
            "missing in the denominator",
        ),
        (
            INFO_NCE.format(result="(positive - candidates.logsumexp(dim=1)).mean() + math.log(negatives.shape[1])"),
            "K = N + 1",
        ),
        (INFO_NCE.format(result="(positive - candidates.logsumexp(dim=1)).mean()"), "log K is missing"),
        (INFO_NCE.format(result="(candidates.logsumexp(dim=1) - positive).mean()"), "to be maximised"),
        (
            INFO_NCE.format(
                result="(positive - candidates.exp().sum(dim=1).log()).mean() + math.log(candidates.shape[1])"
            ),
            "overflow",
        ),
    ],
    3: [
        ("def candidates_needed(nats, bounded=False):\n    return math.ceil(math.exp(nats))", "shows less than"),
        (
            "def candidates_needed(nats, bounded=False):\n    if bounded and nats >= 1:\n        return math.inf\n"
            "    k = (math.e - 1) / math.expm1(1 - nats) if bounded else math.exp(nats)\n    return math.floor(k)",
            "round up",
        ),
        (
            "def candidates_needed(nats, bounded=False):\n"
            "    k = abs((math.e - 1) / (math.exp(1 - nats) - 1 + 1e-9)) if bounded else math.exp(nats)\n"
            "    return math.ceil(k)",
            "below 1 nat for every K",
        ),
        (
            "def candidates_needed(nats, bounded=False):\n    if bounded and nats >= 1:\n        return math.inf\n"
            "    k = (math.e - 1) / math.expm1(1 - nats) if bounded else math.exp(nats)\n    return math.ceil(k) + 1",
            "not the smallest",
        ),
    ],
    4: [
        (OPTIMAL.format(result="return -torch.log(length)[None, :].expand(len(x), -1)"), "cannot occur"),
        (
            OPTIMAL.format(result="return (-torch.log(length)[None, :]).where(near, torch.tensor(-math.inf)).T"),
            "Rows and columns",
        ),
        (
            OPTIMAL.format(result="return torch.log(length)[None, :].where(near, torch.tensor(-math.inf))"),
            "The sign is wrong",
        ),
        (
            OPTIMAL.format(result="return torch.where(near, math.log((1 + 2 * w) / (2 * w)), -math.inf).double()"),
            "near the ends",
        ),
        (OPTIMAL.format(result="return -torch.log(length) + 0 * x"), "all pairs were asked for"),
    ],
}
