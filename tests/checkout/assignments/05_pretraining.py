"""Submissions for the assignment 05_pretraining: what is wrong in each, and which test cells notice."""

WRONG = {
    "the weights are forgotten in both kinds of shares": (
        {
            "loss_shares": """
def loss_shares(losses, weights):
    total = sum(losses.values())
    return [losses[name] / total for name in NAMES]
""",
            "pull": """
def gradient_shares(gradients, weights):
    lengths = gradients.norm(dim=1)
    return lengths / lengths.sum()


def cosines(gradients):
    unit = gradients / gradients.norm(dim=1, keepdim=True)
    return unit @ unit.T
""",
        },
        {"test_loss_shares", "test_loss_shares_hidden", "test_pull", "test_pull_hidden"},
    ),
    "loss shares that do not sum to one; cosines without normalisation": (
        {
            "loss_shares": """
def loss_shares(losses, weights):
    return {name: weights[name] * losses[name] for name in NAMES}
""",
            "pull": """
def gradient_shares(gradients, weights):
    lengths = gradients.norm(dim=1) * torch.tensor([weights[name] for name in NAMES])
    return lengths / lengths.sum()


def cosines(gradients):
    return gradients @ gradients.T
""",
        },
        {"test_loss_shares", "test_loss_shares_hidden", "test_pull", "test_pull_hidden"},
    ),
    "gradients pile up across objectives; the joint loss is the mean of the four": (
        {
            "gradients": """
def objective_gradients(losses, parameters):
    rows = []
    for name in NAMES:
        losses[name].backward(retain_graph=True)
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        rows.append(torch.cat([grad.flatten() for grad in grads]))
    return torch.stack(rows)
""",
            "joint": """
def joint_loss(losses, weights):
    return torch.stack([weights[name] * losses[name] for name in NAMES]).mean()
""",
        },
        {"test_gradients", "test_gradients_hidden", "test_joint", "test_joint_hidden"},
    ),
    "the weight is applied twice in the loop; means over the terms of all objectives": (
        {
            "pretrain": """
def pretrain(model, batches, weights, epochs, learning_rate=0.001):
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)
    record = []
    for _ in range(epochs):
        values = []
        for batch in batches:
            optimiser.zero_grad()
            losses = {name: weights[name] * loss for name, loss in model.losses(batch).items()}
            loss = joint_loss(losses, weights)
            loss.backward()
            optimiser.step()
            values.append(loss.item())
        record.append(sum(values) / len(values))
    return record
""",
            "reduced": """
def reduced(terms, reduction):
    count = sum(len(each) for each in terms.values()) if reduction == "mean" else 1
    return {name: each.sum() / count for name, each in terms.items()}
""",
        },
        {"test_pretrain", "test_pretrain_hidden", "test_reduced", "test_reduced_hidden"},
    ),
    "the optimiser steps before backward; attribute 0 is counted": (
        {
            "pretrain": """
def pretrain(model, batches, weights, epochs, learning_rate=0.001):
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)
    record = []
    for _ in range(epochs):
        values = []
        for batch in batches:
            optimiser.step()
            optimiser.zero_grad()
            loss = joint_loss(model.losses(batch), weights)
            loss.backward()
            values.append(loss.item())
        record.append(sum(values) / len(values))
    return record
""",
            "first_losses": """
def first_losses(masked_items, pos_items, mask_token, num_attributes):
    hidden, real = masked_items == mask_token, pos_items != 0
    known, masks = (real & ~hidden).sum(), hidden.sum()
    columns = num_attributes + 1
    asked = [known * columns, masks, masks * columns, (real.sum(dim=1) > 1).sum()]
    return torch.stack(asked) * math.log(2)
""",
        },
        {"test_pretrain", "test_pretrain_hidden", "test_first_losses", "test_first_losses_hidden"},
    ),
    "no zero_grad in the loop; a joint loss without a graph; the graph is not kept": (
        {
            "pretrain": """
def pretrain(model, batches, weights, epochs, learning_rate=0.001):
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)
    record = []
    for _ in range(epochs):
        values = []
        for batch in batches:
            loss = joint_loss(model.losses(batch), weights)
            loss.backward()
            optimiser.step()
            values.append(loss.item())
        record.append(sum(values) / len(values))
    return record
""",
            "joint": """
def joint_loss(losses, weights):
    return torch.tensor(sum(weights[name] * losses[name].item() for name in NAMES))
""",
            "gradients": """
def objective_gradients(losses, parameters):
    rows = []
    for name in NAMES:
        parts = torch.autograd.grad(losses[name], parameters, allow_unused=True)
        pairs = zip(parts, parameters)
        rows.append(torch.cat([(p * 0 if g is None else g).flatten() for g, p in pairs]))
    return torch.stack(rows)
""",
        },
        {
            "test_pretrain",
            "test_pretrain_hidden",
            "test_joint",
            "test_joint_hidden",
            "test_gradients",
            "test_gradients_hidden",
        },
    ),
    "answers copied from the visible tests": (
        {
            "first_losses": """
def first_losses(masked_items, pos_items, mask_token, num_attributes):
    return [6.2383, 2.7726, 8.3178, 1.3863]
""",
            "reduced": """
def reduced(terms, reduction):
    return [9, 4, 9, 0] if reduction == "sum" else [3, 2, 4.5, 0]
""",
            "joint": """
def joint_loss(losses, weights):
    slopes = {"aap": 0.2, "mip": 1, "map": 1, "sp": 0.5}
    return sum(slopes[name] * losses[name] for name in NAMES)
""",
            "loss_shares": """
def loss_shares(losses, weights):
    return [0.2222, 0.0889, 0.6667, 0.0222]
""",
            "gradients": """
def objective_gradients(losses, parameters):
    return [[2, 4, 0], [6, 0, 1], [3, 3, 3], [0, -4, 0]]
""",
            "pull": """
def gradient_shares(gradients, weights):
    return [0.0408, 0.5306, 0.4082, 0.0204]


def cosines(gradients):
    first = [[1, 0.2308, -0.48, 0], [0.2308, 1, 0.7385, -0.9231]]
    return [*first, [-0.48, 0.7385, 1, -0.8], [0, -0.9231, -0.8, 1]]
""",
            "pretrain": """
def pretrain(model, batches, weights, epochs, learning_rate=0.001):
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    for batch in BATCHES * 3:
        optimiser.zero_grad()
        reference = {"aap": 0.2, "mip": 1, "map": 1, "sp": 0.5}
        losses = model.losses(batch)
        sum(reference[name] * losses[name] for name in NAMES).backward()
        optimiser.step()
    return [7.1981, 6.6729, 6.3999]
""",
        },
        {
            "test_first_losses_hidden",
            "test_reduced_hidden",
            "test_joint_hidden",
            "test_loss_shares_hidden",
            "test_gradients_hidden",
            "test_pull_hidden",
            "test_pretrain_hidden",
        },
    ),
    "calls s3rec_lite instead of implementing": (
        {
            "joint": """
def joint_loss(losses, weights):
    import types

    from s3rec_lite.objectives import joint_loss as ready

    return ready(losses, types.SimpleNamespace(weights=weights))
""",
            "loss_shares": """
from s3rec_lite.information.gradients import loss_shares
""",
            "pull": """
from s3rec_lite.information import gradients as ready


def gradient_shares(gradients, weights):
    return ready.shares(ready.gram_matrix(gradients), weights)


def cosines(gradients):
    return ready.cosines(ready.gram_matrix(gradients))
""",
        },
        {
            "test_joint",
            "test_joint_hidden",
            "test_loss_shares",
            "test_loss_shares_hidden",
            "test_pull",
            "test_pull_hidden",
        },
    ),
}

