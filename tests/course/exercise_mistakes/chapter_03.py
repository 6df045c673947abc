"""Typical wrong answers to the exercises of chapter 03, and what the check must say about them."""

MISTAKES = {
    1: [
        (
            "def allowed(items, causal):\n"
            "    order = torch.ones(items.shape[1], items.shape[1], dtype=torch.bool)\n"
            "    return (items != 0)[:, None, :] & (order.triu() if causal else order)\n",
            "Rows and columns are exchanged",
        ),
        (
            "def allowed(items, causal):\n"
            "    order = torch.ones(items.shape[1], items.shape[1], dtype=torch.bool)\n"
            "    return (items != 0)[:, None, :] & (order.tril(-1) if causal else order)\n",
            "keep the diagonal",
        ),
        (
            "def allowed(items, causal):\n"
            "    order = torch.ones(items.shape[1], items.shape[1], dtype=torch.bool)\n"
            "    return (items != 0)[:, :, None] & (order.tril() if causal else order)\n",
            "hid padding as a query",
        ),
        (
            "def allowed(items, causal):\n"
            "    order = torch.ones(items.shape[1], items.shape[1], dtype=torch.bool)\n"
            "    return (order.tril() if causal else order).expand(len(items), -1, -1)\n",
            "Padding may still be looked at",
        ),
        (
            "def allowed(items, causal):\n    return (items != 0)[:, None, :]\n",
            "The shape is [3, 1, 6]",
        ),
        (
            "def allowed(items, causal):\n    return (items != 0)[:, None, :].repeat(1, items.shape[1], 1)\n",
            "The future is not hidden",
        ),
    ],
    2: [
        ("def reach(n_layers, window, length):\n    return min(length, n_layers * window)\n", "count twice"),
        ("def reach(n_layers, window, length):\n    return window\n", "Windows add up over blocks"),
        ("def reach(n_layers, window, length):\n    return n_layers * (window - 1) + 1\n", "More items than there are"),
    ],
    3: [
        (
            "def pre_norm(block, x, mask, dropout):\n    return block(x, mask, dropout)\n",
            "That is post-norm",
        ),
        (
            "def pre_norm(block, x, mask, dropout):\n"
            "    a, f = block.attention, block.feed_forward\n"
            "    x = a.layer_norm(x)\n"
            "    x = x + a.output(a.attend(x, mask, dropout))\n"
            "    x = f.layer_norm(x)\n"
            "    return x + f.output(f.activation(f.inner(x)))\n",
            "You add back the normalised input",
        ),
        (
            "def pre_norm(block, x, mask, dropout):\n"
            "    a, f = block.attention, block.feed_forward\n"
            "    x = a.output(a.attend(a.layer_norm(x), mask, dropout))\n"
            "    return f.output(f.activation(f.inner(f.layer_norm(x))))\n",
            "The residual is missing",
        ),
        (
            "def pre_norm(block, x, mask, dropout):\n"
            "    a, f = block.attention, block.feed_forward\n"
            "    x = x + a.output(a.attend(a.layer_norm(x), mask, dropout))\n"
            "    return x + f.output(f.activation(f.inner(x)))\n",
            "has no norm in front of it",
        ),
    ],
    4: [
        (
            "def newest_context(x, mask, attention):\n"
            "    from s3rec_lite.support.fast import RandomDropout\n"
            "    return attention.attend(x, mask, RandomDropout(SHAKEN, None))[:, -1]\n",
            "every position is still projected",
        ),
        (
            "def newest_context(x, mask, attention):\n"
            "    heads, size, hidden = attention.n_heads, attention.head_size, x.shape[-1]\n"
            "    w_query, w_key, w_value = attention.query_key_value.weight.chunk(3)\n"
            "    b_query = attention.query_key_value.bias.chunk(3)[0]\n"
            "    query = (x[:, -1] @ w_query.T + b_query).view(-1, heads, size)\n"
            "    query = torch.einsum('bhc,hcd->bhd', query, w_key.view(heads, size, hidden))\n"
            "    scores = torch.einsum('bhd,bld->bhl', query, x) / math.sqrt(size) + mask[:, -1:]\n"
            "    pooled = torch.softmax(scores, dim=-1) @ x\n"
            "    return torch.einsum('bhd,hcd->bhc', pooled, w_value.view(heads, size, hidden)).flatten(1)\n",
            "The bias of the value is missing",
        ),
        (
            "def newest_context(x, mask, attention):\n"
            "    heads, size, hidden = attention.n_heads, attention.head_size, x.shape[-1]\n"
            "    w_query, w_key, w_value = attention.query_key_value.weight.chunk(3)\n"
            "    b_query, _, b_value = attention.query_key_value.bias.chunk(3)\n"
            "    query = (x[:, -1] @ w_query.T + b_query).view(-1, heads, size)\n"
            "    query = torch.einsum('bhc,hcd->bhd', query, w_key.view(heads, size, hidden))\n"
            "    scores = torch.einsum('bhd,bld->bhl', query, x) / math.sqrt(hidden) + mask[:, -1:]\n"
            "    pooled = torch.softmax(scores, dim=-1) @ x\n"
            "    values = torch.einsum('bhd,hcd->bhc', pooled, w_value.view(heads, size, hidden))\n"
            "    return (values + b_value.view(heads, size)).flatten(1)\n",
            "the width of a head",
        ),
        (
            "def newest_context(x, mask, attention):\n"
            "    heads, size, hidden = attention.n_heads, attention.head_size, x.shape[-1]\n"
            "    w_query, w_key, w_value = attention.query_key_value.weight.chunk(3)\n"
            "    b_query, _, b_value = attention.query_key_value.bias.chunk(3)\n"
            "    query = (x[:, -1] @ w_query.T + b_query).view(-1, heads, size)\n"
            "    query = torch.einsum('bhc,hcd->bhd', query, w_key.view(heads, size, hidden))\n"
            "    scores = torch.einsum('bhd,bld->bhl', query, x) / math.sqrt(size)\n"
            "    pooled = torch.softmax(scores, dim=-1) @ x\n"
            "    values = torch.einsum('bhd,hcd->bhc', pooled, w_value.view(heads, size, hidden))\n"
            "    return (values + b_value.view(heads, size)).flatten(1)\n",
            "The mask is missing",
        ),
    ],
}
