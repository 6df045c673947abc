"""Submissions for the assignment 03_encoder: what is wrong in each, and which test cells notice."""

WRONG = {
    "positions from the left": (
        {
            "embed": """
def embed(items, item_table, position_table):
    return item_table[items] + position_table[: items.shape[1]]
"""
        },
        {"test_embed", "test_embed_hidden"},
    ),
    "positions start at the first item of each row": (
        {
            "embed": """
def embed(items, item_table, position_table):
    places = ((items != 0).cumsum(1) - 1).clamp(min=0)
    return item_table[items] + position_table[places]
"""
        },
        {"test_embed", "test_embed_hidden"},
    ),
    "padding is not hidden": (
        {
            "attention_mask": """
def attention_mask(items, causal):
    b, length = items.shape
    mask = torch.zeros(b, length, length)
    if causal:
        mask = mask.masked_fill(torch.ones(length, length).triu(1).bool(), -1e9)
    return mask
"""
        },
        {"test_mask", "test_mask_hidden"},
    ),
    "padding is hidden in rows instead of columns": (
        {
            "attention_mask": """
def attention_mask(items, causal):
    length = items.shape[1]
    hidden = (items == 0)[:, :, None].repeat(1, 1, length)
    if causal:
        hidden = hidden | torch.ones(length, length).triu(1).bool()
    return torch.zeros(hidden.shape).masked_fill(hidden, -1e9)
"""
        },
        {"test_mask", "test_mask_hidden"},
    ),
    "causal mask off by one: the next item is seen": (
        {
            "attention_mask": """
def attention_mask(items, causal):
    length = items.shape[1]
    hidden = (items == 0)[:, None, :].repeat(1, length, 1)
    if causal:
        hidden = hidden | torch.ones(length, length).triu(2).bool()
    return torch.zeros(hidden.shape).masked_fill(hidden, -1e9)
"""
        },
        {"test_mask", "test_mask_hidden"},
    ),
    "causal mask off by one: a position does not see itself": (
        {
            "attention_mask": """
def attention_mask(items, causal):
    length = items.shape[1]
    hidden = (items == 0)[:, None, :].repeat(1, length, 1)
    if causal:
        hidden = hidden | torch.ones(length, length).triu(0).bool()
    return torch.zeros(hidden.shape).masked_fill(hidden, -1e9)
"""
        },
        {"test_mask", "test_mask_hidden"},
    ),
    "mask after the softmax": (
        {
            "attention": """
def attention(query, key, value, mask):
    weights = torch.softmax(query @ key.transpose(1, 2) / query.shape[-1] ** 0.5, dim=-1)
    return weights.masked_fill(mask < 0, 0) @ value
"""
        },
        {"test_attention", "test_attention_hidden"},
    ),
    "no scale": (
        {
            "attention": """
def attention(query, key, value, mask):
    return torch.softmax(query @ key.transpose(1, 2) + mask, dim=-1) @ value
"""
        },
        {"test_attention", "test_attention_hidden"},
    ),
    "softmax over the wrong axis": (
        {
            "attention": """
def attention(query, key, value, mask):
    scores = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5 + mask
    return torch.softmax(scores, dim=1) @ value
"""
        },
        {"test_attention", "test_attention_hidden"},
    ),
    "scale by the root of the hidden width instead of the head's": (
        {
            "multi_head": """
def multi_head(x, mask, weights, n_heads):
    b, length, hidden = x.shape
    w, bias = (weights["attention.query_key_value." + kind] for kind in ("weight", "bias"))
    q, k, v = (
        part.view(b, length, n_heads, -1).transpose(1, 2)
        for part in F.linear(x, w, bias).chunk(3, dim=-1)
    )
    scores = q @ k.transpose(2, 3) / math.sqrt(hidden) + mask[:, None]
    context = (torch.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(b, length, hidden)
    return F.linear(context, weights["attention.output.weight"], weights["attention.output.bias"])
"""
        },
        {"test_multi_head", "test_multi_head_hidden"},
    ),
    "heads split with view alone": (
        {
            "multi_head": """
def multi_head(x, mask, weights, n_heads):
    b, length, hidden = x.shape
    w, bias = (weights["attention.query_key_value." + kind] for kind in ("weight", "bias"))
    size = hidden // n_heads
    parts = F.linear(x, w, bias).chunk(3, dim=-1)
    q, k, v = (part.reshape(b, n_heads, length, size) for part in parts)
    scores = q @ k.transpose(2, 3) / math.sqrt(size) + mask[:, None]
    context = (torch.softmax(scores, dim=-1) @ v).reshape(b, length, hidden)
    return F.linear(context, weights["attention.output.weight"], weights["attention.output.bias"])
"""
        },
        {"test_multi_head", "test_multi_head_hidden"},
    ),
    "no output layer, though attention is fine": (
        {
            "multi_head": """
def multi_head(x, mask, weights, n_heads):
    size = x.shape[-1] // n_heads
    w, bias = (weights["attention.query_key_value." + kind] for kind in ("weight", "bias"))
    parts = [part.split(size, dim=-1) for part in F.linear(x, w, bias).chunk(3, dim=-1)]
    return torch.cat([attention(*head, mask) for head in zip(*parts)], dim=-1)
"""
        },
        {"test_multi_head", "test_multi_head_hidden"},
    ),
    "ReLU as in the paper": (
        {
            "feed_forward": """
def feed_forward(x, weights):
    w = {name.removeprefix("feed_forward."): tensor for name, tensor in weights.items()}
    z = torch.relu(F.linear(x, w["inner.weight"], w["inner.bias"]))
    return F.linear(z, w["output.weight"], w["output.bias"])
"""
        },
        {"test_feed_forward", "test_feed_forward_hidden"},
    ),
    "GELU approximated with tanh": (
        {
            "feed_forward": """
def feed_forward(x, weights):
    w = {name.removeprefix("feed_forward."): tensor for name, tensor in weights.items()}
    z = F.gelu(F.linear(x, w["inner.weight"], w["inner.bias"]), approximate="tanh")
    return F.linear(z, w["output.weight"], w["output.bias"])
"""
        },
        {"test_feed_forward", "test_feed_forward_hidden"},
    ),
    "pre-norm": (
        {
            "block": """
def block(x, mask, weights, n_heads):
    def norm(z, part):
        w, b = weights[part + ".layer_norm.weight"], weights[part + ".layer_norm.bias"]
        return F.layer_norm(z, z.shape[-1:], w, b, 1e-12)

    x = x + multi_head(norm(x, "attention"), mask, weights, n_heads)
    return x + feed_forward(norm(x, "feed_forward"), weights)
"""
        },
        {"test_block", "test_block_hidden"},
    ),
    "variance divided by H - 1": (
        {
            "block": """
def block(x, mask, weights, n_heads):
    def norm(z, part):
        z = (z - z.mean(-1, keepdim=True)) / (z.std(-1, keepdim=True) + 1e-12)
        return z * weights[part + ".layer_norm.weight"] + weights[part + ".layer_norm.bias"]

    x = norm(x + multi_head(x, mask, weights, n_heads), "attention")
    return norm(x + feed_forward(x, weights), "feed_forward")
"""
        },
        {"test_block", "test_block_hidden"},
    ),
    "the second residual is the block's input": (
        {
            "block": """
def block(x, mask, weights, n_heads):
    def norm(z, part):
        w, b = weights[part + ".layer_norm.weight"], weights[part + ".layer_norm.bias"]
        return F.layer_norm(z, z.shape[-1:], w, b, 1e-12)

    y = norm(x + multi_head(x, mask, weights, n_heads), "attention")
    return norm(x + feed_forward(y, weights), "feed_forward")
"""
        },
        {"test_block", "test_block_hidden"},
    ),
    "the input is changed in place": (
        {
            "block": """
def block(x, mask, weights, n_heads):
    def norm(z, part):
        w, b = weights[part + ".layer_norm.weight"], weights[part + ".layer_norm.bias"]
        return F.layer_norm(z, z.shape[-1:], w, b, 1e-12)

    x += multi_head(x, mask, weights, n_heads)
    x = norm(x, "attention")
    x += feed_forward(x, weights)
    return norm(x, "feed_forward")
"""
        },
        {"test_block", "test_block_hidden"},
    ),
    "PyTorch's own epsilon, 1e-5": (
        {
            "block": """
def block(x, mask, weights, n_heads):
    def norm(z, part):
        w, b = weights[part + ".layer_norm.weight"], weights[part + ".layer_norm.bias"]
        return F.layer_norm(z, z.shape[-1:], w, b)

    x = norm(x + multi_head(x, mask, weights, n_heads), "attention")
    return norm(x + feed_forward(x, weights), "feed_forward")
"""
        },
        {"test_block_hidden"},
    ),
    "the mean of all states is scored": (
        {
            "score": """
def score(states, item_table):
    return states.mean(dim=1) @ item_table.T
"""
        },
        {"test_score", "test_score_hidden"},
    ),
    "the scores are made probabilities": (
        {
            "score": """
def score(states, item_table):
    return torch.softmax(states[:, -1] @ item_table.T, dim=-1)
"""
        },
        {"test_score", "test_score_hidden"},
    ),
    "parts 3 and 5 are left empty and later parts call them": (
        {
            "attention": """
def attention(query, key, value, mask):
    pass
""",
            "feed_forward": """
feed_forward = None
""",
        },
        {"test_attention", "test_attention_hidden", "test_feed_forward", "test_feed_forward_hidden"},
    ),
    "answers copied from the visible tests": (
        {
            "embed": """
def embed(items, item_table, position_table):
    return [[[0, 3], [20, 4], [10, 5]], [[30, 3], [10, 4], [20, 5]]]
""",
            "attention_mask": """
def attention_mask(items, causal):
    x = -1e9
    if causal:
        first = [[x, x, x, x, x], [x, x, x, x, x], [x, x, 0, x, x], [x, x, 0, 0, x], [x, x, 0, 0, 0]]
        return torch.tensor([first, [[0.0 if s <= t else x for s in range(5)] for t in range(5)]])
    return torch.tensor([[[x, x, 0, 0, 0]] * 5, [[0.0] * 5] * 5])
""",
            "attention": """
def attention(query, key, value, mask):
    if mask.min() < 0:
        return [[[1, 0, 0, 1], [1 / 3, 2 / 3, 0, 1], [1 / 14, 4 / 14, 9 / 14, 1.0]]]
    return [[[1 / 3, 1 / 3, 1 / 3, 1], [1 / 6, 2 / 6, 3 / 6, 1], [1 / 14, 4 / 14, 9 / 14, 1]]]
""",
            "multi_head": """
def multi_head(x, mask, weights, n_heads):
    first = [[0.995, 1.514, -0.066, 2.790], [4.784, 0.915, -1.441, -0.205]]
    return [[*first, [3.270, 0.998, -0.854, 0.536]]]
""",
            "feed_forward": """
def feed_forward(x, weights):
    return [[[23.7533, -2.8332], [-0.6937, 18.2983]]]
""",
            "block": """
def block(x, mask, weights, n_heads):
    first = [[0.226, 0.184, -1.773, 0.164], [1.229, -0.097, -1.435, -0.949]]
    return [[*first, [1.429, -0.235, -1.345, -1.035]]]
""",
            "score": """
def score(states, item_table):
    return [[0, 1, 2, 3, 0], [0, -3, 2, -1, -8]]
""",
        },
        {
            "test_embed_hidden",
            "test_mask_hidden",
            "test_attention_hidden",
            "test_multi_head_hidden",
            "test_feed_forward_hidden",
            "test_block_hidden",
            "test_score_hidden",
        },
    ),
    "calls s3rec_lite instead of implementing": (
        {
            "embed": """
import s3rec_lite as s3


def model_of(hidden, n_heads, inner=1, ids=4, room=1):
    config = s3.ModelConfig(hidden_size=hidden, inner_size=inner, n_heads=n_heads, max_length=room)
    return s3.S3Rec(ids - 2, 0, config).eval()


def embed(items, item_table, position_table):
    room, hidden = position_table.shape
    model = model_of(hidden, 1, ids=len(item_table), room=room)
    model.item_embeddings.weight.data = item_table.clone()
    model.position_embeddings.weight.data = position_table.clone()
    model.layer_norm = torch.nn.Identity()
    return model.embed(items, model.draw_dropout(None))
""",
            "attention_mask": """
def attention_mask(items, causal):
    length = items.shape[1]
    return model_of(4, 1).attention_mask(items, causal).repeat(1, 1 if causal else length, 1)
""",
            "multi_head": """
def multi_head(x, mask, weights, n_heads):
    model = model_of(x.shape[-1], n_heads)
    part = model.blocks[0].attention
    own = {n.removeprefix("attention."): w for n, w in weights.items() if n.startswith("attention.")}
    part.load_state_dict(own)
    return part.output(part.attend(x, mask, model.draw_dropout(None)))
""",
            "feed_forward": """
def feed_forward(x, weights):
    from s3rec_lite.encoder import ACTIVATIONS, FeedForward

    w = {name.removeprefix("feed_forward."): tensor for name, tensor in weights.items()}
    part = FeedForward(s3.ModelConfig(hidden_size=x.shape[-1], n_heads=1, inner_size=len(w["inner.bias"])))
    part.inner.weight.data, part.inner.bias.data = w["inner.weight"], w["inner.bias"]
    part.output.weight.data, part.output.bias.data = w["output.weight"], w["output.bias"]
    return part.output(ACTIVATIONS["gelu"](part.inner(x)))
""",
            "block": """
def block(x, mask, weights, n_heads):
    model = model_of(x.shape[-1], n_heads, len(weights["feed_forward.inner.bias"]))
    model.blocks[0].load_state_dict(weights)
    return model.blocks[0](x, mask, model.draw_dropout(None))
""",
        },
        {
            "test_embed",
            "test_embed_hidden",
            "test_mask",
            "test_mask_hidden",
            "test_multi_head",
            "test_multi_head_hidden",
            "test_feed_forward",
            "test_feed_forward_hidden",
            "test_block",
            "test_block_hidden",
        },
    ),
    "calls PyTorch's ready-made attention": (
        {
            "attention": """
def attention(query, key, value, mask):
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
""",
            "multi_head": """
def multi_head(x, mask, weights, n_heads):
    layer = torch.nn.MultiheadAttention(x.shape[-1], n_heads, batch_first=True).eval()
    layer.in_proj_weight.data = weights["attention.query_key_value.weight"]
    layer.in_proj_bias.data = weights["attention.query_key_value.bias"]
    layer.out_proj.weight.data = weights["attention.output.weight"]
    layer.out_proj.bias.data = weights["attention.output.bias"]
    mask = mask.repeat_interleave(n_heads, 0)
    return layer(x, x, x, attn_mask=mask, need_weights=False)[0]
""",
            "block": """
def block(x, mask, weights, n_heads):
    inner = len(weights["feed_forward.inner.bias"])
    layer = torch.nn.TransformerEncoderLayer(
        x.shape[-1], n_heads, inner, 0.0, "gelu", layer_norm_eps=1e-12, batch_first=True
    ).eval()
    parts = {
        "self_attn.in_proj_": "attention.query_key_value.",
        "self_attn.out_proj.": "attention.output.",
        "linear1.": "feed_forward.inner.",
        "linear2.": "feed_forward.output.",
        "norm1.": "attention.layer_norm.",
        "norm2.": "feed_forward.layer_norm.",
    }
    kinds = ("weight", "bias")
    layer.load_state_dict({a + kind: weights[b + kind] for a, b in parts.items() for kind in kinds})
    with torch.no_grad():
        return layer(x, src_mask=mask.repeat_interleave(n_heads, 0))
""",
        },
        {
            "test_attention",
            "test_attention_hidden",
            "test_multi_head",
            "test_multi_head_hidden",
            "test_block",
            "test_block_hidden",
        },
    ),
}

