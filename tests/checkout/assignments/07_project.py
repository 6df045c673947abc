"""Submissions for the assignment 07_project: what is wrong in each, and which test cells notice.

The written answers are marked by a person; these are about the functions only.
"""

WRONG = {
    "the seed reaches the model, but neither stage of training": (
        {
            "train": """
def train_and_evaluate(data, without, seed, epochs):
    model = s3.S3Rec(data.num_items, data.num_attributes, ENCODER, seed=seed)
    weights = {f"{without}_weight": 0.0} if without else {}
    s3.pretrain(model, data, s3.PretrainConfig(epochs=epochs, **PRETRAINING, **weights), **QUIET)
    s3.finetune(model, data, s3.FinetuneConfig(**FINETUNING), **QUIET)
    return {s: s3.evaluate(model, data, s).per_user(METRIC) for s in ("valid", "test")}
"""
        },
        {"test_train"},
    ),
    "the same starting weights for every seed": (
        {
            "train": """
def train_and_evaluate(data, without, seed, epochs):
    model = s3.S3Rec(data.num_items, data.num_attributes, ENCODER)
    weights = {f"{without}_weight": 0.0} if without else {}
    s3.pretrain(model, data, s3.PretrainConfig(epochs=epochs, seed=seed, **PRETRAINING, **weights), **QUIET)
    s3.finetune(model, data, s3.FinetuneConfig(seed=seed, **FINETUNING), **QUIET)
    return {s: s3.evaluate(model, data, s).per_user(METRIC) for s in ("valid", "test")}
"""
        },
        {"test_train"},
    ),
    "SP is left out whatever is asked for": (
        {
            "train": """
def train_and_evaluate(data, without, seed, epochs):
    model = s3.S3Rec(data.num_items, data.num_attributes, ENCODER, seed=seed)
    weights = {} if without is None else {"sp_weight": 0.0}
    s3.pretrain(model, data, s3.PretrainConfig(epochs=epochs, seed=seed, **PRETRAINING, **weights), **QUIET)
    s3.finetune(model, data, s3.FinetuneConfig(seed=seed, **FINETUNING), **QUIET)
    return {s: s3.evaluate(model, data, s).per_user(METRIC) for s in ("valid", "test")}
"""
        },
        {"test_train"},
    ),
    "a fresh model is fine-tuned, not the pre-trained one": (
        {
            "train": """
def train_and_evaluate(data, without, seed, epochs):
    def make():
        return s3.S3Rec(data.num_items, data.num_attributes, ENCODER, seed=seed)

    weights = {} if without is None else {f"{without}_weight": 0.0}
    s3.pretrain(make(), data, s3.PretrainConfig(epochs=epochs, seed=seed, **PRETRAINING, **weights), **QUIET)
    model = make()
    s3.finetune(model, data, s3.FinetuneConfig(seed=seed, **FINETUNING), **QUIET)
    return {s: s3.evaluate(model, data, s).per_user(METRIC) for s in ("valid", "test")}
"""
        },
        {"test_train"},
    ),
    "the candidate is chosen by its test result": (
        {
            "choose": """
def choose_by_validation(candidates):
    return max(candidates, key=lambda name: candidates[name]["test"].mean())
"""
        },
        {"test_choose"},
    ),
    "the last of several equal candidates is chosen": (
        {
            "choose": """
def choose_by_validation(candidates):
    best = None
    for name, found in candidates.items():
        if best is None or found["valid"].mean() >= candidates[best]["valid"].mean():
            best = name
    return best
"""
        },
        {"test_choose"},
    ),
    "the users of a and of b are drawn separately": (
        {
            "bootstrap": """
def paired_bootstrap(a, b, resamples=2000, seed=0, level=0.95):
    rng = np.random.default_rng(seed)
    first = a[rng.integers(len(a), size=(resamples, len(a)))].mean(axis=1)
    second = b[rng.integers(len(b), size=(resamples, len(b)))].mean(axis=1)
    low, high = np.quantile(first - second, [(1 - level) / 2, (1 + level) / 2])
    return a.mean() - b.mean(), low, high
"""
        },
        {"test_bootstrap", "test_bootstrap_hidden"},
    ),
    "five percent are cut off at each end": (
        {
            "bootstrap": """
def paired_bootstrap(a, b, resamples=2000, seed=0, level=0.95):
    d = a - b
    means = d[np.random.default_rng(seed).integers(len(d), size=(resamples, len(d)))].mean(axis=1)
    low, high = np.quantile(means, [1 - level, level])
    return d.mean(), low, high
"""
        },
        {"test_bootstrap", "test_bootstrap_hidden"},
    ),
    "a formula for a symmetric interval instead of drawn means": (
        {
            "bootstrap": """
def paired_bootstrap(a, b, resamples=2000, seed=0, level=0.95):
    from statistics import NormalDist

    d = a - b
    width = NormalDist().inv_cdf((1 + level) / 2) * d.std() / np.sqrt(len(d))
    return d.mean(), d.mean() - width, d.mean() + width
"""
        },
        {"test_bootstrap_hidden"},
    ),
    "always the same seed, and always 95%": (
        {
            "bootstrap": """
def paired_bootstrap(a, b, resamples=2000, seed=0, level=0.95):
    d = a - b
    means = d[np.random.default_rng(0).integers(len(d), size=(resamples, len(d)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return d.mean(), low, high
"""
        },
        {"test_bootstrap_hidden"},
    ),
    "the package's bootstrap is called": (
        {
            "bootstrap": """
def paired_bootstrap(a, b, resamples=2000, seed=0, level=0.95):
    from s3rec_lite.experiments.statistics import bootstrap_means

    means = bootstrap_means(a - b, resamples, seed)
    return (a - b).mean(), *np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
"""
        },
        {"test_bootstrap", "test_bootstrap_hidden"},
    ),
    "one side only": (
        {
            "p_value": """
def sign_flip_p_value(a, b, resamples=2000, seed=0):
    d = a - b
    signs = np.random.default_rng(seed).choice([-1, 1], size=(resamples, len(d)))
    return (1 + (signs @ d >= d.sum()).sum()) / (1 + resamples)
"""
        },
        {"test_p_value", "test_p_value_hidden"},
    ),
    "further from zero than observed instead of at least as far": (
        {
            "p_value": """
def sign_flip_p_value(a, b, resamples=2000, seed=0):
    d = a - b
    if not d.any():
        return 1.0
    signs = np.random.default_rng(seed).choice([-1, 1], size=(resamples, len(d)))
    return (1 + (abs(signs @ d) > abs(d.sum())).sum()) / (1 + resamples)
"""
        },
        {"test_p_value", "test_p_value_hidden"},
    ),
    "a loss is compared without its absolute value, and the seed is not used": (
        {
            "p_value": """
def sign_flip_p_value(a, b, resamples=2000, seed=0):
    d = a - b
    signs = np.random.default_rng(0).choice([-1, 1], size=(resamples, len(d)))
    return (1 + (abs(signs @ d) >= d.sum() - 1e-12).sum()) / (1 + resamples)
"""
        },
        {"test_p_value_hidden"},
    ),
    "constants that fit the visible tests": (
        {
            "p_value": """
def sign_flip_p_value(a, b, resamples=2000, seed=0):
    if (a == b).all():
        return 1.0
    return {3: 0.25, 8: 0.125}.get(len(a), 1 / (1 + resamples))
"""
        },
        {"test_p_value_hidden"},
    ),
    "all results are shuffled between the two groups, pairs or not": (
        {
            "p_value": """
def sign_flip_p_value(a, b, resamples=2000, seed=0):
    rng = np.random.default_rng(seed)
    pool, count = np.concatenate([a, b]), 0
    for _ in range(resamples):
        mixed = rng.permutation(pool)
        count += abs(mixed[: len(a)].sum() - mixed[len(a) :].sum()) >= abs((a - b).sum()) - 1e-12
    return (1 + count) / (1 + resamples)
"""
        },
        {"test_p_value", "test_p_value_hidden"},
    ),
    "the verdict comes from the p-value alone": (
        {
            "table": """
def summary_table(pairs, judge, level=0.95):
    both = {**pairs, "all seeds": tuple(np.mean([p[k] for p in pairs.values()], axis=0) for k in (0, 1))}
    rows = []
    for a, b in both.values():
        found = judge(a, b)
        verdict = "larger than chance" if found[3] < 1 - level else "within chance"
        rows.append([a.mean(), b.mean(), *found, verdict])
    columns = ["mean a", "mean b", "difference", "low", "high", "p_value", "verdict"]
    return pd.DataFrame(rows, index=list(both), columns=columns)
"""
        },
        {"test_table", "test_table_hidden"},
    ),
    "the seeds are laid end to end": (
        {
            "table": """
def summary_table(pairs, judge, level=0.95):
    both = {**pairs, "all seeds": tuple(np.concatenate([p[k] for p in pairs.values()]) for k in (0, 1))}
    rows = []
    for a, b in both.values():
        found = judge(a, b)
        sure = found[3] < 1 - level and not found[1] <= 0 <= found[2]
        rows.append([a.mean(), b.mean(), *found, "larger than chance" if sure else "within chance"])
    columns = ["mean a", "mean b", "difference", "low", "high", "p_value", "verdict"]
    return pd.DataFrame(rows, index=list(both), columns=columns)
"""
        },
        {"test_table", "test_table_hidden"},
    ),
    "only gains can be larger than chance, and the level is fixed": (
        {
            "table": """
def summary_table(pairs, judge, level=0.95):
    both = {**pairs, "all seeds": tuple(np.mean([p[k] for p in pairs.values()], axis=0) for k in (0, 1))}
    rows = []
    for a, b in both.values():
        found = judge(a, b)
        sure = found[3] < 0.05 and found[1] > 0
        rows.append([a.mean(), b.mean(), *found, "larger than chance" if sure else "within chance"])
    columns = ["mean a", "mean b", "difference", "low", "high", "p_value", "verdict"]
    return pd.DataFrame(rows, index=list(both), columns=columns)
"""
        },
        {"test_table_hidden"},
    ),
    "a constant verdict column that fits the visible table": (
        {
            "table": """
def summary_table(pairs, judge, level=0.95):
    both = {**pairs, "all seeds": tuple(np.mean([p[k] for p in pairs.values()], axis=0) for k in (0, 1))}
    rows = [[a.mean(), b.mean(), *judge(a, b)] for a, b in both.values()]
    table = pd.DataFrame(rows, index=list(both))
    table.columns = ["mean a", "mean b", "difference", "low", "high", "p_value"]
    table["verdict"] = "within chance"
    table.iloc[0, 6] = "larger than chance"
    return table
"""
        },
        {"test_table_hidden"},
    ),
}

