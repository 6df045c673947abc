"""Submissions for the assignment 06_evaluation: what is wrong in each, and which test cells notice."""

WRONG = {
    "ties count as higher, and nan is let through": (
        {
            "ranks": """
def greater_and_ties(scores, targets):
    level = scores[np.arange(len(scores)), targets][:, None]
    return (scores >= level).sum(axis=1) - 1, (scores == level).sum(axis=1) - 1
"""
        },
        {"test_ranks", "test_ranks_hidden"},
    ),
    "nan is let through": (
        {
            "ranks": """
def greater_and_ties(scores, targets):
    level = scores[np.arange(len(scores)), targets][:, None]
    return (scores > level).sum(axis=1), (scores == level).sum(axis=1) - 1
"""
        },
        {"test_ranks", "test_ranks_hidden"},
    ),
    "near ties are ties": (
        {
            "ranks": """
def greater_and_ties(scores, targets):
    if np.isnan(scores).any():
        raise ValueError("nan")
    level = scores[np.arange(len(scores)), targets][:, None]
    near = np.isclose(scores, level)
    return ((scores > level) & ~near).sum(axis=1), near.sum(axis=1) - 1
"""
        },
        {"test_ranks_hidden"},
    ),
    "rank from 0 in NDCG": (
        {
            "gains": """
def gain_by_rank(metric, num_ranks):
    kind, k = split_metric(metric)
    rank = np.arange(num_ranks)
    if kind == "MRR":
        return 1 / (rank + 1)
    gain = np.ones(num_ranks) if kind == "HR" else 1 / np.log2(np.maximum(rank, 1) + 1)
    return np.where(rank < k, gain, 0)
"""
        },
        {"test_gains", "test_gains_hidden"},
    ),
    "the cutoff is off by one": (
        {
            "gains": """
def gain_by_rank(metric, num_ranks):
    kind, k = split_metric(metric)
    gains = []
    for rank in range(1, num_ranks + 1):
        gain = {"HR": 1, "NDCG": 1 / math.log2(rank + 1), "MRR": 1 / rank}[kind]
        gains.append(gain if kind == "MRR" or rank < k else 0)
    return gains
"""
        },
        {"test_gains", "test_gains_hidden"},
    ),
    "ties optimistic": (
        {
            "expected": """
def expected_metric(greater, ties, gains):
    return gains[greater]
"""
        },
        {"test_expected", "test_expected_hidden"},
    ),
    "ties pessimistic": (
        {
            "expected": """
def expected_metric(greater, ties, gains):
    return gains[greater + ties]
"""
        },
        {"test_expected", "test_expected_hidden"},
    ),
    "the gain of the mean rank": (
        {
            "expected": """
def expected_metric(greater, ties, gains):
    return np.interp(greater + ties / 2, np.arange(len(gains)), gains)
"""
        },
        {"test_expected", "test_expected_hidden"},
    ),
    "seen items at 0 instead of minus infinity": (
        {
            "mask": """
def mask_scores(scores, targets, histories):
    masked = scores.copy()
    for user, history in enumerate(histories):
        masked[user, [i for i in history if i != targets[user]]] = 0
        masked[user, [0, -1]] = -np.inf
    return masked
"""
        },
        {"test_mask", "test_mask_hidden"},
    ),
    "a target in the history is removed": (
        {
            "mask": """
def mask_scores(scores, targets, histories):
    masked = scores.copy()
    masked[np.arange(len(scores))[:, None], histories] = -np.inf
    masked[:, [0, -1]] = -np.inf
    return masked
"""
        },
        {"test_mask", "test_mask_hidden"},
    ),
    "padding and mask token compete": (
        {
            "mask": """
def mask_scores(scores, targets, histories):
    masked = scores.copy()
    for user, history in enumerate(histories):
        masked[user, [i for i in history if i not in (0, targets[user])]] = -np.inf
    return masked
"""
        },
        {"test_mask", "test_mask_hidden"},
    ),
    "negatives drawn from the history: only the target is avoided": (
        {
            "negatives": """
def draw_negatives(sequences, num_items, num_negatives, rng):
    rows = []
    for sequence in sequences:
        allowed = [i for i in range(1, num_items + 1) if i != sequence[-1]]
        rows.append(rng.permutation(allowed)[:num_negatives])
    return rows


def candidate_scores(scores, targets, negatives):
    return [scores[u, [t, *n]] for u, (t, n) in enumerate(zip(targets, negatives))]
"""
        },
        {"test_negatives", "test_negatives_hidden"},
    ),
    "negatives drawn from the history: the held-out item is not avoided": (
        {
            "negatives": """
def draw_negatives(sequences, num_items, num_negatives, rng):
    rows = []
    for sequence in sequences:
        allowed = np.setdiff1d(np.arange(1, num_items + 1), sequence[:-1])
        rows.append(rng.permutation(allowed)[:num_negatives])
    return rows


def candidate_scores(scores, targets, negatives):
    return [scores[u, [t, *n]] for u, (t, n) in enumerate(zip(targets, negatives))]
"""
        },
        {"test_negatives", "test_negatives_hidden"},
    ),
    "negatives with replacement": (
        {
            "negatives": """
def draw_negatives(sequences, num_items, num_negatives, rng):
    rows = []
    for sequence in sequences:
        allowed = np.setdiff1d(np.arange(1, num_items + 1), sequence)
        rows.append(rng.choice(allowed, size=num_negatives))
    return rows


def candidate_scores(scores, targets, negatives):
    return [scores[u, [t, *n]] for u, (t, n) in enumerate(zip(targets, negatives))]
"""
        },
        {"test_negatives", "test_negatives_hidden"},
    ),
    "neighbours among the untouched items instead of any set": (
        {
            "negatives": """
def draw_negatives(sequences, num_items, num_negatives, rng):
    rows = []
    for sequence in sequences:
        allowed = np.setdiff1d(np.arange(1, num_items + 1), sequence)
        start = rng.integers(len(allowed))
        rows.append(np.roll(allowed, start)[:num_negatives])
    return rows


def candidate_scores(scores, targets, negatives):
    return [scores[u, [t, *n]] for u, (t, n) in enumerate(zip(targets, negatives))]
"""
        },
        {"test_negatives_hidden"},
    ),
    "losses over padding too": (
        {
            "bpr": """
def bpr_loss(states, item_table, targets, negatives):
    positive = (states * item_table[targets]).sum(-1)
    negative = (states * item_table[negatives]).sum(-1)
    return -F.logsigmoid(positive - negative).sum()
""",
            "ce": """
def ce_loss(states, item_table, targets):
    scores = states @ item_table.T
    denominator = torch.logsumexp(scores[..., 1:-1], dim=-1)
    return (denominator - scores.gather(2, targets[..., None])[..., 0]).sum()
""",
        },
        {"test_bpr", "test_bpr_hidden", "test_ce", "test_ce_hidden"},
    ),
    "means instead of sums": (
        {
            "bpr": """
def bpr_loss(states, item_table, targets, negatives):
    positive = (states * item_table[targets]).sum(-1)
    negative = (states * item_table[negatives]).sum(-1)
    return -F.logsigmoid(positive - negative)[targets > 0].mean()
""",
            "ce": """
def ce_loss(states, item_table, targets):
    real = targets > 0
    return F.cross_entropy(states[real] @ item_table[1:-1].T, targets[real] - 1)
""",
        },
        {"test_bpr", "test_bpr_hidden", "test_ce", "test_ce_hidden"},
    ),
    "padding and mask token are candidates; the logarithm is clamped": (
        {
            "bpr": """
def bpr_loss(states, item_table, targets, negatives):
    positive = (states * item_table[targets]).sum(-1)
    negative = (states * item_table[negatives]).sum(-1)
    return -torch.log(torch.sigmoid(positive - negative) + 1e-24)[targets > 0].sum()
""",
            "ce": """
def ce_loss(states, item_table, targets):
    scores = (states @ item_table.T).flatten(0, 1)
    return F.cross_entropy(scores, targets.flatten(), ignore_index=0, reduction="sum")
""",
        },
        {"test_bpr", "test_bpr_hidden", "test_ce", "test_ce_hidden"},
    ),
    "answers copied from the visible tests": (
        {
            "ranks": """
def greater_and_ties(scores, targets):
    if len(scores) == 1:
        raise ValueError
    return [2, 0], [1, 3]
""",
            "gains": """
def gain_by_rank(metric, num_ranks):
    known = {"HR@3": [1, 1, 1, 0, 0], "NDCG@3": [1, 0.6309, 0.5, 0, 0]}
    return known.get(metric, [1, 0.5, 0.3333, 0.25, 0.2])
""",
            "expected": """
def expected_metric(greater, ties, gains):
    return [1, 0.6309, 0, 0.3770, 0.4262] if len(greater) == 5 else [0.29167]
""",
            "mask": """
def mask_scores(scores, targets, histories):
    masked = scores.copy()
    for user, gone in enumerate([[0, 2, 4, 6], [0, 1, 6], [0, 3, 6]]):
        masked[user, gone] = -np.inf
    return masked
""",
            "negatives": """
def draw_negatives(sequences, num_items, num_negatives, rng):
    ada, ben = [2, 5, 6, 8], [1, 2, 3, 4, 6, 7, 9]
    pairs = [(np.roll(ada, i)[:3], np.roll(ben, i)[:3]) for i in range(400)]
    return [row for pair in pairs for row in pair]


def candidate_scores(scores, targets, negatives):
    return [[0.4, 0.8, 0.2, 0.5], [1.6, 2.0, 1.2, 1.4]]
""",
            "bpr": """
def bpr_loss(states, item_table, targets, negatives):
    return 400 if len(states) == 1 else 1.0550
""",
            "ce": """
def ce_loss(states, item_table, targets):
    return {1: 400.6931, 2: 3.6768}[states.shape[1]] if states.shape[1] < 3 else 3.2958
""",
        },
        {
            "test_ranks_hidden",
            "test_gains_hidden",
            "test_expected_hidden",
            "test_mask_hidden",
            "test_negatives_hidden",
            "test_bpr_hidden",
            "test_ce_hidden",
        },
    ),
    "calls s3rec_lite instead of implementing": (
        {
            "ranks": """
from s3rec_lite import metrics as ranking


def greater_and_ties(scores, targets):
    if np.isnan(scores).any():
        raise ValueError
    level = torch.as_tensor(scores[np.arange(len(scores)), targets])
    above, equal = ranking.count_above(torch.as_tensor(scores), level)
    return above, equal - above - 1
""",
            "gains": """
from s3rec_lite.metrics import gain_by_rank
""",
            "expected": """
def expected_metric(greater, ties, gains):
    kind = "MRR" if gains.min() > 0 and len(gains) > 1 else None
    if kind is None:
        below = np.concatenate([[0], np.cumsum(gains)])
        return (below[greater + ties + 1] - below[greater]) / (ties + 1)
    return ranking.expected_metric(ranking.Ranks(greater, ties, len(gains)), "MRR")
""",
        },
        {
            "test_ranks",
            "test_ranks_hidden",
            "test_gains",
            "test_gains_hidden",
            "test_expected",
            "test_expected_hidden",
        },
    ),
}

