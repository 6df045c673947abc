"""The four pre-training objectives, each a function with its equation, its views, its positions and its loss.

Each has four forms. ``authors``: what their code computes; MIP and SP squash two scores, take the difference and
squash it again, AAP and MAP are binary cross-entropies over all attributes. ``pairwise``: one negative and plain
logits, which is InfoNCE with two candidates. ``infonce``: one positive against K negatives, equation (2). ``bce``:
each score judged for itself. Every loss is in nats and falls as the model improves: the negative of the bounds (10),
(12), (14) and (16). Plain twins, in the authors' form: `s3rec_lite.plain.aap`, ``mip``, ``map_`` and ``sp``.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from s3rec_lite.model import S3Rec
from s3rec_lite.support.config import OBJECTIVES, Form, PretrainConfig
from s3rec_lite.support.draws import sampled_negatives
from s3rec_lite.support.fast import binary_cross_entropy_rows, states_where
from s3rec_lite.views import Owners, Views


def aap(
    model: S3Rec, states: Tensor, views: Views, attributes: Tensor, config: PretrainConfig, rng: np.random.Generator
) -> Tensor:
    """Associated attribute prediction, equations (10) and (11): an item against its attributes.

    Every un-masked item of ``views.masked_items`` [B, L] is scored against all attributes. Its view is its state
    [B, L, H], or with ``aap_view="item"`` its embedding, as equation (11) has it. Returns the loss of each item [N].
    """
    known = (views.masked_items != model.mask_token) & (views.masked_items != 0)  # [B, L]
    items = views.pos_items[known]  # [N]
    view = states_where(states, known) if config.aap_view == "contextual" else model.item_embeddings(items)  # [N, H]
    return _against_attributes(model, model.heads["aap"](view), attributes[items], config.aap_form, config, rng)


def mip(
    model: S3Rec,
    states: Tensor,
    views: Views,
    config: PretrainConfig,
    rng: np.random.Generator,
    owners: Owners | None = None,
    candidates: Tensor | None = None,
) -> Tensor:
    """Masked item prediction, equations (12) and (13): a sequence with masks against the item behind each mask.

    The state at every mask of ``views.masked_items`` is scored against the item of ``views.pos_items`` and the
    negative of ``views.neg_items``; with ``infonce`` against a pool of ``candidates``, less what the sequence holds
    (with ``owners``: what the user's training history holds). Returns the loss of each masked position [M].
    """
    masked = views.masked_items == model.mask_token  # [B, L]
    context = model.heads["mip"](states_where(states, masked))  # [M, H]
    positive = (context * model.item_embeddings(views.pos_items[masked])).sum(dim=1)  # [M]
    if config.mip_form != "infonce":
        negative = (context * model.item_embeddings(views.neg_items[masked])).sum(dim=1)
        return pair_loss(positive, negative, config.mip_form)
    if candidates is None:
        candidates = torch.arange(1, model.num_items + 1, device=context.device)
    chosen = rng.choice(len(candidates), size=min(config.num_negatives, len(candidates)), replace=False)
    pool = candidates[torch.from_numpy(chosen).to(candidates.device)]  # [K]
    seen = views.pos_items if owners is None else owners.history  # [B, T]
    collide = (seen[:, :, None] == pool).any(dim=1)  # [B, K]
    rows = masked.nonzero()[:, 0]  # [M] the sequence of each mask
    return softmax_loss(positive, context @ model.item_embeddings(pool).T, collide[rows], config.bounded_critic)


def map_(
    model: S3Rec, states: Tensor, views: Views, attributes: Tensor, config: PretrainConfig, rng: np.random.Generator
) -> Tensor:
    """Masked attribute prediction, equations (14) and (15): a masked sequence against a hidden item's attributes.

    The state at every mask of ``views.masked_items`` is scored against all attributes; those of the item behind it
    are the positives. Returns the loss of each masked position [M].
    """
    masked = views.masked_items == model.mask_token  # [B, L]
    items = views.pos_items[masked]  # [M]
    view = model.heads["map"](states_where(states, masked))  # [M, H]
    return _against_attributes(model, view, attributes[items], config.map_form, config, rng)


def sp(
    model: S3Rec, newest: Sequence[Tensor], views: Views, config: PretrainConfig, owners: Owners | None = None
) -> Tensor:
    """Segment prediction, equations (16) and (17): a sequence with a hole against the segment that fills it.

    ``newest`` holds the newest state of ``views.masked_segment`` (the context), ``views.pos_segment`` and
    ``views.neg_segment``, each [B, H]. With ``infonce`` the segments of the batch's other sequences are negatives as
    well; with ``owners`` only those of other users. Prefixes of one item hold no segment and are left out with
    ``skip_single_items``. Returns the loss of each sequence [S].
    """
    context, positive, negative = newest
    users = None if owners is None else owners.users  # [B]
    if config.skip_single_items:
        several = ((views.pos_items != 0).sum(dim=1) > 1).nonzero().squeeze(1)  # [S]
        context, positive, negative = context[several], positive[several], negative[several]
        users = None if users is None else users[several]
    context = model.heads["sp"](context)  # [S, H]
    positive_scores = (context * positive).sum(dim=1)
    negative_scores = (context * negative).sum(dim=1)
    if config.sp_form != "infonce":
        return pair_loss(positive_scores, negative_scores, config.sp_form)
    others = torch.cat([context @ positive.T, negative_scores[:, None]], dim=1)  # [S, S + 1]
    own = torch.eye(len(context), len(context) + 1, dtype=torch.bool, device=context.device)
    if users is not None:
        own[:, :-1] |= users[:, None] == users
    return softmax_loss(positive_scores, others, own, config.bounded_critic)


def pretraining_losses(
    model: S3Rec,
    views: Views,
    attributes: Tensor,
    form: Form | PretrainConfig = "authors",
    *,
    owners: Owners | None = None,
    candidates: Tensor | None = None,
    rng: np.random.Generator | None = None,
) -> dict[str, Tensor]:
    """The four losses of one batch, unweighted, in nats.

    Args:
        model: the model; in training mode and with ``rng`` dropout is on.
        views: six id tensors [B, L], see `s3rec_lite.views.Views`.
        attributes: bool [num_items + 2, num_attributes + 1], as ``data.attributes``.
        form: one form for all four, or the settings of a run (forms, reduction and switches). "authors" gives the
            sums of their code. An objective whose weight is 0 in the settings is not computed: its loss is 0.
        owners: whose sequences these are, for the negatives of the ``infonce`` forms; without it those of MIP avoid
            the prefix only and those of SP the sequence itself.
        candidates: ids that the ``infonce`` form of MIP may draw as negatives; all items by default.
        rng: source of dropout and of the sampled negatives of ``pairwise`` and ``infonce``.

    Returns ``{"aap", "mip", "map", "sp"}``, scalars.
    """
    config = form if isinstance(form, PretrainConfig) else PretrainConfig.of_form(form)
    draws = rng if rng is not None else np.random.default_rng(0)
    views = Views(*(view.long() for view in views))

    # One walk through the encoder: every position of the masked items, the newest of the three segment views.
    segments = torch.cat([views.masked_segment, views.pos_segment, views.neg_segment])  # [3B, L]
    if not config.sp_weight:
        segments = segments[:0]
    states, newest = model.encode_views(views.masked_items, segments, rng)  # [B, L, H], [3B, H]

    losses: dict[str, Tensor] = {}
    if config.aap_weight:
        losses["aap"] = aap(model, states, views, attributes, config, draws)
    if config.map_weight:
        losses["map"] = map_(model, states, views, attributes, config, draws)
    if config.mip_weight:
        losses["mip"] = mip(model, states, views, config, draws, owners, candidates)
    if config.sp_weight:
        losses["sp"] = sp(model, newest.chunk(3), views, config, owners)
    return {name: _reduced(losses.get(name), config.reduction, states) for name in OBJECTIVES}


def joint_loss(losses: dict[str, Tensor], config: PretrainConfig) -> Tensor:
    """The weighted sum that pre-training minimises (section 4.4). Plain twin: `s3rec_lite.plain.joint_loss`."""
    total = losses["aap"].new_zeros(())
    for name in OBJECTIVES:
        total = total + config.weights[name] * losses[name]
    return total


def pair_loss(positive: Tensor, negative: Tensor, form: Form) -> Tensor:
    """Loss of positive against negative scores, elementwise."""
    if form == "authors":
        return -F.logsigmoid(torch.sigmoid(positive) - torch.sigmoid(negative))
    if form == "pairwise":
        return -F.logsigmoid(positive - negative)
    return -F.logsigmoid(positive) - F.logsigmoid(-negative)


def softmax_loss(positive: Tensor, negatives: Tensor, hidden: Tensor, bounded: bool) -> Tensor:
    """InfoNCE (equation 2): positive [N] against negatives [N, K]; those marked in ``hidden`` do not count."""
    if bounded:
        positive, negatives = torch.sigmoid(positive), torch.sigmoid(negatives)
    negatives = negatives.masked_fill(hidden, torch.finfo(negatives.dtype).min)
    return torch.logsumexp(torch.cat([positive[:, None], negatives], dim=1), dim=1) - positive


def attribute_rows(
    scores: Tensor, targets: Tensor, form: Form, *, num_negatives: int, bounded: bool, rng: np.random.Generator
) -> Tensor:
    """Loss of scores [N, A] against the attributes that each row has, bool [N, A]: [N], in nats.

    ``authors`` and ``bce``: the sum over all attributes. ``pairwise`` and ``infonce``: the mean over the attributes
    that the row has (equations 10 and 14), each against one or ``num_negatives`` attributes that it lacks; a row
    without attributes counts 0.
    """
    if form in ("authors", "bce"):
        return binary_cross_entropy_rows(scores, targets)
    rows, columns = torch.nonzero(targets, as_tuple=True)  # [P]: one entry for each attribute that is there
    positive = scores[rows, columns]
    if form == "pairwise":
        negative, is_negative = sampled_negatives(targets, rows, rng)
        losses = -F.logsigmoid(positive - scores[rows, negative]) * is_negative
    else:
        chosen = rng.choice(targets.shape[1], size=min(num_negatives, targets.shape[1]), replace=False)
        pool = torch.from_numpy(chosen).to(scores.device)
        others = scores[:, pool]
        if bounded:
            positive, others = torch.sigmoid(positive), torch.sigmoid(others)
        others = others.masked_fill(targets[:, pool], torch.finfo(scores.dtype).min)
        losses = torch.logaddexp(positive, torch.logsumexp(others, dim=1)[rows]) - positive
    share = 1 / targets.sum(dim=1).clamp(min=1)  # each row's attributes weigh 1 together
    weighted = losses * share[rows]
    total = torch.zeros(len(scores), dtype=weighted.dtype, device=scores.device)
    return total.index_add(0, rows, weighted)


def _against_attributes(
    model: S3Rec, view: Tensor, owned: Tensor, form: Form, config: PretrainConfig, rng: np.random.Generator
) -> Tensor:
    """The loss that AAP and MAP share: views [N, H] against the attributes of their items, bool [N, A + 1] -> [N]."""
    first = 0 if config.attribute_column_zero else 1
    scores = view @ model.attribute_embeddings.weight[first:].T  # [N, A]
    return attribute_rows(
        scores, owned[:, first:], form, num_negatives=config.num_negatives, bounded=config.bounded_critic, rng=rng
    )


def _reduced(losses: Tensor | None, reduction: str, like: Tensor) -> Tensor:
    """Sum or mean of one objective's losses; 0 for an objective that was not computed."""
    if losses is None:
        return like.new_zeros(())
    return losses.sum() / (max(len(losses), 1) if reduction == "mean" else 1)
