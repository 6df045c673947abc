"""Typical wrong answers to the exercises of chapter 09, and what the check must say about them."""

MISTAKES = {
    1: [
        (
            """
def pairwise_loss(positive, negative, targets):
    return F.softplus(negative - positive).mean()
""",
            "averaged over the padding too",
        ),
        (
            """
def pairwise_loss(positive, negative, targets):
    return F.softplus(positive - negative)[targets != 0].mean()
""",
            "The sign is turned round",
        ),
        (
            """
def pairwise_loss(positive, negative, targets):
    return F.softplus(negative - positive)[targets != 0].sum()
""",
            "That is the sum",
        ),
        (
            """
def pairwise_loss(positive, negative, targets):
    return -torch.log(torch.sigmoid(positive - negative) + 1e-24)[targets != 0].mean()
""",
            "breaks for large scores",
        ),
    ],
    2: [
        (
            """
def expected_ndcg(scores, target, k):
    rank = int((scores > scores[target]).sum()) + 1
    return 1 / math.log2(rank + 1) if rank <= k else 0.0
""",
            "put the target first",
        ),
        (
            """
def expected_ndcg(scores, target, k):
    rank = int((scores >= scores[target]).sum())
    return 1 / math.log2(rank + 1) if rank <= k else 0.0
""",
            "put the target last",
        ),
        (
            """
def expected_ndcg(scores, target, k):
    rank = ((scores > scores[target]).sum() + 1 + (scores >= scores[target]).sum()) / 2
    return 1 / math.log2(rank + 1) if rank <= k else 0.0
""",
            "the gain of the mean rank",
        ),
    ],
    3: [
        (
            """
def sampled_hit(rank, num_items, negatives=99, k=10):
    return sum(share_above(rank, num_items, negatives)[:k])
""",
            "draws with replacement",
        ),
        (
            """
def sampled_hit(rank, num_items, negatives=99, k=10):
    above, below = rank, num_items - rank
    ways = sum(math.comb(above, x) * math.comb(below, negatives - x) for x in range(k))
    return ways / math.comb(num_items, negatives)
""",
            "r - 1 items above it",
        ),
        (
            """
def sampled_hit(rank, num_items, negatives=99, k=10):
    above, below = rank - 1, num_items - rank
    ways = sum(math.comb(above, x) * math.comb(below, negatives - x) for x in range(k + 1))
    return ways / math.comb(num_items - 1, negatives)
""",
            "allows 9 negatives above the target, you allow 10",
        ),
    ],
    4: [
        (
            """
def ndcg10_range(hr5, ndcg5, hr10):
    return ndcg5 + (hr10 - hr5) / math.log2(10), ndcg5 + (hr10 - hr5) / math.log2(6)
""",
            "rank 10 gives 1 / log2(11)",
        ),
        (
            """
def ndcg10_range(hr5, ndcg5, hr10):
    return ndcg5 + hr10 / math.log2(11), ndcg5 + hr10 / math.log2(7)
""",
            "counted all hits as new",
        ),
        (
            """
def ndcg10_range(hr5, ndcg5, hr10):
    return ndcg5 + (hr10 - hr5) / math.log2(7), ndcg5 + (hr10 - hr5) / math.log2(11)
""",
            "wrong order",
        ),
    ],
    5: [
        (
            """
def stopping(values, patience, min_epochs):
    best = 1
    for epoch, value in enumerate(values, start=1):
        if value > values[best - 1]:
            best = epoch
        if epoch - best >= patience:
            return epoch, best
    return len(values), best
""",
            "stopped before min_epochs",
        ),
        (
            """
def stopping(values, patience, min_epochs):
    best = 1
    for epoch, value in enumerate(values, start=1):
        if value >= values[best - 1]:
            best = epoch
        if epoch >= min_epochs and epoch - best >= patience:
            return epoch, best
    return len(values), best
""",
            "equal value is no improvement",
        ),
        (
            """
def stopping(values, patience, min_epochs):
    best = 1
    for epoch, value in enumerate(values, start=1):
        if value > values[best - 1]:
            best = epoch
        if epoch >= min_epochs and epoch - best >= patience:
            return epoch, epoch
    return len(values), len(values)
""",
            "last epoch twice",
        ),
    ],
}