CORRECT = {
    "plain Python loops": {
        "ranks": """
def greater_and_ties(scores, targets):
    greater, ties = [], []
    for row, target in zip(scores.tolist(), targets.tolist()):
        if any(score != score for score in row):
            raise ValueError("nan")
        greater.append(0)
        ties.append(0)
        for place, score in enumerate(row):
            if score > row[target]:
                greater[-1] += 1
            elif score == row[target] and place != target:
                ties[-1] += 1
    return greater, ties
""",
        "gains": """
def gain_by_rank(metric, num_ranks):
    kind, k = split_metric(metric)
    gains = []
    for rank in range(1, num_ranks + 1):
        if kind == "MRR":
            gains.append(1 / rank)
        elif rank > k:
            gains.append(0)
        else:
            gains.append(1 if kind == "HR" else 1 / math.log2(rank + 1))
    return gains
""",
        "expected": """
def expected_metric(greater, ties, gains):
    answer = []
    for g, t in zip(greater, ties):
        possible = [gains[rank - 1] for rank in range(g + 1, g + t + 2)]
        answer.append(sum(possible) / len(possible))
    return answer
""",
        "mask": """
def mask_scores(scores, targets, histories):
    answer = []
    for row, target, history in zip(scores.tolist(), targets.tolist(), histories.tolist()):
        out = {0, len(row) - 1, *history} - {target}
        answer.append([-math.inf if i in out else score for i, score in enumerate(row)])
    return answer
""",
        "negatives": """
def draw_negatives(sequences, num_items, num_negatives, rng):
    answer = []
    for sequence in sequences:
        own, drawn = set(sequence.tolist()), []
        while len(drawn) < num_negatives:
            item = int(rng.integers(1, num_items + 1))
            if item not in own:
                own.add(item)
                drawn.append(item)
        answer.append(drawn)
    return answer


def candidate_scores(scores, targets, negatives):
    answer = []
    for row, target, drawn in zip(scores.tolist(), targets.tolist(), negatives.tolist()):
        answer.append([row[target]] + [row[item] for item in drawn])
    return answer
""",
        "bpr": """
def bpr_loss(states, item_table, targets, negatives):
    total = 0.0
    for b in range(targets.shape[0]):
        for t in range(targets.shape[1]):
            if targets[b, t] > 0:
                state = states[b, t]
                gap = state @ item_table[targets[b, t]] - state @ item_table[negatives[b, t]]
                total -= F.logsigmoid(gap).item()
    return total
""",
        "ce": """
def ce_loss(states, item_table, targets):
    total, items = 0.0, range(1, len(item_table) - 1)
    for b, row in enumerate(targets.tolist()):
        for t, target in enumerate(row):
            if target != 0:
                scores = [float(states[b, t] @ item_table[item]) for item in items]
                top = max(scores)
                total += top + math.log(sum(math.exp(s - top) for s in scores))
                total -= scores[target - 1]
    return total
""",
    },
    "tensors, and padding multiplied away": {
        "ranks": """
def greater_and_ties(scores, targets):
    scores, targets = torch.as_tensor(scores), torch.as_tensor(targets)
    if scores.isnan().any():
        raise ValueError("nan")
    level = scores.gather(1, targets[:, None])
    other = torch.arange(scores.shape[1]) != targets[:, None]
    return torch.stack([(scores > level).sum(1), ((scores == level) & other).sum(1)])
""",
        "gains": """
def gain_by_rank(metric, num_ranks):
    kind, k = split_metric(metric)
    rank = torch.arange(num_ranks) + 1.0
    if kind == "MRR":
        return rank.reciprocal()
    gain = torch.log2(rank + 1).reciprocal() if kind == "NDCG" else torch.ones_like(rank)
    gain[k:] = 0
    return gain
""",
        "expected": """
def expected_metric(greater, ties, gains):
    rank = torch.arange(len(gains))
    first, last = torch.as_tensor(greater)[:, None], torch.as_tensor(greater + ties)[:, None]
    share = ((rank >= first) & (rank <= last)).double()
    return (share / share.sum(1, keepdim=True)) @ torch.as_tensor(gains).double()
""",
        "mask": """
def mask_scores(scores, targets, histories):
    ids = torch.arange(scores.shape[1])
    seen = (torch.as_tensor(histories)[:, :, None] == ids).any(dim=1)
    seen = seen & (ids != torch.as_tensor(targets)[:, None])
    seen = seen | (ids == 0) | (ids == len(ids) - 1)
    return torch.as_tensor(scores).float().masked_fill(seen, -torch.inf)
""",
        "negatives": """
def draw_negatives(sequences, num_items, num_negatives, rng):
    keys = rng.random((len(sequences), num_items + 1))
    keys[:, 0] = 2
    for row, sequence in zip(keys, sequences):
        row[sequence] = 2
    return torch.as_tensor(keys).argsort(dim=1)[:, :num_negatives]


def candidate_scores(scores, targets, negatives):
    users = torch.arange(len(scores))[:, None]
    ids = torch.cat([torch.as_tensor(targets)[:, None], torch.as_tensor(negatives)], dim=1)
    return torch.as_tensor(scores)[users, ids]
""",
        "bpr": """
def softplus(x):
    return torch.logaddexp(torch.zeros(()), x)


def bpr_loss(states, item_table, targets, negatives):
    scores = torch.einsum("blh,ih->bli", states, item_table)
    positive = scores.gather(2, targets.unsqueeze(2)).squeeze(2)
    negative = scores.gather(2, negatives.unsqueeze(2)).squeeze(2)
    return ((targets != 0) * softplus(negative - positive)).sum()
""",
        "ce": """
def ce_loss(states, item_table, targets):
    scores = (states @ item_table.T).clone()
    scores[..., 0] = scores[..., -1] = -torch.inf
    logs = torch.log_softmax(scores, dim=-1).transpose(1, 2)
    return F.nll_loss(logs, targets, ignore_index=0, reduction="sum").requires_grad_()
""",
    },
}
