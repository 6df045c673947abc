"""Submissions for the assignment 04_objectives: what is wrong in each, and which test cells notice."""

WRONG = {
    "padding counts: in AAP as a visible item, in MIP every position": (
        {
            "aap": """
def aap_loss(states, batch, attributes, table, head):
    visible = batch.masked_items != batch.mask_token
    rows = table_scores(states[visible], table, head)
    return attribute_rows(rows, attributes[batch.pos_items[visible]]).sum()
""",
            "mip": """
def mip_loss(states, batch, item_table, head):
    moved = states @ head.weight.T + head.bias
    p = (moved * item_table[batch.pos_items]).sum(-1)
    n = (moved * item_table[batch.neg_items]).sum(-1)
    return pair_loss(p.flatten(), n.flatten(), "pairwise").sum()
""",
        },
        {"test_aap", "test_aap_hidden", "test_mip", "test_mip_hidden"},
    ),
    "means instead of sums: over the attributes, and over the sequences of SP": (
        {
            "attribute_rows": """
def attribute_rows(scores, present):
    target = present[:, 1:].float()
    cost = F.binary_cross_entropy_with_logits(scores[:, 1:], target, reduction="none")
    return cost.mean(dim=1)
""",
            "sp": """
def sp_loss(context, positive, negative, items, head):
    several = (items != 0).sum(1) > 1
    c, p, n = context[several, -1], positive[several, -1], negative[several, -1]
    return pair_loss(pair_scores(c, p, head), pair_scores(c, n, head), "pairwise").mean()
""",
        },
        {"test_attribute_rows", "test_attribute_rows_hidden", "test_sp", "test_sp_hidden"},
    ),
    "AAP at hidden positions, MAP at visible ones; the weight transposed": (
        {
            "critic": """
def pair_scores(x, y, head):
    return ((x @ head.weight + head.bias) * y).sum(1)


def table_scores(x, table, head):
    return (x @ head.weight + head.bias) @ table.T
""",
            "aap": """
def aap_loss(states, batch, attributes, table, head):
    where = batch.masked_items == batch.mask_token
    rows = table_scores(states[where], table, head)
    return attribute_rows(rows, attributes[batch.pos_items[where]]).sum()
""",
            "map": """
def map_loss(states, batch, attributes, table, head):
    where = (batch.masked_items == batch.pos_items) & (batch.pos_items > 0)
    rows = table_scores(states[where], table, head)
    return attribute_rows(rows, attributes[batch.pos_items[where]]).sum()
""",
        },
        {
            "test_critic",
            "test_critic_hidden",
            "test_aap",
            "test_aap_hidden",
            "test_map",
            "test_map_hidden",
        },
    ),
    "column 0 of the attributes is counted; the sign of the pair is turned": (
        {
            "attribute_rows": """
def attribute_rows(scores, present):
    target = present.float()
    return F.binary_cross_entropy_with_logits(scores, target, reduction="none").sum(1)
""",
            "pair_loss": """
def pair_loss(positive, negative, form):
    if form == "authors":
        positive, negative = torch.sigmoid(positive), torch.sigmoid(negative)
    return -F.logsigmoid(negative - positive)
""",
        },
        {
            "test_attribute_rows",
            "test_attribute_rows_hidden",
            "test_pair_loss",
            "test_pair_loss_hidden",
        },
    ),
    "pairwise squashes twice, too; the first position of SP instead of the last": (
        {
            "pair_loss": """
def pair_loss(positive, negative, form):
    return -F.logsigmoid(torch.sigmoid(positive) - torch.sigmoid(negative))
""",
            "sp": """
def sp_loss(context, positive, negative, items, head):
    several = (items != 0).sum(1) > 1
    c, p, n = context[several, 0], positive[several, 0], negative[several, 0]
    return pair_loss(pair_scores(c, p, head), pair_scores(c, n, head), "pairwise").sum()
""",
        },
        {"test_pair_loss", "test_pair_loss_hidden", "test_sp", "test_sp_hidden"},
    ),
    "the floor of unlimited logits whatever the limits; MIP turned; attributes of the mask token": (
        {
            "loss_range": """
def loss_range(form, low, high):
    if form == "authors":
        return math.log1p(math.exp(-1)), math.log1p(math.exp(1))
    return math.log1p(math.exp(low - high)), math.log1p(math.exp(high - low))
""",
            "mip": """
def mip_loss(states, batch, item_table, head):
    hidden = batch.masked_items == batch.mask_token
    p = pair_scores(states[hidden], item_table[batch.pos_items[hidden]], head)
    n = pair_scores(states[hidden], item_table[batch.neg_items[hidden]], head)
    return pair_loss(n, p, "pairwise").sum()
""",
            "map": """
def map_loss(states, batch, attributes, table, head):
    hidden = batch.masked_items == batch.mask_token
    rows = table_scores(states[hidden], table, head)
    return attribute_rows(rows, attributes[batch.masked_items[hidden]]).sum()
""",
        },
        {
            "test_loss_range",
            "test_loss_range_hidden",
            "test_mip",
            "test_mip_hidden",
            "test_map",
            "test_map_hidden",
        },
    ),
    "answers copied from the visible tests": (
        {
            "critic": """
def pair_scores(x, y, head):
    return [6, 5]


def table_scores(x, table, head):
    return [[6, 15], [3, 5]]
""",
            "attribute_rows": """
def attribute_rows(scores, present):
    return [400] if len(scores) == 1 else [2.8687, 2.0794]
""",
            "pair_loss": """
def pair_loss(positive, negative, form):
    if len(positive) == 1:
        return [200]
    if form == "pairwise":
        return [0.1269, 0.6931, 3.0486, 8.0003, 0.0486]
    return [0.5208, 0.6931, 0.9448, 1.2871, 0.6709]
""",
            "loss_range": """
def loss_range(form, low, high):
    if form == "pairwise":
        return 0.0486, 3.0486
    return (0.4333, 1.0452) if low == -1 else (0.3133, 1.3133)
""",
            "aap": "def aap_loss(*inputs):\n    return 8.3155\n",
            "mip": "def mip_loss(*inputs):\n    return 3.3784\n",
            "map": "def map_loss(*inputs):\n    return 11.7908\n",
            "sp": "def sp_loss(*inputs):\n    return 3.2088\n",
        },
        {
            "test_critic_hidden",
            "test_attribute_rows_hidden",
            "test_pair_loss_hidden",
            "test_loss_range_hidden",
            "test_aap_hidden",
            "test_mip_hidden",
            "test_map_hidden",
            "test_sp_hidden",
        },
    ),
    "calls s3rec_lite instead of implementing": (
        {
            "attribute_rows": """
from s3rec_lite.objectives import attribute_rows as ready


def attribute_rows(scores, present):
    return ready(scores[:, 1:], present[:, 1:], "bce", num_negatives=1, bounded=False, rng=None)
""",
            "pair_loss": """
from s3rec_lite.objectives import pair_loss
""",
            "sp": """
def sp_loss(context, positive, negative, items, head):
    import types

    import s3rec_lite as s3

    several = (items != 0).sum(1) > 1
    model = types.SimpleNamespace(heads={"sp": lambda x: x @ head.weight.T + head.bias})
    parts = (part[several, -1] for part in (context, positive, negative))
    return s3.objectives.segment_loss(model, *parts, s3.PretrainConfig(), None).sum()
""",
        },
        {
            "test_attribute_rows",
            "test_attribute_rows_hidden",
            "test_pair_loss",
            "test_pair_loss_hidden",
            "test_sp",
            "test_sp_hidden",
        },
    ),
}

