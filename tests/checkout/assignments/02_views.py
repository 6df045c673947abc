"""Submissions for the assignment 02_views: what is wrong in each, and which test cells notice."""

WRONG = {
    "the history of the test lacks the validation item": (
        {
            "split": """
def history(sequence, split):
    return sequence[:-2]


def target(sequence, split):
    return sequence[-1] if split == "test" else sequence[-2]
"""
        },
        {"test_split", "test_split_hidden"},
    ),
    "off by one: the validation item is in the longest prefix": (
        {
            "prefixes": """
def list_prefixes(sequence, max_length=50):
    window = sequence[:-1][-max_length:]
    return [window[:end] for end in range(1, len(window) + 1)]
"""
        },
        {"test_prefixes", "test_prefixes_hidden"},
    ),
    "a sliding window instead of prefixes of one window": (
        {
            "prefixes": """
def list_prefixes(sequence, max_length=50):
    train = sequence[:-2]
    return [train[max(0, end - max_length) : end] for end in range(1, len(train) + 1)]
"""
        },
        {"test_prefixes", "test_prefixes_hidden"},
    ),
    "padding on the right": (
        {
            "padding": """
def pad_left(prefixes, length):
    return [list(p[-length:]) + [0] * (length - len(p)) for p in prefixes]
"""
        },
        {"test_padding", "test_padding_hidden"},
    ),
    "padding is masked, and the last item whatever mask_last says": (
        {
            "mask": """
def mask_items(items, mask_token, rng, mask_ratio=0.2, mask_last=True):
    hidden = rng.random(items.shape) < mask_ratio
    hidden[:, -1] = True
    return np.where(hidden, mask_token, items)
"""
        },
        {"test_mask", "test_mask_hidden"},
    ),
    "a fixed number of masks in each row instead of a coin for each item": (
        {
            "mask": """
def mask_items(items, mask_token, rng, mask_ratio=0.2, mask_last=True):
    masked = items.copy()
    for row in range(len(items)):
        real = np.flatnonzero(items[row])
        if mask_last:
            real = real[:-1]
            masked[row, -1] = mask_token
        count = int(mask_ratio * len(real) + rng.random())
        masked[row, rng.permutation(real)[:count]] = mask_token
    return masked
"""
        },
        {"test_mask_hidden"},
    ),
    "the mask token is drawn as a negative": (
        {
            "negatives": """
def draw_negatives(items, masked_items, histories, mask_token, rng):
    negatives = items.copy()
    for row, column in zip(*np.nonzero(masked_items == mask_token)):
        negative = items[row, column]
        while negative in histories[row]:
            negative = rng.integers(1, mask_token + 1)
        negatives[row, column] = negative
    return negatives
"""
        },
        {"test_negatives", "test_negatives_hidden"},
    ),
    "negatives avoid the prefix only, so they come from the history": (
        {
            "negatives": """
def draw_negatives(items, masked_items, histories, mask_token, rng):
    negatives = items.copy()
    for row, column in zip(*np.nonzero(masked_items == mask_token)):
        allowed = np.setdiff1d(np.arange(1, mask_token), items[row])
        negatives[row, column] = rng.choice(allowed)
    return negatives
"""
        },
        {"test_negatives", "test_negatives_hidden"},
    ),
    "one negative for all hidden places of a row": (
        {
            "negatives": """
def draw_negatives(items, masked_items, histories, mask_token, rng):
    negatives = items.copy()
    for row in range(len(items)):
        allowed = np.setdiff1d(np.arange(1, mask_token), histories[row])
        negatives[row, masked_items[row] == mask_token] = rng.choice(allowed)
    return negatives
"""
        },
        {"test_negatives_hidden"},
    ),
    "segments never end at the last item": (
        {
            "segment": """
def draw_segment(length, rng):
    if length == 1:
        return 0, 0
    size = rng.integers(1, length // 2 + 1)
    return rng.integers(0, length - size), size
"""
        },
        {"test_segment", "test_segment_hidden"},
    ),
    "all pairs of place and size equally likely; the foreign run always starts at the front": (
        {
            "segment": """
def draw_segment(length, rng):
    if length == 1:
        return 0, 0
    pairs = [(f, s) for s in range(1, length // 2 + 1) for f in range(length - s + 1)]
    return pairs[rng.integers(len(pairs))]
""",
            "views": """
def segment_views(items, first, size, foreign, mask_token, rng):
    context, positive, negative = items.copy(), items.copy(), items.copy()
    for row in range(len(items)):
        if size[row] == 0:
            continue
        begin = np.flatnonzero(items[row])[0]
        positive[row, begin:] = negative[row, begin:] = mask_token
        columns = begin + first[row] + np.arange(size[row])
        context[row, columns] = mask_token
        positive[row, columns] = items[row, columns]
        negative[row, columns] = foreign[row][: size[row]]
    return context, positive, negative
""",
        },
        {"test_segment_hidden", "test_views_hidden"},
    ),
    "the foreign run is placed elsewhere": (
        {
            "views": """
def segment_views(items, first, size, foreign, mask_token, rng):
    context, positive, negative = items.copy(), items.copy(), items.copy()
    for row in range(len(items)):
        if size[row] == 0:
            continue
        begin = np.flatnonzero(items[row])[0]
        positive[row, begin:] = negative[row, begin:] = mask_token
        columns = begin + first[row] + np.arange(size[row])
        context[row, columns] = mask_token
        positive[row, columns] = items[row, columns]
        start = rng.integers(len(foreign[row]) - size[row] + 1)
        there = begin + rng.integers(items.shape[1] - begin - size[row] + 1)
        there = begin if there == columns[0] else there
        negative[row, there : there + size[row]] = foreign[row][start : start + size[row]]
    return context, positive, negative
"""
        },
        {"test_views", "test_views_hidden"},
    ),
    "the foreign run has another length": (
        {
            "views": """
def segment_views(items, first, size, foreign, mask_token, rng):
    context, positive, negative = items.copy(), items.copy(), items.copy()
    for row in range(len(items)):
        if size[row] == 0:
            continue
        begin = np.flatnonzero(items[row])[0]
        positive[row, begin:] = negative[row, begin:] = mask_token
        columns = begin + first[row] + np.arange(size[row])
        context[row, columns] = mask_token
        positive[row, columns] = items[row, columns]
        other = rng.integers(1, size[row] + 1) if size[row] > 2 else 3 - size[row]
        run = foreign[row][: min(other, items.shape[1] - columns[0])]
        negative[row, columns[0] : columns[0] + len(run)] = run
    return context, positive, negative
"""
        },
        {"test_views", "test_views_hidden"},
    ),
    "places are counted as columns, and the padding is blanked": (
        {
            "views": """
def segment_views(items, first, size, foreign, mask_token, rng):
    context, positive, negative = items.copy(), items.copy(), items.copy()
    for row in range(len(items)):
        if size[row] == 0:
            continue
        positive[row] = negative[row] = mask_token
        columns = first[row] + np.arange(size[row])
        context[row, columns] = mask_token
        positive[row, columns] = items[row, columns]
        start = rng.integers(len(foreign[row]) - size[row] + 1)
        negative[row, columns] = foreign[row][start : start + size[row]]
    return context, positive, negative
"""
        },
        {"test_views", "test_views_hidden"},
    ),
    "answers copied from the visible tests": (
        {
            "split": """
def history(sequence, split):
    return [3, 7, 1, 9, 4, 6] if split == "test" else [3, 7, 1, 9, 4]


def target(sequence, split):
    return 2 if split == "test" else 6
""",
            "prefixes": """
def list_prefixes(sequence, max_length=50):
    return [[1], [1, 9], [1, 9, 4]]
""",
            "padding": """
def pad_left(prefixes, length):
    return [[0, 0, 3, 7], [0, 0, 0, 5], [8, 4, 6, 1]]
""",
            "mask": """
def mask_items(items, mask_token, rng, mask_ratio=0.2, mask_last=True):
    masked = items.copy()
    hidden = np.random.default_rng(0).random((900, 6)) < 0.3
    hidden[:, -1] |= mask_last
    masked[hidden & (items != 0)] = 10
    return masked
""",
            "negatives": """
def draw_negatives(items, masked_items, histories, mask_token, rng):
    negatives = items.copy()
    negatives[masked_items == 10] = np.resize([2, 5, 9, 7, 1, 6, 8, 3, 3, 7], 2000)
    return negatives
""",
            "segment": """
counter = 0


def draw_segment(length, rng):
    global counter
    counter += 1
    if length < 3:
        return (counter % 2, 1) if length == 2 else (0, 0)
    return (counter % 9, 1) if counter % 9 < 5 else (counter % 9 - 5, 2)
""",
            "views": """
def segment_views(items, first, size, foreign, mask_token, rng):
    single = [0, 0, 0, 0, 0, 4]
    return (
        np.array([[0, 0, 3, 10, 10, 9], [5, 2, 8, 10, 10, 10], single]),
        np.array([[0, 0, 10, 7, 1, 10], [10, 10, 10, 4, 6, 1], single]),
        np.array([[0, 0, 10, 5, 8, 10], [10, 10, 10, 9, 7, 3], single]),
    )
""",
        },
        {
            "test_split_hidden",
            "test_prefixes_hidden",
            "test_padding_hidden",
            "test_mask_hidden",
            "test_negatives_hidden",
            "test_segment_hidden",
            "test_views_hidden",
        },
    ),
    "calls s3rec_lite instead of implementing": (
        {
            "padding": """
from s3rec_lite.datasets import pad_left as ready


def pad_left(prefixes, length):
    ends = np.cumsum([len(p) for p in prefixes])
    starts = np.r_[0, ends[:-1]]
    return ready(np.concatenate([np.asarray(p) for p in prefixes]), starts, ends, length)
""",
            "prefixes": """
def list_prefixes(sequence, max_length=50):
    import s3rec_lite as s3
    import torch
    from s3rec_lite.views import list_prefixes as ready

    sequence = np.asarray(sequence, dtype=np.int64)
    attributes = torch.zeros(int(sequence.max()) + 2, 1, dtype=torch.bool)
    data = s3.SequenceData("one", sequence, np.array([0, len(sequence)]), attributes)
    found = ready(data, max_length)
    return [sequence[a:b] for a, b in zip(found.starts, found.ends)]
""",
        },
        {"test_padding", "test_padding_hidden", "test_prefixes", "test_prefixes_hidden"},
    ),
}

