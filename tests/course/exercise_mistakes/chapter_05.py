"""Typical mistakes in chapter 05 and what the checks say about them."""

MISTAKES = {
    1: [
        (
            """
def pair_losses(positive, negative):
    plain = -F.logsigmoid(positive - negative)
    return plain, -F.logsigmoid(torch.sigmoid(positive - negative))
""",
            "squash each score and then subtract",
        ),
        (
            """
def pair_losses(positive, negative):
    plain = -F.logsigmoid(negative - positive)
    return plain, -F.logsigmoid(torch.sigmoid(negative) - torch.sigmoid(positive))
""",
            "sign is turned",
        ),
        (
            """
def pair_losses(positive, negative):
    plain = -torch.log(torch.sigmoid(positive - negative))
    return plain, -F.logsigmoid(torch.sigmoid(positive) - torch.sigmoid(negative))
""",
            "infinite for a badly wrong pair",
        ),
        (
            """
def pair_losses(positive, negative):
    plain = -F.logsigmoid(positive - negative).mean()
    return plain, -F.logsigmoid(torch.sigmoid(positive) - torch.sigmoid(negative)).mean()
""",
            "one for each pair is wanted",
        ),
    ],
    2: [
        (
            """
def infonce_loss(positive, candidates, left_out):
    candidates = candidates.masked_fill(left_out, -torch.inf)
    return (torch.logsumexp(candidates, dim=1) - positive).mean()
""",
            "positive is not in the sum",
        ),
        (
            """
def infonce_loss(positive, candidates, left_out):
    candidates = candidates * ~left_out
    everything = torch.cat([positive[:, None], candidates], dim=1)
    return (torch.logsumexp(everything, dim=1) - positive).mean()
""",
            "still add exp(0) = 1",
        ),
        (
            """
def infonce_loss(positive, candidates, left_out):
    everything = torch.cat([positive[:, None], candidates], dim=1)
    return (torch.logsumexp(everything, dim=1) - positive).mean()
""",
            "left_out is ignored",
        ),
        (
            """
def infonce_loss(positive, candidates, left_out):
    candidates = candidates.masked_fill(left_out, -torch.inf)
    everything = torch.cat([positive[:, None], candidates], dim=1)
    return (torch.logsumexp(everything, dim=1) - positive).sum()
""",
            "the mean is wanted",
        ),
    ],
    3: [
        (
            """
def slope(p, n):
    return -torch.sigmoid(torch.sigmoid(n) - torch.sigmoid(p))
""",
            "inner derivative",
        ),
        (
            """
def slope(p, n):
    own = torch.sigmoid(p)
    return -own * (1 - own)
""",
            "outer factor is missing",
        ),
        (
            """
def slope(p, n):
    own = torch.sigmoid(p)
    return torch.sigmoid(torch.sigmoid(n) - own) * own * (1 - own)
""",
            "sign is turned",
        ),
        (
            """
def slope(p, n):
    return -torch.sigmoid(n - p)
""",
            "slope of the plain loss",
        ),
    ],
    4: [
        (
            """
def expected_shares(lengths, ratio):
    hidden = 1 + ratio * (lengths - 1)
    return (hidden / lengths).mean(), ((1 - ratio) ** lengths).mean()
""",
            "mean of shares",
        ),
        (
            """
def expected_shares(lengths, ratio):
    return (1 + ratio * lengths).sum() / lengths.sum(), ((1 - ratio) ** lengths).mean()
""",
            "counted twice",
        ),
        (
            """
def expected_shares(lengths, ratio):
    hidden = 1 + ratio * (lengths - 1)
    return hidden.sum() / lengths.sum(), (1 - ratio) ** lengths.mean()
""",
            "power of the mean length",
        ),
        (
            """
def expected_shares(lengths, ratio):
    hidden = 1 + ratio * (lengths - 1)
    return hidden.sum() / lengths.sum(), (ratio ** lengths).mean()
""",
            "an item escapes",
        ),
    ],
    5: [
        (
            """
def popularity_nats(counts):
    c = counts[counts > 0].astype(float)
    p = c / c.sum()
    return math.log(2) - p @ np.log1p(c[None, :] / c[:, None]) @ p
""",
            "negatives follow the counts too",
        ),
        (
            """
def popularity_nats(counts):
    p = counts / counts.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = np.log1p(counts[None, :] / counts[:, None])
        return math.log(2) - (p[:, None] * loss).sum() / len(counts)
""",
            "leave out items with count 0",
        ),
        (
            """
def popularity_nats(counts):
    c = counts[counts > 0].astype(float)
    p = c / c.sum()
    return (p * np.log(p * len(c))).sum()
""",
            "KL(p || q)",
        ),
        (
            """
def popularity_nats(counts):
    c = counts[counts > 0].astype(float)
    p = c / c.sum()
    return (p[:, None] * np.log1p(c[None, :] / c[:, None])).sum() / len(c)
""",
            "This is the loss",
        ),
    ],
}