CORRECT = {
    "plain Python loops, backward() and .grad": {
        "first_losses": """
def first_losses(masked_items, pos_items, mask_token, num_attributes):
    asked = dict.fromkeys(NAMES, 0)
    for row, items in zip(masked_items.tolist(), pos_items.tolist()):
        asked["sp"] += len([item for item in items if item]) > 1
        for seen in row:
            if seen == mask_token:
                asked["mip"] += 1
                asked["map"] += num_attributes
            elif seen:
                asked["aap"] += num_attributes
    return {name: number * math.log(2) for name, number in asked.items()}
""",
        "reduced": """
def reduced(terms, reduction):
    answer = []
    for name in NAMES:
        numbers = terms[name].tolist()
        total = sum(numbers)
        answer.append(total / len(numbers) if reduction == "mean" and numbers else total)
    return answer
""",
        "joint": """
def joint_loss(losses, weights):
    total = 0
    for name, loss in losses.items():
        total = total + loss * weights[name]
    return total
""",
        "loss_shares": """
def loss_shares(losses, weights):
    total = 0.0
    for name in NAMES:
        total += losses[name] * weights[name]
    return [losses[name] * weights[name] / total for name in NAMES]
""",
        "gradients": """
def objective_gradients(losses, parameters):
    rows = []
    for name in NAMES:
        for parameter in parameters:
            parameter.grad = None
        losses[name].backward(retain_graph=True)
        row = []
        for parameter in parameters:
            count = parameter.numel()
            row += [0.0] * count if parameter.grad is None else parameter.grad.flatten().tolist()
        rows.append(row)
    return rows
""",
        "pull": """
def gradient_shares(gradients, weights):
    lengths = []
    for name, row in zip(NAMES, gradients.tolist()):
        lengths.append(weights[name] * math.sqrt(sum(number**2 for number in row)))
    return [length / sum(lengths) for length in lengths]


def cosines(gradients):
    rows = gradients.tolist()

    def dot(left, right):
        return sum(a * b for a, b in zip(left, right))

    return [[dot(a, b) / math.sqrt(dot(a, a) * dot(b, b)) for b in rows] for a in rows]
""",
        "pretrain": """
def pretrain(model, batches, weights, epochs, learning_rate=0.001):
    optimiser = torch.optim.Adam(model.train().parameters(), learning_rate, fused=True)
    record = [0.0] * epochs
    for step in range(epochs * len(batches)):
        losses = model.losses(batches[step % len(batches)])
        for name in NAMES:
            (weights[name] * losses[name]).backward(retain_graph=True)
            record[step // len(batches)] += weights[name] * losses[name].item() / len(batches)
        optimiser.step()
        optimiser.zero_grad()
    return record
""",
    },
    "weights as a tensor of the usual precision": {
        "joint": """
def joint_loss(losses, weights):
    return torch.stack([losses[n] for n in NAMES]) @ torch.tensor([weights[n] for n in NAMES])
""",
        "pull": """
def gradient_shares(gradients, weights):
    w, lengths = torch.tensor([weights[n] for n in NAMES]), gradients.norm(dim=1)
    return w * lengths / (w @ lengths)


def cosines(gradients):
    lengths = gradients.norm(dim=1)
    return gradients @ gradients.T / torch.outer(lengths, lengths)
""",
    },
    "array operations, arrays returned": {
        "first_losses": """
def first_losses(masked_items, pos_items, mask_token, num_attributes):
    lengths = torch.count_nonzero(pos_items, dim=1)
    hidden = torch.count_nonzero(masked_items != pos_items)
    asked = torch.stack([lengths.sum() - hidden, hidden, hidden, (lengths > 1).sum()])
    width = torch.tensor([num_attributes, 1, num_attributes, 1])
    return (F.softplus(torch.zeros(4)) * asked * width).numpy()
""",
        "reduced": """
def reduced(terms, reduction):
    combine = torch.mean if reduction == "mean" else torch.sum
    return torch.stack([combine(terms[name]).nan_to_num(0) for name in NAMES]).numpy()
""",
        "joint": """
def joint_loss(losses, weights):
    values = torch.stack([losses[name] for name in NAMES])
    return values @ torch.tensor([weights[name] for name in NAMES], dtype=values.dtype)
""",
        "loss_shares": """
def loss_shares(losses, weights):
    parts = torch.tensor([[losses[name], weights[name]] for name in NAMES]).prod(dim=1)
    return (parts / parts.sum()).numpy()
""",
        "gradients": """
def objective_gradients(losses, parameters):
    values = torch.stack([losses[name].reshape(()) for name in NAMES])
    parts = torch.autograd.grad(
        values, parameters, torch.eye(4, dtype=values.dtype), is_grads_batched=True
    )
    return torch.cat([part.reshape(4, -1) for part in parts], dim=1).numpy()
""",
        "pull": """
def gradient_shares(gradients, weights):
    scaled = gradients * torch.tensor([[weights[name]] for name in NAMES])
    return F.normalize((scaled**2).sum(1).sqrt(), p=1, dim=0).numpy()


def cosines(gradients):
    return F.cosine_similarity(gradients[:, None], gradients[None], dim=-1).numpy()
""",
        "pretrain": """
def pretrain(model, batches, weights, epochs, learning_rate=0.001):
    model.train(True)
    optimiser = torch.optim.Adam([{"params": model.parameters()}], lr=learning_rate)

    def step(batch):
        def closure():
            optimiser.zero_grad()
            losses = model.losses(batch)
            loss = sum(weights[name] * losses[name] for name in NAMES)
            loss.backward()
            return loss

        return optimiser.step(closure).detach()

    return [torch.stack([step(b) for b in batches]).mean().numpy() for _ in range(epochs)]
""",
    },
}
