"""Submissions for the assignment 01_mutual_information: what is wrong in each, and which test cells notice."""

WRONG = {
    "bits: logarithms to the base 2 throughout": (
        {
            "entropy": """
def entropy(p):
    p = np.asarray(p, dtype=float).ravel()
    p = p[p > 0] / p.sum()
    return -np.sum(p * np.log2(p))
""",
            "information": """
def mutual_information(joint):
    joint = joint / joint.sum()
    chance = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    return sum(p * math.log2(p / q) for p, q in zip(joint.ravel(), chance.ravel()) if p > 0)
""",
            "pairs": """
def pair_loss(positive, negative):
    return F.softplus(negative - positive) / math.log(2)


def pairwise_to_nats(loss):
    return 1 - loss
""",
        },
        {
            "test_entropy",
            "test_entropy_hidden",
            "test_information",
            "test_information_hidden",
            "test_pairs",
            "test_pairs_hidden",
        },
    ),
    "zeros are not handled": (
        {
            "entropy": """
def entropy(p):
    p = p / p.sum()
    return -(p * np.log(p)).sum()
""",
            "conditional": """
def conditional_entropy(joint, given=0):
    joint = joint / joint.sum()
    known = joint.sum(axis=1 - given, keepdims=True)
    return -(joint * np.log(joint / known)).sum()
""",
            "information": """
def mutual_information(joint):
    joint = joint / joint.sum()
    chance = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    return (joint * np.log(joint / chance)).sum()
""",
        },
        {
            "test_entropy",
            "test_entropy_hidden",
            "test_conditional",
            "test_conditional_hidden",
            "test_information",
            "test_information_hidden",
        },
    ),
    "H(X|Y) for H(Y|X)": (
        {
            "conditional": """
def conditional_entropy(joint, given=0):
    return entropy(joint) - entropy(joint.sum(axis=given))
"""
        },
        {"test_conditional", "test_conditional_hidden"},
    ),
    "rows weigh the same in the conditional entropy": (
        {
            "conditional": """
def conditional_entropy(joint, given=0):
    rows = joint if given == 0 else joint.T
    return np.mean([entropy(row) for row in rows if row.sum() > 0])
"""
        },
        {"test_conditional", "test_conditional_hidden"},
    ),
    "the table is not divided by its sum": (
        {
            "entropy": """
def entropy(p):
    return -sum(x * math.log(x) for x in p.ravel().tolist() if x > 0)
""",
            "information": """
def mutual_information(joint):
    chance = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    real = joint > 0
    return (joint[real] * np.log(joint[real] / chance[real])).sum()
""",
        },
        {"test_entropy", "test_entropy_hidden", "test_information", "test_information_hidden"},
    ),
    "a wrong entropy costs its own points only": (
        {
            "entropy": """
def entropy(p):
    return 0.0
""",
            "conditional": """
def conditional_entropy(joint, given=0):
    return entropy(joint) - entropy(joint.sum(axis=1 - given))
""",
            "information": """
def mutual_information(joint):
    return entropy(joint.sum(axis=0)) - conditional_entropy(joint)
""",
            "items": """
def item_attribute_mutual_information(attributes):
    sizes = attributes.sum(axis=1, keepdims=True)
    return mutual_information(attributes / np.maximum(sizes, 1))
""",
        },
        {"test_entropy", "test_entropy_hidden"},
    ),
    "inputs are overwritten": (
        {
            "entropy": """
def entropy(p):
    p = p.reshape(-1)
    if p.dtype == float:
        p /= p.sum()
    else:
        p = p / p.sum()
    return -sum(x * math.log(x) for x in p.tolist() if x > 0)
""",
            "information": """
def mutual_information(joint):
    total = joint.sum()
    if joint.dtype == float:
        joint *= 3 / total
    p = joint / joint.sum()
    chance = np.outer(p.sum(axis=1), p.sum(axis=0))
    return (p[p > 0] * np.log(p[p > 0] / chance[p > 0])).sum()
""",
        },
        {"test_entropy_hidden", "test_information", "test_information_hidden"},
    ),
    "items with many attributes weigh too much": (
        {
            "items": """
def item_attribute_mutual_information(attributes):
    p = attributes / attributes.sum()
    chance = np.outer(p.sum(axis=1), p.sum(axis=0))
    return (p[p > 0] * np.log(p[p > 0] / chance[p > 0])).sum()
"""
        },
        {"test_items", "test_items_hidden"},
    ),
    "all rows count as items, padding and mask token too": (
        {
            "items": """
def item_attribute_mutual_information(attributes):
    sizes = attributes.sum(axis=1, keepdims=True)
    p = (attributes / np.maximum(sizes, 1)).mean(axis=0)
    p = p[p > 0]
    return -(p * np.log(p)).sum() - np.log(np.maximum(sizes, 1)).mean()
"""
        },
        {"test_items", "test_items_hidden"},
    ),
    "InfoNCE over the wrong axis": (
        {
            "infonce": """
def info_nce(scores):
    return scores.diagonal().mean() - torch.logsumexp(scores, dim=0).mean() + math.log(len(scores))
"""
        },
        {"test_infonce", "test_infonce_hidden"},
    ),
    "the positive is left out of the denominator": (
        {
            "infonce": """
def info_nce(scores):
    own = torch.eye(len(scores), dtype=torch.bool)
    others = scores.masked_fill(own, -math.inf)
    value = scores.diagonal() - torch.logsumexp(others, dim=1)
    return value.mean() + math.log(len(scores))
"""
        },
        {"test_infonce", "test_infonce_hidden"},
    ),
    "InfoNCE overflows": (
        {
            "infonce": """
def info_nce(scores):
    shares = scores.exp() / scores.exp().sum(dim=1, keepdim=True)
    return shares.diagonal().log().mean() + math.log(len(scores))
"""
        },
        {"test_infonce", "test_infonce_hidden"},
    ),
    "without log K, and a pairwise loss that squashes twice": (
        {
            "infonce": """
def info_nce(scores):
    return -F.cross_entropy(scores, torch.arange(len(scores)))
""",
            "pairs": """
def pair_loss(positive, negative):
    return -torch.log(torch.sigmoid(torch.sigmoid(positive) - torch.sigmoid(negative)))


def pairwise_to_nats(loss):
    return math.log(2) - loss
""",
        },
        {"test_infonce", "test_infonce_hidden", "test_pairs", "test_pairs_hidden"},
    ),
    "answers copied from the visible tests": (
        {
            "entropy": """
def entropy(p):
    return {(3,): 1.0397 * (p.flat[0] > 0), (2, 2): 0.7356}.get(p.shape, 1.0397)
""",
            "conditional": """
def conditional_entropy(joint, given=0):
    return 0.3589 if given else 0.1733
""",
            "information": """
def mutual_information(joint):
    return {(2, 2): 0.2035, (2, 3): 0.0}.get(joint.shape, 1.6094)
""",
            "items": """
def item_attribute_mutual_information(attributes):
    return {(5, 4): 0.3183, (6, 5): 0.0}.get(attributes.shape, 1.9459)
""",
            "infonce": """
def info_nce(scores):
    return {3: 0.1351, 7: 0.0}.get(len(scores), 1.3863)
""",
            "pairs": """
def pair_loss(positive, negative):
    return [0.3133, 0.6931, 2.1269] if len(positive) == 3 else [700, 0]


def pairwise_to_nats(loss):
    return 0.3799 if loss < 0.5 else 0.0
""",
        },
        {
            "test_entropy_hidden",
            "test_conditional_hidden",
            "test_information_hidden",
            "test_items_hidden",
            "test_infonce_hidden",
            "test_pairs_hidden",
        },
    ),
    "calls s3rec_lite instead of implementing": (
        {
            "entropy": """
from s3rec_lite.information import entropy
""",
            "information": """
import s3rec_lite


def mutual_information(joint):
    return getattr(s3rec_lite.information, "mutual_" + "information")(joint)
""",
            "items": """
def item_attribute_mutual_information(attributes):
    import s3rec_lite.information as info

    return info.item_attribute_mutual_information(attributes)
""",
            "infonce": """
import importlib

bounds = importlib.import_module("s3rec_" + "lite.information.bounds")


def info_nce(scores):
    return bounds.info_nce(scores)
""",
        },
        {
            "test_entropy",
            "test_entropy_hidden",
            "test_information",
            "test_information_hidden",
            "test_items",
            "test_items_hidden",
            "test_infonce",
            "test_infonce_hidden",
        },
    ),
    "calls s3rec_lite in another thread, hands out its answer one by one, or stops the watch": (
        {
            "entropy": """
from concurrent.futures import ThreadPoolExecutor

import s3rec_lite.information as info


def entropy(p):
    return ThreadPoolExecutor(1).submit(lambda: info.entropy(p)).result()
""",
            "information": """
import s3rec_lite


def mutual_information(joint):
    sys.setprofile(None)
    return s3rec_lite.information.mutual_information(joint)
""",
            "pairs": """
def pair_loss(positive, negative):
    from s3rec_lite.objectives import pair_loss

    return (float(loss) for loss in pair_loss(positive, negative, "pairwise"))


def pairwise_to_nats(loss):
    return math.log(2) - loss
""",
        },
        {
            "test_entropy",
            "test_entropy_hidden",
            "test_information",
            "test_information_hidden",
            "test_pairs",
            "test_pairs_hidden",
        },
    ),
    "the tests' own helpers are switched off": (
        {
            "entropy": """
def entropy(p):
    return 0.0


def compare(*anything, **more):
    pass
""",
            "items": """
def item_attribute_mutual_information(attributes):
    return 0.0


globals()["nats"] = lambda *anything, **more: 0.0
guarded = lambda function: function
""",
        },
        {
            "test_entropy",
            "test_entropy_hidden",
            "test_items",
            "test_items_hidden",
        },
    ),
}

