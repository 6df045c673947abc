"""Typical mistakes in chapter 07 and what the checks say about them."""

MISTAKES = {
    1: [
        (
            """
def three_inputs(history, first, foreign, mask):
    end = first + len(foreign)
    blank = [mask] * len(history)
    context = history[:first] + [mask] * len(foreign) + history[end:]
    own = blank[:first] + history[first:end] + blank[end:]
    return context, own, blank[:first] + foreign + blank[end:]
""",
            "Padding became a mask",
        ),
        (
            """
def three_inputs(history, first, foreign, mask):
    end = first + len(foreign)
    context = history[:first] + [mask] * len(foreign) + history[end:]
    return context, history, history[:first] + foreign + history[end:]
""",
            "The own segment stands among masks",
        ),
        (
            """
def three_inputs(history, first, foreign, mask):
    end = first + len(foreign)
    blank = [mask if item else 0 for item in history]
    context = history[:first] + [mask] * len(foreign) + history[end:]
    own = blank[:first] + history[first:end] + blank[end:]
    return context, own, history[:first] + foreign + history[end:]
""",
            "foreign segment stands among masks too",
        ),
        (
            """
def three_inputs(history, first, foreign, mask):
    end = first + len(foreign)
    blank = [mask if item else 0 for item in history]
    own = blank[:first] + history[first:end] + blank[end:]
    return own, own, blank[:first] + foreign + blank[end:]
""",
            "the other way round",
        ),
    ],
    2: [
        (
            """
def share_at_last_slot(lengths):
    return np.mean([np.mean([1 / (n - m + 1) for m in range(1, n + 1)]) for n in lengths])
""",
            "at most half the items",
        ),
        (
            """
def share_at_last_slot(lengths):
    return np.mean([np.mean([1 / (n - m) for m in range(1, n // 2 + 1)]) for n in lengths])
""",
            "not n - m",
        ),
        (
            """
def share_at_last_slot(lengths):
    return np.mean([1 / n for n in lengths])
""",
            "a segment must fit",
        ),
        (
            """
def share_at_last_slot(lengths):
    n = round(np.mean(lengths))
    return np.mean([1 / (n - m + 1) for m in range(1, n // 2 + 1)])
""",
            "value at the mean length",
        ),
    ],
    3: [
        (
            """
def batch_loss(scores, users):
    return (torch.logsumexp(scores, dim=1) - scores.diagonal()).mean()
""",
            "same user still count",
        ),
        (
            """
def batch_loss(scores, users):
    kept = scores.masked_fill(users[:, None] == users, -torch.inf)
    return (torch.logsumexp(kept, dim=1) - scores.diagonal()).mean()
""",
            "keep the diagonal",
        ),
        (
            """
def batch_loss(scores, users):
    left_out = (users[:, None] == users) & ~torch.eye(len(users), dtype=torch.bool)
    kept = scores.masked_fill(left_out, -torch.inf)
    return (torch.logsumexp(kept, dim=0) - scores.diagonal()).mean()
""",
            "dim=1",
        ),
    ],
    4: [
        (
            """
def nats_of_accuracy(a):
    return math.log(a / (1 - a)), -a * math.log(a) - (1 - a) * math.log(1 - a)
""",
            "This is the loss",
        ),
        (
            """
def nats_of_accuracy(a):
    return math.log(a / (1 - a)), 1 + a * math.log2(a) + (1 - a) * math.log2(1 - a)
""",
            "in bits",
        ),
        (
            """
def nats_of_accuracy(a):
    return math.log(a / (1 - a)), math.log(2) + a * math.log(a)
""",
            "Wrong answers cost too",
        ),
        (
            """
def nats_of_accuracy(a):
    return a, math.log(2) + a * math.log(a) + (1 - a) * math.log(1 - a)
""",
            "has to be solved for t",
        ),
    ],
}
