"""Typical wrong answers to the exercises of chapter 10, and what the check must say to them."""

MISTAKES = {
    1: [
        (
            "def misprint(rows):\n    return max(rows, key=lambda n: rows[n]['mean'])",
            "LastFM has the largest mean, not the largest error",
        ),
        (
            "def misprint(rows):\n"
            "    return max(rows, key=lambda n: rows[n]['actions'] / rows[n]['users'] / rows[n]['mean'])",
            "take the absolute distance",
        ),
        (
            "def misprint(rows):\n"
            "    return max(rows, key=lambda n: abs(rows[n]['actions'] / rows[n]['users'] - rows[n]['mean']))",
            "In relative terms",
        ),
        ("def misprint(rows):\n    return 'toys'", "one printed number of users is a digit off"),
    ],
    2: [
        (
            "def feasible(a, b, c, d, k_low, k_high, slack=1e-9):\n"
            "    e = c - a\n"
            "    return e >= 0 and b + e / math.log2(k_high) <= d <= b + e / math.log2(k_low + 1)",
            "NDCG above the most",
        ),
        (
            "def feasible(a, b, c, d, k_low, k_high, slack=1e-9):\n"
            "    e = c - a\n"
            "    return b + e / math.log2(k_low + 2) <= d <= b + e / math.log2(k_high + 1)",
            "is rank r worth 1/log2(r + 1)?",
        ),
        (
            "def feasible(a, b, c, d, k_low, k_high, slack=1e-9):\n    return b - slack <= d <= b + c - a + slack",
            "NDCG below the least",
        ),
        (
            "def feasible(a, b, c, d, k_low, k_high, slack=1e-9):\n"
            "    return b + (c - a) / math.log2(k_high + 1) - slack <= d <= b + c - a + slack",
            "NDCG above the most",
        ),
        (
            "def feasible(a, b, c, d, k_low, k_high, slack=1e-9):\n"
            "    e = c - a\n"
            "    return b + e / math.log2(k_high) <= d <= b + e / math.log2(k_low + 2)",
            "Too narrow",
        ),
        (
            "def feasible(a, b, c, d, k_low, k_high, slack=1e-9):\n"
            "    e = c - a\n"
            "    return b + e / math.log2(k_high + 2) <= d <= b + e / math.log2(k_low + 2)",
            "NDCG below the least",
        ),
    ],
    3: [
        ("def users_needed(d, s):\n    return (1.96 * s / d) ** 2", "whole number"),
        ("def users_needed(d, s):\n    return int((1.96 * s / d) ** 2)", "Round up"),
        ("def users_needed(d, s):\n    return math.ceil(1.96 * s / d)", "square the ratio"),
        ("def users_needed(d, s):\n    return math.ceil((s / d) ** 2)", "95% takes 1.96 of them"),
    ],
    4: [
        (
            "def improvement(row):\n"
            "    best = max(v for k, v in row.items() if k != 'S3-Rec')\n"
            "    return (row['S3-Rec'] - best) / best",
            "multiply by 100",
        ),
        (
            "def improvement(row):\n"
            "    best = max(v for k, v in row.items() if k != 'S3-Rec')\n"
            "    return 100 * (row['S3-Rec'] - best) / row['S3-Rec']",
            "divides by S3-Rec's own value",
        ),
        (
            "def improvement(row):\n    return 100 * (row['S3-Rec'] - row['SASRec']) / row['SASRec']",
            "SASRec is not always the best baseline",
        ),
    ],
}