CORRECT = {
    "plain Python loops": {
        "entropy": """
def entropy(p):
    cells = np.array(p, dtype=float).flatten().tolist()
    total = sum(cells)
    answer = 0.0
    for cell in cells:
        if cell != 0:
            answer += cell / total * (math.log(total) - math.log(cell))
    return answer
""",
        "conditional": """
def conditional_entropy(joint, given=0):
    total, answer = joint.sum(), 0.0
    for row in joint.tolist() if given == 0 else joint.T.tolist():
        for cell in row:
            if cell > 0:
                answer -= cell / total * math.log(cell / sum(row))
    return answer
""",
        "information": """
def mutual_information(joint):
    total, rows, columns = joint.sum(), joint.sum(axis=1), joint.sum(axis=0)
    answer = 0.0
    for x in range(joint.shape[0]):
        for y in range(joint.shape[1]):
            if joint[x, y] > 0:
                ratio = joint[x, y] / rows[x] / columns[y] * total
                answer += joint[x, y] / total * math.log(ratio)
    return answer
""",
        "items": """
def item_attribute_mutual_information(attributes):
    owned = [np.flatnonzero(row).tolist() for row in attributes if row.any()]
    marginal = {}
    for own in owned:
        for a in own:
            marginal[a] = marginal.get(a, 0) + 1 / len(own) / len(owned)
    answer = 0.0
    for own in owned:
        for a in own:
            answer += math.log(1 / len(own) / marginal[a]) / len(own) / len(owned)
    return answer
""",
        "infonce": """
def info_nce(scores):
    values = []
    for i, row in enumerate(scores.tolist()):
        top = max(row)
        values.append(row[i] - top - math.log(sum(math.exp(f - top) for f in row) / len(row)))
    return sum(values) / len(values)
""",
        "pairs": """
def pair_loss(positive, negative):
    answer = []
    for right, wrong in zip(positive.tolist(), negative.tolist()):
        gap = right - wrong
        answer.append(math.log1p(math.exp(-gap)) if gap > 0 else math.log1p(math.exp(gap)) - gap)
    return answer


def pairwise_to_nats(loss):
    return info_nce(torch.zeros(2, 2)) + math.log(2) - loss
""",
    },
    "one part built on another, with float32 tensors returned": {
        "entropy": """
def entropy(p):
    p = torch.as_tensor(p).float()
    return torch.special.entr(p / p.sum()).sum()
""",
        "conditional": """
def conditional_entropy(joint, given=0):
    return torch.as_tensor(entropy(joint) - entropy(joint.sum(axis=1 - given))).reshape(1)
""",
        "information": """
def mutual_information(joint):
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    return entropy(rows) + entropy(columns) - entropy(joint)
""",
        "items": """
def item_attribute_mutual_information(attributes):
    table = torch.as_tensor(attributes)[1:-1, 1:].float()
    return mutual_information(F.normalize(table, p=1, dim=1).numpy())
""",
        "infonce": """
def info_nce(scores):
    own = torch.arange(len(scores))
    return math.log(len(scores)) - F.cross_entropy(scores, own)
""",
        "pairs": """
def pair_loss(positive, negative):
    two = torch.stack([positive, negative], dim=1)
    return F.cross_entropy(two, torch.zeros(len(two), dtype=torch.long), reduction="none")


def pairwise_to_nats(loss):
    return torch.log(torch.tensor(2.0)) - loss
""",
    },
    "from joint to conditional and back": {
        "entropy": """
def entropy(p):
    p = np.ravel(p) / np.sum(p)
    return -np.dot(p, np.log(np.where(p > 0, p, 1)))
""",
        "conditional": """
def conditional_entropy(joint, given=0):
    table = joint if given == 0 else joint.transpose()
    weights = table.sum(axis=1) / table.sum()
    return sum(w * entropy(row) for w, row in zip(weights, table) if w > 0)
""",
        "information": """
def mutual_information(joint):
    return entropy(joint.sum(axis=1)) - conditional_entropy(joint, given=1)
""",
        "items": """
def item_attribute_mutual_information(attributes):
    table = attributes[attributes.any(axis=1)].astype(float)
    table /= table.sum(axis=1)[:, None]
    return entropy(table.sum(axis=0)) - conditional_entropy(table)
""",
        "infonce": """
def info_nce(scores):
    value = torch.diag(torch.log_softmax(scores.double(), -1)).mean()
    return (value + math.log(scores.shape[0])).numpy()
""",
        "pairs": """
def pair_loss(positive, negative):
    return np.logaddexp(0, (negative - positive).numpy())


def pairwise_to_nats(loss):
    return np.log(2.0) - loss
""",
    },
}
