"""The four pre-training objectives, each in four forms.

``authors``: what their code computes. MIP and SP squash two scores, take the difference and squash it again; AAP and
MAP are binary cross-entropies over all attributes. ``pairwise``: one negative and plain logits, which is InfoNCE with
two candidates. ``infonce``: one positive against K negatives, equation (2). ``bce``: each score judged for itself.
Every loss is in nats and falls as the model improves: the negative of the bounds (10), (12), (14) and (16).
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from s3rec_lite.attribute_losses import attribute_rows
from s3rec_lite.model import S3Rec
from s3rec_lite.support.config import OBJECTIVES, Form, PretrainConfig
from s3rec_lite.views import Owners, Views


def config_of_form(form: Form) -> PretrainConfig:
    """All four objectives in one form; with "authors" exactly the sums that their code computes."""
    forms = {f"{name}_form": form for name in OBJECTIVES}
    authors = form == "authors"
    return PretrainConfig(**forms, attribute_column_zero=authors, skip_single_items=not authors)


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


def attribute_losses(
    model: S3Rec,
    known: Tensor,
    hidden: Tensor,
    items: tuple[Tensor, Tensor],
    attributes: Tensor,
    config: PretrainConfig,
    rng: np.random.Generator | None,
) -> dict[str, Tensor]:
    """AAP, equation (10), and MAP, equation (14): losses of each scored position.

    ``known`` [N, H] represents un-masked positions (AAP), ``hidden`` [M, H] masked ones (MAP); ``items`` holds the
    item ids at both.
    """
    first = 0 if config.attribute_column_zero else 1
    table = model.attribute_embeddings.weight[first:]  # [A, H]
    losses = {}
    for name, states, ids in (("aap", known, items[0]), ("map", hidden, items[1])):
        if not config.weights[name]:
            continue
        scores = model.heads[name](states) @ table.T  # [N, A]
        losses[name] = attribute_rows(
            scores,
            attributes[ids, first:],
            config.forms[name],
            num_negatives=config.num_negatives,
            bounded=config.bounded_critic,
            rng=rng,
        )
    return losses


def masked_item_loss(
    model: S3Rec,
    hidden: Tensor,
    rows: Tensor,
    ids: tuple[Tensor, Tensor],
    seen: Tensor,
    config: PretrainConfig,
    candidates: Tensor | None,
    rng: np.random.Generator,
) -> Tensor:
    """MIP, equation (12): losses of the masked positions [M].

    ``hidden`` [M, H] are their states, ``rows`` [M] the sequences they stand in, ``ids`` the masked items and a
    negative for each, ``seen`` [B, T] what is no negative in each sequence with ``infonce``.
    """
    context = model.heads["mip"](hidden)  # [M, H]
    positive = (context * model.item_embeddings(ids[0])).sum(dim=1)
    if config.mip_form != "infonce":
        negative = (context * model.item_embeddings(ids[1])).sum(dim=1)
        return pair_loss(positive, negative, config.mip_form)
    if candidates is None:
        candidates = torch.arange(1, model.num_items + 1, device=context.device)
    chosen = rng.choice(len(candidates), size=min(config.num_negatives, len(candidates)), replace=False)
    pool = candidates[torch.from_numpy(chosen).to(candidates.device)]  # [K]
    collide = (seen[:, :, None] == pool).any(dim=1)  # [B, K]
    return softmax_loss(positive, context @ model.item_embeddings(pool).T, collide[rows], config.bounded_critic)


def segment_loss(
    model: S3Rec, context: Tensor, positive: Tensor, negative: Tensor, config: PretrainConfig, users: Tensor | None
) -> Tensor:
    """SP, equation (16): contexts, their segments and foreign ones, each [S, H].

    With ``infonce`` the segments of the batch's other sequences are negatives as well; with ``users`` [S] only those
    of other users.
    """
    context = model.heads["sp"](context)
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
    config = form if isinstance(form, PretrainConfig) else config_of_form(form)
    draws = rng if rng is not None else np.random.default_rng(0)
    views = Views(*(view.long() for view in views))
    segments = (views.masked_segment, views.pos_segment, views.neg_segment)
    if config.sp_weight:
        states, newest = model.encode_views(views.masked_items, torch.cat(segments), rng)  # [B, L, H], [3B, H]
    else:
        states = model.encode(views.masked_items, rng=rng)  # [B, L, H]

    # Score each real position once: masked ones for MIP and MAP, the others for AAP, padding never.
    flat, items = states.flatten(0, 1), views.pos_items.flatten()  # [B * L, H], [B * L]
    masked = (views.masked_items == model.mask_token).flatten().nonzero().squeeze(1)  # [M]
    known = ((views.masked_items != model.mask_token) & (views.masked_items != 0)).flatten().nonzero().squeeze(1)
    hidden = flat[masked]  # [M, H]
    known_states = flat[known] if config.aap_view == "contextual" else model.item_embeddings(items[known])
    losses = attribute_losses(model, known_states, hidden, (items[known], items[masked]), attributes, config, draws)
    if config.mip_weight:
        seen = views.pos_items if owners is None else owners.history  # [B, T]
        ids = items[masked], views.neg_items.flatten()[masked]
        rows = masked // views.pos_items.shape[1]  # [M]
        losses["mip"] = masked_item_loss(model, hidden, rows, ids, seen, config, candidates, draws)
    if config.sp_weight:
        parts, users = newest.chunk(3), None if owners is None else owners.users  # [B, H] each, [B]
        if config.skip_single_items:
            several = ((views.pos_items != 0).sum(dim=1) > 1).nonzero().squeeze(1)
            parts, users = [part[several] for part in parts], None if users is None else users[several]
        losses["sp"] = segment_loss(model, *parts, config, users)
    return {name: reduced(losses.get(name), config.reduction, states) for name in OBJECTIVES}


def reduced(losses: Tensor | None, reduction: str, like: Tensor) -> Tensor:
    """Sum or mean of one objective's losses; 0 for an objective that was not computed."""
    if losses is None:
        return like.new_zeros(())
    return losses.sum() / (max(len(losses), 1) if reduction == "mean" else 1)


def joint_loss(losses: dict[str, Tensor], config: PretrainConfig) -> Tensor:
    """The weighted sum that pre-training minimises (section 4.4)."""
    return sum(config.weights[name] * losses[name] for name in OBJECTIVES)
