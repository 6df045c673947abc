"""Typical wrong answers to the exercises of chapter 02, and what their check must say."""

MISTAKES = {
    1: [
        (
            """
def split(rows):
    histories = {}
    for user, item, _ in rows:
        histories.setdefault(user, []).append(item)
    return {user: (items[:-2], items[-2], items[-1]) for user, items in histories.items()}
""",
            "order of the file",
        ),
        (
            """
def split(rows):
    histories = {}
    for user, item, _ in sorted(rows, key=lambda row: (row[2], row[1])):
        histories.setdefault(user, []).append(item)
    return {user: (items[:-2], items[-2], items[-1]) for user, items in histories.items()}
""",
            "broke ties",
        ),
        (
            """
def split(rows):
    histories = {}
    for user, item, _ in sorted(rows, key=lambda row: row[2]):
        histories.setdefault(user, []).append(item)
    return {user: (items[:-1], items[-2], items[-1]) for user, items in histories.items()}
""",
            "still holds the validation item",
        ),
    ],
    2: [
        ("def masked_share(lengths, mask_ratio):\n    return mask_ratio\n", "last item is always masked"),
        (
            "def masked_share(lengths, mask_ratio):\n    return mask_ratio + 1 / np.mean(lengths)\n",
            "counted the last item twice",
        ),
        (
            "def masked_share(lengths, mask_ratio):\n"
            "    return np.mean((1 + mask_ratio * (np.asarray(lengths) - 1)) / np.asarray(lengths))\n",
            "averaged the shares",
        ),
    ],
    3: [
        (
            """
def clean_starts(data, user, length):
    starts, ends = data.offsets[:-1], data.history_ends("train")
    return np.concatenate([np.arange(b, e - length + 1) for b, e in zip(starts, ends, strict=True)])
""",
            "must be foreign",
        ),
        (
            """
def clean_starts(data, user, length):
    starts, ends = data.offsets[:-1], data.history_ends("train")
    return np.concatenate([np.arange(starts[u], ends[u] - length) for u in range(data.num_users) if u != user])
""",
            "lose the last run",
        ),
        (
            """
def clean_starts(data, user, length):
    starts, ends = data.offsets[:-1], data.offsets[1:]
    return np.concatenate([np.arange(starts[u], ends[u] - length + 1) for u in range(data.num_users) if u != user])
""",
            "held-out",
        ),
        (
            """
def clean_starts(data, user, length):
    return np.arange(data.num_interactions - length + 1)
""",
            "by hand",
        ),
    ],
    4: [
        (
            """
def expected_draws(data, epochs, max_length=50):
    seen, targets = data.seen_in_training(), data.targets("test")
    expected = np.zeros(data.num_users)
    for user in range(data.num_users):
        own = data.history(user, "train")
        if seen[targets[user]] and targets[user] not in own:
            expected[user] = epochs * min(len(own) - 1, max_length) / seen.sum()
    return expected
""",
            "user's own items",
        ),
        (
            """
def expected_draws(data, epochs, max_length=50):
    seen, targets = data.seen_in_training(), data.targets("test")
    expected = np.zeros(data.num_users)
    for user in range(data.num_users):
        own = data.history(user, "train")
        if seen[targets[user]] and targets[user] not in own:
            expected[user] = epochs * (len(own) - 1) / (seen.sum() - len(np.unique(own)))
    return expected
""",
            "cut to max_length",
        ),
        (
            """
def expected_draws(data, epochs, max_length=50):
    seen = data.seen_in_training()
    own = [data.history(user, "train") for user in range(data.num_users)]
    return np.array([epochs * min(len(o) - 1, max_length) / (seen.sum() - len(np.unique(o))) for o in own])
""",
            "never be drawn",
        ),
        (
            """
def expected_draws(data, epochs, max_length=50):
    seen, targets = data.seen_in_training(), data.targets("test")
    expected = np.zeros(data.num_users)
    for user in range(data.num_users):
        own = data.history(user, "train")
        if seen[targets[user]] and targets[user] not in own:
            expected[user] = epochs * min(len(own), max_length) / (seen.sum() - len(np.unique(own)))
    return expected
""",
            "one target too many",
        ),
    ],
}