CORRECT = {
    "plain Python loops and numbers": {
        "critic": """
def one_score(x, y, head):
    total = 0.0
    for row, offset, other in zip(head.weight.tolist(), head.bias.tolist(), y):
        total += (sum(w * number for w, number in zip(row, x)) + offset) * other
    return total


def pair_scores(x, y, head):
    return [one_score(a, b, head) for a, b in zip(x.tolist(), y.tolist())]


def table_scores(x, table, head):
    return [[one_score(a, b, head) for b in table.tolist()] for a in x.tolist()]
""",
        "attribute_rows": """
def question(score):
    return max(-score, 0.0) + math.log1p(math.exp(-abs(score)))


def attribute_rows(scores, present):
    answer = []
    for numbers, own in zip(scores.tolist(), present.tolist()):
        pairs = list(zip(numbers, own))[1:]
        answer.append(sum(question(number if there else -number) for number, there in pairs))
    return answer
""",
        "pair_loss": """
def pair_loss(positive, negative, form):
    def squash(x):
        return 1 / (1 + math.exp(-x)) if form == "authors" else x

    pairs = zip(positive.tolist(), negative.tolist())
    return [question(squash(p) - squash(n)) for p, n in pairs]
""",
        "loss_range": """
def loss_range(form, low, high):
    if form == "authors":
        low, high = 1 / (1 + math.exp(-low)), 1 / (1 + math.exp(-high))
    return math.log1p(math.exp(low - high)), math.log1p(math.exp(high - low))
""",
        "aap": """
def aap_loss(states, batch, attributes, table, head):
    total = 0.0
    for b, row in enumerate(batch.masked_items.tolist()):
        for t, item in enumerate(row):
            if item not in (0, batch.mask_token):
                for a in range(1, len(table)):
                    score = one_score(states[b, t].tolist(), table[a].tolist(), head)
                    total += question(score if attributes[item, a] else -score)
    return total
""",
        "mip": """
def mip_loss(states, batch, item_table, head):
    total = 0.0
    for b, t in (batch.masked_items == batch.mask_token).nonzero().tolist():
        p, n = (
            one_score(states[b, t].tolist(), item_table[ids[b, t]].tolist(), head)
            for ids in (batch.pos_items, batch.neg_items)
        )
        total += question(p - n)
    return total
""",
        "map": """
def map_loss(states, batch, attributes, table, head):
    total = 0.0
    for b, t in (batch.masked_items == batch.mask_token).nonzero().tolist():
        for a in range(1, len(table)):
            score = one_score(states[b, t].tolist(), table[a].tolist(), head)
            total += question(score if attributes[batch.pos_items[b, t], a] else -score)
    return total
""",
        "sp": """
def sp_loss(context, positive, negative, items, head):
    total = 0.0
    for row, c, p, n in zip(items.tolist(), context, positive, negative):
        if len([item for item in row if item]) > 1:
            c, p, n = (states[-1].tolist() for states in (c, p, n))
            total += question(one_score(c, p, head) - one_score(c, n, head))
    return total
""",
    },
    "everything scored, then multiplied by 0 or 1; one softmax for a pair": {
        "critic": """
def pair_scores(x, y, head):
    return torch.einsum("...h,gh,...g->...", x, head.weight, y) + y @ head.bias


def table_scores(x, table, head):
    layer = torch.nn.Linear(*head.weight.shape)
    layer.load_state_dict(head._asdict())
    return torch.stack([table @ row for row in layer(x)])
""",
        "attribute_rows": """
def attribute_rows(scores, present):
    weight = torch.ones(scores.shape[1])
    weight[0] = 0
    loss = torch.nn.BCEWithLogitsLoss(weight=weight, reduction="none")
    return loss(scores, present.to(scores.dtype)).sum(-1).numpy()
""",
        "pair_loss": """
def pair_loss(positive, negative, form):
    both = torch.stack([positive, negative], dim=1)
    if form == "authors":
        both = both.sigmoid()
    return F.cross_entropy(both, torch.zeros(len(both), dtype=torch.long), reduction="none")
""",
        "loss_range": """
def loss_range(form, low, high):
    gap = torch.tensor([low, high], dtype=torch.float64)
    gap = (gap.sigmoid() if form == "authors" else gap).diff()
    return torch.cat([-F.logsigmoid(gap), -F.logsigmoid(-gap)]).numpy()
""",
        "aap": """
def attribute_losses(states, batch, attributes, table, head):
    logits = (states @ head.weight.T + head.bias) @ table[1:].T
    signs = 1 - 2.0 * attributes[batch.pos_items][..., 1:]
    return torch.logaddexp(torch.zeros(()), signs * logits).sum(-1)


def aap_loss(states, batch, attributes, table, head):
    counts = (batch.masked_items % batch.mask_token != 0).float()
    return (attribute_losses(states, batch, attributes, table, head) * counts).sum().item()
""",
        "mip": """
def mip_loss(states, batch, item_table, head):
    difference = item_table[batch.pos_items] - item_table[batch.neg_items]
    gap = ((states @ head.weight.T + head.bias) * difference).sum(-1)
    return -(F.logsigmoid(gap) * (batch.masked_items != batch.pos_items)).sum().numpy()
""",
        "map": """
def map_loss(states, batch, attributes, table, head):
    counts = (batch.masked_items == batch.mask_token).float()
    logits = (states @ head.weight.T + head.bias) @ table[1:].T
    target = attributes[batch.pos_items][..., 1:].float()
    cost = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return torch.einsum("bla,bl->", cost, counts)
""",
        "sp": """
def sp_loss(context, positive, negative, items, head):
    if items.shape[1] == 1:
        return 0
    difference = positive[:, -1] - negative[:, -1]
    gap = torch.einsum("bg,bg->b", F.linear(context[:, -1], *head), difference)
    return torch.where(items[:, -2] != 0, F.softplus(-gap), 0.0).sum()
""",
    },
}