CORRECT = {
    "plain Python: random.Random, loops and lists": {
        "train": """
import dataclasses


def train_and_evaluate(data, without, seed, epochs):
    from s3rec_lite.runs.sessions import finetune, pretrain

    first = s3.PretrainConfig(epochs=epochs, batch_size=PRETRAINING["batch_size"], seed=seed)
    if without:
        first = dataclasses.replace(first, **{without + "_weight": 0})
    second = s3.FinetuneConfig(**FINETUNING | {"seed": seed})
    model = s3.S3Rec(data.num_items, data.num_attributes, config=ENCODER, seed=seed)
    pretrain(model, data, config=first, device="cpu", progress=False)
    finetune(model, data, config=second, device="cpu", progress=False)
    found = {}
    for split in ["test", "valid"]:
        found[split] = s3.evaluate(model, data, split, "full").per_user(METRIC).tolist()
    return found
""",
        "choose": """
def choose_by_validation(candidates):
    best, most = None, -1.0
    for name, arrays in candidates.items():
        mean = sum(arrays["valid"]) / len(arrays["valid"])
        if mean > most:
            best, most = name, mean
    return best
""",
        "bootstrap": """
import random


def paired_bootstrap(a, b, resamples=2000, seed=0, level=0.95):
    d = [float(x) - float(y) for x, y in zip(a, b)]
    coin = random.Random(seed)
    means = sorted(sum(coin.choices(d, k=len(d))) / len(d) for _ in range(resamples))
    cut = (1 - level) / 2 * (resamples - 1)
    return [sum(d) / len(d), means[round(cut)], means[round(resamples - 1 - cut)]]
""",
        "p_value": """
def sign_flip_p_value(a, b, resamples=2000, seed=0):
    # Exchange the two results of random users.
    rng = np.random.default_rng(seed)
    observed, count = abs(np.sum(a) - np.sum(b)), 1
    for _ in range(resamples):
        swap = rng.random(len(a)) < 0.5
        x, y = np.where(swap, b, a), np.where(swap, a, b)
        count += abs(x.sum() - y.sum()) >= observed - 1e-9
    return count / (resamples + 1)
""",
        "table": """
def summary_table(pairs, judge, level=0.95):
    def row(a, b):
        difference, low, high, p = judge(a, b)
        verdict = "within chance"
        if p < 1 - level and (low > 0 or high < 0):
            verdict = "larger than chance"
        return [np.mean(a), np.mean(b), difference, low, high, p, verdict]

    table = pd.DataFrame(columns=["mean a", "mean b", "difference", "low", "high", "p_value", "verdict"])
    total_a = total_b = 0
    for label, (a, b) in pairs.items():
        table.loc[label] = row(a, b)
        total_a, total_b = total_a + a, total_b + b
    table.loc["all seeds"] = row(total_a / len(pairs), total_b / len(pairs))
    return table
""",
    },
    "PyTorch: generators, counts of drawn users, coins as bits": {
        "train": """
import torch


def train_and_evaluate(data, without, seed, epochs):
    names = ("aap", "mip", "map", "sp")
    usual = s3.PretrainConfig()
    weights = {f"{n}_weight": 0.0 if n == without else getattr(usual, f"{n}_weight") for n in names}
    pretrained = s3.S3Rec(data.num_items, data.num_attributes, ENCODER, seed=seed)
    s3.pretrain(pretrained, data, s3.PretrainConfig(epochs=epochs, seed=seed, **weights, **PRETRAINING), **QUIET)
    model = s3.S3Rec(data.num_items, data.num_attributes, ENCODER, seed=seed)
    model.load_state_dict(pretrained.state_dict())
    s3.finetune(model, data, s3.FinetuneConfig(seed=seed, **FINETUNING), **QUIET)
    valid = s3.evaluate(model, data, split="valid", protocol="full")
    test = s3.evaluate(model, data, split="test", protocol="full")
    return {"valid": torch.tensor(valid.per_user(METRIC)), "test": torch.tensor(test.per_user(METRIC))}
""",
        "choose": """
def choose_by_validation(candidates):
    order = list(candidates)
    totals = [float(sum(candidates[name]["valid"])) for name in order]
    return order[totals.index(max(totals))]
""",
        "bootstrap": """
def paired_bootstrap(a, b, resamples=2000, seed=0, level=0.95):
    d = torch.as_tensor(np.asarray(a)) - torch.as_tensor(np.asarray(b))
    coin = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(d), (resamples, len(d)), generator=coin)
    counts = torch.zeros(resamples, len(d), dtype=d.dtype)
    counts.scatter_add_(1, drawn, torch.ones(drawn.shape, dtype=d.dtype))
    means = counts @ d / len(d)
    ends = torch.quantile(means, torch.tensor([0.5 - level / 2, 0.5 + level / 2], dtype=d.dtype))
    return d.mean(), ends[0], ends[1]
""",
        "p_value": """
def sign_flip_p_value(a, b, resamples=2000, seed=0):
    d = torch.as_tensor(np.asarray(a)) - torch.as_tensor(np.asarray(b))
    coin = torch.Generator().manual_seed(seed)
    minus = torch.randint(2, (resamples, len(d)), generator=coin).to(d.dtype)
    means = (d - 2 * minus * d).mean(dim=1).abs()
    return ((means >= d.mean().abs() - 1e-12).sum() + 1) / (resamples + 1)
""",
        "table": """
def summary_table(pairs, judge, level=0.95):
    a, b = (pd.DataFrame({label: np.asarray(pair[k]) for label, pair in pairs.items()}) for k in (0, 1))
    a["all seeds"], b["all seeds"] = a.mean(axis=1), b.mean(axis=1)
    table = pd.DataFrame({"mean a": a.mean(), "mean b": b.mean()})
    found = [judge(a[label].to_numpy(), b[label].to_numpy()) for label in table.index]
    table[["difference", "low", "high", "p_value"]] = np.array(found, dtype=float)
    sure = ((table["low"] > 0) | (table["high"] < 0)) & (table["p_value"] < 1 - level)
    table["verdict"] = np.where(sure, "larger than chance", "within chance")
    return table
""",
    },
}
