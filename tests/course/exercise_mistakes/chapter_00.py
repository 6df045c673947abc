"""Typical wrong answers to the exercises of chapter 00, and what the check must say to them."""

MISTAKES = {
    1: [
        (
            "def recommend_titles(model, data, titles, k=5):\n"
            "    history = [max(1, data.item_titles.index(title)) for title in titles]\n"
            "    return [data.title(item) for item in model.recommend(history, k=k)[0]]\n",
            "The history is off by one",
        ),
        (
            "def recommend_titles(model, data, titles, k=5):\n"
            "    history = [data.item_titles.index(title) + 1 for title in titles]\n"
            "    return [data.item_titles[item] for item in model.recommend(history, k=k)[0]]\n",
            "The answer is off by one",
        ),
        (
            "def recommend_titles(model, data, titles, k=5):\n"
            "    history = [data.item_titles.index(title) + 1 for title in reversed(titles)]\n"
            "    return [data.title(item) for item in model.recommend(history, k=k)[0]]\n",
            "runs backwards",
        ),
        (
            "def recommend_titles(model, data, titles, k=5):\n"
            "    history = [data.item_titles.index(title) + 1 for title in titles]\n"
            "    return model.recommend(history, k=k)[0]\n",
            "not titles",
        ),
    ],
    2: [
        (
            "def seen_share(model, data, user, k=10):\n"
            "    history = data.history(user, 'test')\n"
            "    ids, scores = model.recommend(history, k=k)\n"
            "    return sum(item in history for item in ids) / len(ids)\n",
            "Every share is 0",
        ),
        (
            "def seen_share(model, data, user, k=10):\n"
            "    history = data.sequence(user)\n"
            "    ids, scores = model.recommend(history, k=k, exclude_seen=False)\n"
            "    return sum(item in history for item in ids) / len(ids)\n",
            "held-out film counts as seen",
        ),
        (
            "def seen_share(model, data, user, k=10):\n"
            "    history = data.history(user, 'test')\n"
            "    ids, scores = model.recommend(history, k=k, exclude_seen=False)\n"
            "    return sum(item in history for item in ids)\n",
            "not a share",
        ),
        (
            "def seen_share(model, data, user, k=10):\n"
            "    history = data.history(user, 'train')\n"
            "    ids, scores = model.recommend(history, k=k, exclude_seen=False)\n"
            "    return sum(item in history for item in ids) / len(ids)\n",
            "training history",
        ),
    ],
    3: [
        (
            "def chance_level(n, k):\n    return 1 / n, sum(1 / math.log2(r + 1) for r in range(1, k + 1)) / n\n",
            "the chance of being first",
        ),
        (
            "import math\n\n\ndef chance_level(n, k):\n"
            "    return min(k, n) / n, sum(1 / math.log2(r + 1) for r in range(1, min(k, n) + 1))\n",
            "divide the sum by n",
        ),
        (
            "import math\n\n\ndef chance_level(n, k):\n"
            "    return min(k, n) / n, sum(1 / math.log(r + 1) for r in range(1, min(k, n) + 1)) / n\n",
            "base 2",
        ),
        (
            "import math\n\n\ndef chance_level(n, k):\n"
            "    return k / n, sum(1 / math.log2(r + 1) for r in range(1, min(k, n) + 1)) / n\n",
            "so HR is 1, not",
        ),
    ],
}