CORRECT = {
    "plain Python loops and lists": {
        "split": """
def history(sequence, split):
    held_out = {"train": 2, "valid": 2, "test": 1}[split]
    return [int(item) for item in sequence][: len(sequence) - held_out]


def target(sequence, split):
    return list(sequence)[len(history(sequence, split))]
""",
        "prefixes": """
def list_prefixes(sequence, max_length=50):
    train = len(sequence) - 2
    begin = max(0, train - max_length)
    answer, prefix = [], []
    for place in range(begin, train):
        prefix = [*prefix, int(sequence[place])]
        answer.append(prefix)
    return answer
""",
        "padding": """
def pad_left(prefixes, length):
    return [([0] * length + [int(item) for item in prefix])[-length:] for prefix in prefixes]
""",
        "mask": """
def mask_items(items, mask_token, rng, mask_ratio=0.2, mask_last=True):
    answer = []
    for row in items.tolist():
        masked = []
        for column, item in enumerate(row):
            forced = mask_last and column == len(row) - 1
            hide = item != 0 and (forced or rng.uniform() < mask_ratio)
            masked.append(mask_token if hide else item)
        answer.append(masked)
    return answer
""",
        "negatives": """
def draw_negatives(items, masked_items, histories, mask_token, rng):
    answer = []
    for row, masked, own in zip(items.tolist(), masked_items.tolist(), histories):
        own = set(own.tolist())
        for column, item in enumerate(masked):
            if item == mask_token:
                row[column] = int(rng.integers(1, mask_token))
                while row[column] in own:
                    row[column] = int(rng.integers(1, mask_token))
        answer.append(row)
    return answer
""",
        "segment": """
def draw_segment(length, rng):
    if length == 1:
        return (0, 0)
    size = 1 + int(rng.random() * (length // 2))
    return (int(rng.random() * (length - size + 1)), size)
""",
        "views": """
def segment_views(items, first, size, foreign, mask_token, rng):
    answer = [], [], []
    for row, f, s, other in zip(items.tolist(), first.tolist(), size.tolist(), foreign):
        prefix = [item for item in row if item]
        padding = [0] * (len(row) - len(prefix))
        if s == 0:
            views = prefix, prefix, prefix
        else:
            start = int(rng.integers(0, len(other) - s + 1))
            run = other.tolist()[start : start + s]
            before, after = [mask_token] * f, [mask_token] * (len(prefix) - f - s)
            views = (
                prefix[:f] + [mask_token] * s + prefix[f + s :],
                before + prefix[f : f + s] + after,
                before + run + after,
            )
        for rows, view in zip(answer, views):
            rows.append(padding + view)
    return answer
""",
    },
    "array operations, with tensors returned": {
        "split": """
import torch


def history(sequence, split):
    return torch.as_tensor(sequence)[: -1 if split == "test" else -2]


def target(sequence, split):
    return torch.as_tensor(sequence)[-1 - (split == "valid")]
""",
        "prefixes": """
def list_prefixes(sequence, max_length=50):
    sequence = np.asarray(sequence)
    end = len(sequence) - 2
    begin = max(end - max_length, 0)
    return tuple(torch.as_tensor(sequence[begin:stop]) for stop in range(begin + 1, end + 1))
""",
        "padding": """
def pad_left(prefixes, length):
    return torch.stack(
        [
            torch.nn.functional.pad(torch.as_tensor(p)[-length:], (max(length - len(p), 0), 0))
            for p in prefixes
        ]
    )
""",
        "mask": """
def mask_items(items, mask_token, rng, mask_ratio=0.2, mask_last=True):
    items = torch.as_tensor(items)
    chance = torch.full(items.shape, float(mask_ratio))
    chance[:, -1] = 1.0 if mask_last else mask_ratio
    chance[items == 0] = 0
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    return items.masked_fill(torch.bernoulli(chance, generator=generator).bool(), mask_token)
""",
        "negatives": """
def draw_negatives(items, masked_items, histories, mask_token, rng):
    weights = np.ones((len(items), mask_token))
    weights[:, 0] = 0
    for row, own in enumerate(histories):
        weights[row, own] = 0
    edges = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    edges[:, -1] = np.where(weights[:, -1] > 0, 1, edges[:, -1])
    chance = rng.random(items.shape)
    drawn = (edges[:, None, :] <= chance[:, :, None]).sum(axis=2)
    return torch.as_tensor(np.where(masked_items == mask_token, drawn, items))
""",
        "segment": """
def draw_segment(length, rng):
    if length < 2:
        return np.array([0, 0])
    size = rng.choice(np.arange(1, length // 2 + 1))
    return np.array([rng.choice(np.arange(length - size + 1)), size])
""",
        "views": """
def segment_views(items, first, size, foreign, mask_token, rng):
    real = items != 0
    place = np.arange(items.shape[1]) - (~real).sum(axis=1)[:, None] - first[:, None]
    inside = (place >= 0) & (place < size[:, None])
    room = np.array([len(run) for run in foreign]) - size + 1
    starts = rng.integers(room)
    runs = np.zeros_like(items)
    for row, start in enumerate(starts):
        runs[row, inside[row]] = foreign[row][start : start + size[row]]
    blank = np.where(real & (size > 0)[:, None], mask_token, items)
    views = (
        np.where(inside, mask_token, items),
        np.where(inside, items, blank),
        np.where(inside, runs, blank),
    )
    return torch.as_tensor(np.stack(views))
""",
    },
}
