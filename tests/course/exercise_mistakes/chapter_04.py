"""Typical wrong answers to the exercises of chapter 04, and what the check cell must say to them."""

MISTAKES = {
    1: [
        (
            "def critic_scores(items, attributes, weight, bias):\n    return items @ weight.T @ attributes.T",
            "bias is missing",
        ),
        (
            "def critic_scores(items, attributes, weight, bias):\n    return (items @ weight + bias) @ attributes.T",
            "transposed",
        ),
        (
            "def critic_scores(items, attributes, weight, bias):\n"
            "    return torch.sigmoid((items @ weight.T + bias) @ attributes.T)",
            "sigmoid",
        ),
        (
            "def critic_scores(items, attributes, weight, bias):\n    return attributes @ (items @ weight.T + bias).T",
            "items by attributes",
        ),
    ],
    2: [
        (
            "def aap_rows(logits, present):\n"
            "    return F.softplus(torch.where(present, -1.0, 1.0) * logits).mean(dim=1)",
            "averaged over the columns",
        ),
        (
            "def aap_rows(logits, present):\n"
            "    signs = torch.where(present, -1.0, 1.0)\n"
            "    return F.softplus(signs * logits)[:, 1:].sum(dim=1)",
            "Column 0 is left out",
        ),
        (
            "def aap_rows(logits, present):\n"
            "    p = torch.sigmoid(logits)\n"
            "    return -torch.where(present, p, 1 - p).log().sum(dim=1)",
            "take softplus",
        ),
        ("def aap_rows(logits, present):\n    return (F.softplus(-logits) * present).sum(dim=1)", "must cost too"),
    ],
    3: [
        (
            "def first_loss(num_attributes, positions, masked_share, column_zero):\n"
            "    return positions * (1 - masked_share) * (num_attributes + column_zero)",
            "count of terms",
        ),
        (
            "def first_loss(num_attributes, positions, masked_share, column_zero):\n"
            "    return positions * masked_share * (num_attributes + column_zero) * np.log(2)",
            "masked positions",
        ),
        (
            "def first_loss(num_attributes, positions, masked_share, column_zero):\n"
            "    return positions * (1 - masked_share) * num_attributes * np.log(2)",
            "Column 0 is missing",
        ),
    ],
    4: [
        (
            "def negative_distribution(attributes, weights):\n"
            "    drawn = weights @ attributes.float()\n"
            "    return drawn / drawn.sum()",
            "drew tags",
        ),
        (
            "def negative_distribution(attributes, weights):\n"
            "    shares = weights / weights.sum() / attributes.sum(dim=1)\n"
            "    return (attributes * shares[:, None]).sum(dim=0)",
            "NaN",
        ),
        (
            "def negative_distribution(attributes, weights):\n"
            "    shares = weights / weights.sum() / attributes.sum(dim=1).clamp(min=1)\n"
            "    return (attributes * shares[:, None]).sum(dim=0)",
            "must not take any share",
        ),
    ],
    5: [
        (
            "def bce_certificates(logits, present, probabilities):\n"
            "    y = present.float()\n"
            "    losses = F.binary_cross_entropy_with_logits(logits, y, reduction='none')\n"
            "    return np.log(2) - probabilities @ losses",
            "started from log 2",
        ),
        (
            "def bce_certificates(logits, present, probabilities):\n"
            "    y = present.float()\n"
            "    rates = y.mean(dim=0)\n"
            "    priors = -(torch.xlogy(rates, rates) + torch.xlogy(1 - rates, 1 - rates))\n"
            "    losses = F.binary_cross_entropy_with_logits(logits, y, reduction='none')\n"
            "    return priors - probabilities @ losses",
            "given probabilities",
        ),
        (
            "def bce_certificates(logits, present, probabilities):\n"
            "    y = present.float()\n"
            "    rates = probabilities @ y\n"
            "    losses = F.binary_cross_entropy_with_logits(logits, y, reduction='none')\n"
            "    return -torch.xlogy(rates, rates) - probabilities @ losses",
            "two terms",
        ),
        (
            "def bce_certificates(logits, present, probabilities):\n"
            "    y = present.float()\n"
            "    rates = probabilities @ y\n"
            "    priors = -(torch.xlogy(rates, rates) + torch.xlogy(1 - rates, 1 - rates))\n"
            "    losses = F.binary_cross_entropy_with_logits(logits, y, reduction='none')\n"
            "    return (priors - probabilities @ losses).sum()",
            "added the bounds up",
        ),
    ],
}
