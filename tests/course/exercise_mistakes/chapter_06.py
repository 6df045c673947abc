"""Typical wrong answers to the exercises of chapter 06, and what the check cell must say to them."""

LOSS = (
    "def map_loss(states, masked_items, pos_items, attributes, weight, bias, table, mask_token):\n"
    "    hidden = {where}\n"
    "    logits = (states[hidden] @ weight.T + bias) @ table[1:].T\n"
    "    present = attributes[{ids}[hidden]][:, 1:].float()\n"
    "    return F.binary_cross_entropy_with_logits(logits, present, reduction='{how}')"
)
SHARES = (
    "def predicted_shares(mean_length, num_attributes):\n"
    "    masked = {masked}\n"
    "    visible = mean_length - masked\n"
    "    columns = num_attributes + 1\n"
    "    terms = np.array([{aap} * visible * columns, masked{mip}, masked * columns, 0.5])\n"
    "    return {scale} * terms / terms.sum()"
)
INFORMATION = (
    "def information_at(gap, num_attributes, per_item, stay):\n"
    "    q = {q}\n"
    "    other = {other}\n"
    "    favoured = {favoured}\n"
    "    entropy = -per_item * favoured * np.log(favoured)\n"
    "    entropy -= (num_attributes - per_item) * other * np.log(other)\n"
    "    return {result}"
)
TRUE = {
    "q": "stay**gap",
    "other": "(1 - q) / num_attributes",
    "favoured": "q / per_item + other",
    "result": "np.log(num_attributes) - entropy",
}

MISTAKES = {
    1: [
        (
            "def positions(masked_items, mask_token):\n"
            "    return masked_items == mask_token, masked_items != mask_token",
            "AAP got the padding",
        ),
        (
            "def positions(masked_items, mask_token):\n"
            "    return (masked_items != 0) & (masked_items != mask_token), masked_items == mask_token",
            "exchanged",
        ),
        (
            "def positions(masked_items, mask_token):\n    return masked_items != 0, masked_items == 0",
            "MAP's positions are wrong",
        ),
    ],
    2: [
        (LOSS.format(where="masked_items == mask_token", ids="masked_items", how="sum"), "has no attributes"),
        (LOSS.format(where="masked_items == mask_token", ids="pos_items", how="mean"), "averaged"),
        (
            LOSS.format(where="(masked_items != mask_token) & (masked_items != 0)", ids="pos_items", how="sum"),
            "that is AAP",
        ),
        (LOSS.format(where="masked_items > -1", ids="pos_items", how="sum"), "counted all positions"),
    ],
    3: [
        (
            "def masked_share(lengths, mask_ratio):\n"
            "    lengths = np.asarray(lengths, dtype=float)\n"
            "    return ((1 + mask_ratio * (lengths - 1)) / lengths).mean()",
            "averaged shares",
        ),
        ("def masked_share(lengths, mask_ratio):\n    return mask_ratio", "plain ratio"),
        (
            "def masked_share(lengths, mask_ratio):\n    return mask_ratio + 1 / np.mean(lengths)",
            "masked once",
        ),
    ],
    4: [
        (SHARES.format(masked="0.2 * mean_length", aap="0.2", mip="", scale="100"), "always masked too"),
        (
            SHARES.format(masked="1 + 0.2 * (mean_length - 1)", aap="1.0", mip="", scale="100"),
            "AAP comes out above MAP",
        ),
        (SHARES.format(masked="1 + 0.2 * (mean_length - 1)", aap="0.2", mip="", scale="1"), "percent are asked for"),
        (
            SHARES.format(masked="1 + 0.2 * (mean_length - 1)", aap="0.2", mip=" * columns", scale="100"),
            "MIP is too large",
        ),
        (
            SHARES.format(masked="1 + 0.2 * (mean_length - 1)", aap="0.2", mip=" * 0", scale="100"),
            "count MIP and SP",
        ),
    ],
    5: [
        (INFORMATION.format(**{**TRUE, "q": "stay"}), "The gap has no effect"),
        (
            INFORMATION.format(
                **{**TRUE, "other": "(1 - q) / (num_attributes - per_item)", "favoured": "q / per_item"}
            ),
            "A jump may hit",
        ),
        (INFORMATION.format(**{**TRUE, "result": "(np.log(num_attributes) - entropy) / np.log(2)"}), "bits"),
        (
            INFORMATION.format(
                **{**TRUE, "q": "stay", "result": "(np.log(num_attributes) - entropy) * stay ** (gap - 1)"}
            ),
            "Put stay**g into",
        ),
    ],
}