CORRECT = {
    "plain Python loops and lists": {
        "embed": """
def embed(items, item_table, position_table):
    rows, places = item_table.tolist(), position_table.tolist()
    answer = []
    for sequence in items.tolist():
        first = len(places) - len(sequence)
        pairs = [(rows[item], places[first + t]) for t, item in enumerate(sequence)]
        answer.append([[a + b for a, b in zip(*pair)] for pair in pairs])
    return answer
""",
        "attention_mask": """
def attention_mask(items, causal):
    answer = []
    for sequence in items.tolist():
        n = len(sequence)
        answer.append(
            [
                [0 if sequence[s] != 0 and (s <= t or not causal) else -1e9 for s in range(n)]
                for t in range(n)
            ]
        )
    return answer
""",
        "attention": """
def attention(query, key, value, mask):
    answer = []
    for queries, keys, values, table in zip(
        query.tolist(), key.tolist(), value.tolist(), mask.tolist()
    ):
        rows = []
        for t, q in enumerate(queries):
            scores = [
                sum(a * b for a, b in zip(q, k)) / len(q) ** 0.5 + table[t][s]
                for s, k in enumerate(keys)
            ]
            powers = [math.exp(score - max(scores)) for score in scores]
            shares = [power / sum(powers) for power in powers]
            columns = range(len(q))
            rows.append([sum(w * v[c] for w, v in zip(shares, values)) for c in columns])
        answer.append(rows)
    return answer
""",
        "multi_head": """
def multi_head(x, mask, weights, n_heads):
    hidden = x.shape[-1]
    size = hidden // n_heads
    weight = weights["attention.query_key_value.weight"]
    bias = weights["attention.query_key_value.bias"]
    mix = weights["attention.output.weight"]
    total = torch.zeros_like(x) + weights["attention.output.bias"]
    for head in range(n_heads):
        one = []
        for part in range(3):
            rows = slice(part * hidden + head * size, part * hidden + (head + 1) * size)
            one.append(x @ weight[rows].T + bias[rows])
        context = torch.tensor(attention(*one, mask))  # lists
        total = total + context @ mix[:, head * size : (head + 1) * size].T
    return total.tolist()
""",
        "feed_forward": """
def feed_forward(x, weights):
    first, first_bias = (weights["feed_forward.inner." + k].tolist() for k in ("weight", "bias"))
    last, last_bias = (weights["feed_forward.output." + k].tolist() for k in ("weight", "bias"))

    def linear(v, rows, bias):
        return [sum(a * b for a, b in zip(row, v)) + c for row, c in zip(rows, bias)]

    def one(v):
        inner = [z / 2 * (1 + math.erf(z / math.sqrt(2))) for z in linear(v, first, first_bias)]
        return linear(inner, last, last_bias)

    return [[one(v) for v in sequence] for sequence in x.tolist()]
""",
        "block": """
def norm_of_one(z, scale, shift):
    mean = sum(z) / len(z)
    variance = sum((c - mean) ** 2 for c in z) / len(z)
    return [g * (c - mean) / math.sqrt(variance + 1e-12) + b for c, g, b in zip(z, scale, shift)]


def add_and_norm(x, y, weights, part):
    scale = weights[part + ".layer_norm.weight"].tolist()
    shift = weights[part + ".layer_norm.bias"].tolist()
    total = (x + as_tensor(y)).tolist()
    return torch.tensor([[norm_of_one(z, scale, shift) for z in row] for row in total])


def block(x, mask, weights, n_heads):
    a = add_and_norm(x, multi_head(x, mask, weights, n_heads), weights, "attention")
    return add_and_norm(a, feed_forward(a, weights), weights, "feed_forward").tolist()
""",
        "score": """
def score(states, item_table):
    newest = [sequence[-1] for sequence in states.tolist()]
    return [[sum(a * b for a, b in zip(f, e)) for e in item_table.tolist()] for f in newest]
""",
    },
    "NumPy arrays in double precision": {
        "embed": """
import numpy as np


def embed(items, item_table, position_table):
    items, table, places = (np.asarray(t) for t in (items, item_table, position_table))
    ago = np.arange(items.shape[1])[::-1]
    return table[items] + places[len(places) - 1 - ago]
""",
        "attention_mask": """
def attention_mask(items, causal):
    items = np.asarray(items)
    t, s = np.indices((items.shape[1],) * 2)
    look = (items != 0)[:, None, :] & ((s <= t) | (not causal))
    return np.where(look, 0.0, -1e9)
""",
        "attention": """
def attention(query, key, value, mask):
    query, key, value, mask = (np.asarray(t, dtype=float) for t in (query, key, value, mask))
    scores = np.einsum("btc,bsc->bts", query / np.sqrt(query.shape[-1]), key)
    powers = np.where(mask < 0, 0, np.exp(scores))  # only what may be looked at counts
    return powers @ value / powers.sum(axis=-1, keepdims=True).clip(1e-30)
""",
        "multi_head": """
def multi_head(x, mask, weights, n_heads):
    w = {name: np.asarray(tensor, dtype=float) for name, tensor in weights.items()}
    x = np.asarray(x, dtype=float)
    b, length, hidden = x.shape
    parts = x @ w["attention.query_key_value.weight"].T + w["attention.query_key_value.bias"]
    q, k, v = parts.reshape(b, length, 3, n_heads, hidden // n_heads).transpose(2, 0, 3, 1, 4)
    scores = q @ k.swapaxes(-1, -2) * (n_heads / hidden) ** 0.5 + np.asarray(mask)[:, None]
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    context = (powers / powers.sum(-1, keepdims=True)) @ v
    context = context.swapaxes(1, 2).reshape(b, length, hidden)
    return context @ w["attention.output.weight"].T + w["attention.output.bias"]
""",
        "feed_forward": """
def feed_forward(x, weights):
    w = {name: np.asarray(tensor, dtype=float) for name, tensor in weights.items()}
    z = np.asarray(x) @ w["feed_forward.inner.weight"].T + w["feed_forward.inner.bias"]
    z = z * (1 + np.vectorize(math.erf)(z / 2**0.5)) / 2
    return z @ w["feed_forward.output.weight"].T + w["feed_forward.output.bias"]
""",
        "block": """
def block(x, mask, weights, n_heads):
    x = np.asarray(x, dtype=float)
    for part, layer in (("attention", None), ("feed_forward", feed_forward)):
        given = torch.as_tensor(x).float()
        y = layer(given, weights) if layer else multi_head(given, mask, weights, n_heads)
        z = x + np.asarray(y)
        z = (z - z.mean(-1, keepdims=True)) / z.std(-1, keepdims=True)
        scale, shift = (np.asarray(weights[f"{part}.layer_norm.{k}"]) for k in ("weight", "bias"))
        x = z * scale + shift
    return x
""",
        "score": """
def score(states, item_table):
    return np.asarray(states)[:, -1] @ np.asarray(item_table).T
""",
    },
    "tensors with an axis of heads, and modules of torch.nn": {
        "embed": """
def embed(items, item_table, position_table):
    positions = torch.arange(-items.shape[1], 0)
    table, places = torch.nn.Embedding.from_pretrained(item_table), position_table
    return table(items) + places[positions]
""",
        "attention_mask": """
def attention_mask(items, causal):
    pairs = (items != 0).unsqueeze(1) & torch.ones(items.shape[1], items.shape[1]).bool()
    pairs = torch.tril(pairs) if causal else pairs
    return (1.0 - pairs.float()) * -1e9
""",
        "attention": """
def attention(query, key, value, mask):
    scores = torch.bmm(query, key.mT).div(query.size(-1) ** 0.5)
    scores = scores.masked_fill(mask != 0, torch.finfo(scores.dtype).min)
    scores = torch.exp(scores - scores.logsumexp(dim=2, keepdim=True))
    return torch.einsum("bts,bsc->btc", scores, value)
""",
        "multi_head": """
def multi_head(x, mask, weights, n_heads):
    b, length, hidden = x.shape
    project = torch.nn.Linear(hidden, 3 * hidden)
    project.weight.data = weights["attention.query_key_value.weight"]
    project.bias.data = weights["attention.query_key_value.bias"]
    heads = project(x).view(b, length, 3 * n_heads, -1).transpose(1, 2)
    q, k, v = heads.flatten(0, 1).view(b, 3, n_heads, length, -1).unbind(1)
    fold = (b * n_heads, length, hidden // n_heads)
    mask = mask.repeat_interleave(n_heads, dim=0)
    context = attention(q.reshape(fold), k.reshape(fold), v.reshape(fold), mask)
    context = context.view(b, n_heads, length, -1).permute(0, 2, 1, 3).flatten(2)
    return context @ weights["attention.output.weight"].mT + weights["attention.output.bias"]
""",
        "feed_forward": """
def feed_forward(x, weights):
    inner, outer = (weights[f"feed_forward.{name}.weight"] for name in ("inner", "output"))
    z = torch.nn.GELU()(x @ inner.T + weights["feed_forward.inner.bias"])
    return z @ outer.T + weights["feed_forward.output.bias"]
""",
        "block": """
def block(x, mask, weights, n_heads):
    norms = {}
    for part in ("attention", "feed_forward"):
        norms[part] = torch.nn.LayerNorm(x.shape[-1], eps=1e-12)
        norms[part].weight.data = weights[part + ".layer_norm.weight"]
        norms[part].bias.data = weights[part + ".layer_norm.bias"]
    y = norms["attention"](multi_head(x, mask, weights, n_heads) + x)
    return norms["feed_forward"](feed_forward(y, weights) + y)
""",
        "score": """
def score(states, item_table):
    return torch.einsum("blh,ih->bli", states, item_table)[:, -1, :]
""",
    },
}
