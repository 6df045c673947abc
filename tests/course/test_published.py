"""The quoted numbers in data/published.json: they must agree with each other, with closed forms and with the kit."""

import json
import math
from itertools import combinations

import pytest
import torch

from s3rec_lite.experiments.presets import configs
from s3rec_lite.experiments.statistics import ndcg_feasible
from s3rec_lite.information import (
    bounded_critic_cap,
    certified_nats,
    double_sigmoid_range,
    gaussian_correlation,
    gaussian_mi,
    log_k_cap,
    pairwise_to_nats,
    uniform_noise_mi,
)
from s3rec_lite.metrics import chance

DATA = ("meituan", "beauty", "sports", "toys", "yelp", "lastfm")
RELEASED = DATA[1:]
FOUR = ("HR@5", "NDCG@5", "HR@10", "NDCG@10")
SECTIONS = {
    "settings", "chance_99", "statistics", "sampled", "full", "protocols", "repository", "logs", "validation_curves",
    "figures", "loss_shares", "double_sigmoid", "padding_attribute_norms", "masked_share", "last_position_norm",
    "segments", "segment_control", "favourite_tag", "finetuning_leak", "frozen_loss", "seen_items", "padding_row_norm",
    "ties",
    "duplicate_negatives", "misprints", "literature", "seeds", "mutual_information", "papers",
}  # fmt: skip


def no_duplicates(pairs):
    """A JSON object as a dict, refusing a key that stands there twice: the first value would be lost."""
    keys = [key for key, _ in pairs]
    assert len(set(keys)) == len(keys), f"twice in one object: {sorted({key for key in keys if keys.count(key) > 1})}"
    return dict(pairs)


@pytest.fixture
def numbers(root):
    return json.loads((root / "data" / "published.json").read_text(encoding="utf-8"), object_pairs_hook=no_duplicates)


def rounded(value: float, digits: int):
    """Equal after rounding to so many digits, with a hair of room for halves."""
    return pytest.approx(value, abs=0.5 * 10**-digits * (1 + 1e-6), rel=0)


def only_data(section: dict) -> dict:
    return {data: section[data] for data in DATA if data in section}


def methods(row: dict) -> dict[str, float]:
    return {name: value for name, value in row.items() if name != "improvement"}


def best_baseline(row: dict) -> str:
    return max((name for name in methods(row) if name != "S3-Rec"), key=row.__getitem__)


def kendall_tau(first: list[float], second: list[float]) -> float:
    """Tau-a: concordant minus discordant pairs over all pairs; a tie in either list is neither."""

    def signs(values):
        return [(a > b) - (a < b) for a, b in combinations(values, 2)]

    pairs = list(zip(signs(first), signs(second), strict=True))
    return sum(a * b for a, b in pairs) / len(pairs)


def strings(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from strings(part)
    elif isinstance(value, str):
        yield value


def floats(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from floats(part)
    elif isinstance(value, float):
        yield value


class TestTheFile:
    def test_all_sections_are_there_and_say_where_they_come_from(self, numbers):
        assert set(numbers) == SECTIONS
        for name, section in numbers.items():
            if name == "misprints":
                assert all(set(row) == {"what", "printed", "right", "where"} for row in section)
            else:
                assert len(section["source"]) > 15, name

    def test_it_stays_readable(self, root, numbers):
        lines = (root / "data" / "published.json").read_text(encoding="utf-8").splitlines()
        assert len(lines) < 2500
        assert max(map(len, lines)) < 800
        assert all(math.isfinite(value) for value in floats(numbers))

    def test_no_number_is_hidden_in_a_string(self, numbers):
        for text in strings({name: section for name, section in numbers.items() if name != "papers"}):
            assert not text.replace(".", "").replace("-", "").isdigit(), text

    def test_every_key_of_a_paper_that_is_quoted_exists(self, numbers):
        literature = numbers["literature"]
        keys = {row["source"].split(",")[0] for row in literature["critiques"]} - {"computed from sampled and full"}
        for name in ("losses", "other_data", "reruns"):
            keys |= {key for row in literature[name] if (key := row["source"].split(",")[0]).isidentifier()}
        assert keys <= set(numbers["papers"])
        for key, paper in numbers["papers"].items():
            if key != "source":
                assert {"authors", "title", "venue", "year"} <= set(paper), key


class TestResultTables:
    @pytest.mark.parametrize(("section", "metrics", "columns"), [
        ("sampled", ["HR@1", "HR@5", "NDCG@5", "HR@10", "NDCG@10", "MRR"], 12),
        ("full", ["HR@5", "NDCG@5", "HR@10", "NDCG@10", "HR@20", "NDCG@20"], 10),
    ])  # fmt: skip
    def test_are_complete(self, numbers, section, metrics, columns):
        assert tuple(only_data(numbers[section])) == DATA
        for table in only_data(numbers[section]).values():
            assert list(table) == metrics
            assert {len(methods(row)) for row in table.values()} == {columns}
            assert len({tuple(row) for row in table.values()}) == 1
            assert all(0 < value < 1 for row in table.values() for value in methods(row).values())

    @pytest.mark.parametrize("section", ["sampled", "full"])
    def test_every_printed_improvement_follows_from_its_row(self, numbers, section):
        for data, table in only_data(numbers[section]).items():
            for metric, row in table.items():
                ours, best = row["S3-Rec"], row[best_baseline(row)]
                below = best if ours >= best else ours  # a loss was divided by S3-Rec's own value
                assert row["improvement"] == pytest.approx(100 * (ours - best) / below, abs=0.05), (data, metric)

    @pytest.mark.parametrize("section", ["sampled", "full"])
    def test_metrics_grow_as_they_must(self, numbers, section):
        order = {"sampled": ("HR@1", "NDCG@5", "HR@5", "HR@10"), "full": ("NDCG@5", "HR@5", "HR@10", "HR@20")}[section]
        for data, table in only_data(numbers[section]).items():
            for name in methods(table["HR@10"]):
                values = [table[metric][name] for metric in order]
                assert values == sorted(values), (data, name)
                assert table["NDCG@5"][name] <= table["NDCG@10"][name] <= table["HR@10"][name], (data, name)

    @pytest.mark.parametrize(("section", "low", "high"), [
        ("sampled", 5, 10), ("full", 5, 10), ("full", 10, 20), ("sampled", 1, 5),
    ])  # fmt: skip
    def test_every_row_is_feasible(self, numbers, section, low, high):
        for data, table in only_data(numbers[section]).items():
            for name in methods(table["HR@10"]):
                ndcg_low = table["HR@1" if low == 1 else f"NDCG@{low}"][name]
                four = (table[f"HR@{low}"][name], ndcg_low, table[f"HR@{high}"][name], table[f"NDCG@{high}"][name])
                assert ndcg_feasible(*four, low, high), (data, name, four)

    def test_the_reciprocal_rank_lies_where_the_hits_leave_room(self, numbers):
        for table in only_data(numbers["sampled"]).values():
            for name, mrr in methods(table["MRR"]).items():
                first, five, ten = (table[f"HR@{k}"][name] for k in (1, 5, 10))
                least = first + (five - first) / 5 + (ten - five) / 10 + (1 - ten) / 100
                most = first + (five - first) / 2 + (ten - five) / 6 + (1 - ten) / 11
                assert least - 2e-4 <= mrr <= most + 2e-4

    @pytest.mark.parametrize("section", ["sampled", "full"])
    def test_hits_on_lastfm_are_whole_users(self, numbers, section):
        users = numbers["statistics"]["lastfm"]["file"]["users"]
        for metric, row in numbers[section]["lastfm"].items():
            for name, value in methods(row).items() if metric.startswith("HR") else ():
                assert round(value * users) / users == rounded(value, 4), (metric, name)


class TestProtocols:
    def test_taus_follow_from_the_tables(self, numbers):
        for data, row in only_data(numbers["protocols"]).items():
            for metric, tau in row["kendall_tau"].items():
                full = methods(numbers["full"][data][metric])
                sampled = numbers["sampled"][data][metric]
                assert len(full) == 10
                found = kendall_tau([sampled[name] for name in full], list(full.values()))
                assert found == rounded(tau, 2), (data, metric)

    def test_gains_and_best_baselines_follow_from_the_tables(self, numbers):
        for data, row in only_data(numbers["protocols"]).items():
            for section in ("sampled", "full"):
                tables = numbers[section][data]
                assert best_baseline(tables["NDCG@10"]) == row["best_baseline_ndcg_10"][section]
                for metric, gain in row["gain_over_sasrec_percent"].items():
                    found = 100 * (tables[metric]["S3-Rec"] / tables[metric]["SASRec"] - 1)
                    assert gain[section] == rounded(found, 1), (data, section, metric)

    def test_the_text_contradicts_its_table_where_we_say_so(self, numbers):
        sampled = numbers["sampled"]
        assert len(numbers["protocols"]["statements_against_table_2"]) == 3
        meituan = sampled["meituan"]["NDCG@10"]
        assert meituan["FM"] > meituan["PopRec"] > meituan["AutoInt"]
        assert all(sampled[data]["NDCG@10"]["GRU4RecF"] > sampled[data]["NDCG@10"]["GRU4Rec"] for data in DATA)
        lost = [data for data in DATA if sampled[data]["NDCG@10"]["SASRecF"] < sampled[data]["NDCG@10"]["SASRec"]]
        assert lost == ["meituan", "lastfm"]
        assert sampled["yelp"]["HR@10"]["improvement"] == min(
            row["improvement"] for table in only_data(sampled).values() for row in table.values()
        )


class TestRepository:
    def test_its_paper_rows_are_those_of_table_2(self, numbers):
        for data in RELEASED:
            for model, pair in numbers["repository"][data].items():
                assert pair["paper"] == {metric: numbers["sampled"][data][metric][model] for metric in pair["paper"]}

    def test_its_own_rows_are_those_of_the_logs_and_feasible(self, numbers):
        for data in RELEASED:
            for model, pair in numbers["repository"][data].items():
                log = numbers["logs"][data][model]
                assert pair["repo"] == log["test"]
                assert ndcg_feasible(*(log["test"][metric] for metric in FOUR))
                assert log["best"] == log["epochs"] - 11  # counted from 0, and 10 epochs of patience
                epochs = 0 if model == "SASRec" else numbers["settings"]["authors"]["released_epochs"][data]
                assert log["pretraining_epochs"] == epochs

    def test_validation_curves_stay_below_the_best(self, numbers):
        curves = numbers["validation_curves"]
        for data in RELEASED:
            for model, curve in curves[data].items():
                assert len(curve) == len(curves["epochs"])
                assert max(curve) < numbers["logs"][data][model]["validation"]["NDCG@10"] + 0.005

    def test_anchors_of_figures_are_rows_of_table_2(self, numbers):
        for figure in ("2", "3", "4"):
            for data, anchors in numbers["figures"][figure]["anchors"].items():
                assert anchors == {name: numbers["sampled"][data]["NDCG@10"][name] for name in anchors}


class TestStatistics:
    def test_averages_and_sparsity_follow_from_the_counts(self, numbers):
        for data, row in only_data(numbers["statistics"]).items():
            counts = row.get("file", row["paper"])
            digits = (1, 1, 2) if data == "meituan" else (2, 2, 3)
            users, items, actions = counts["users"], counts["items"], counts["actions"]
            assert counts["actions_per_user"] == rounded(actions / users, digits[0])
            assert counts["actions_per_item"] == rounded(actions / items, digits[1])
            assert counts["sparsity_percent"] == rounded(100 * (1 - actions / users / items), digits[2])

    def test_positive_share_of_the_attribute_target(self, numbers):
        for data in RELEASED:
            file = numbers["statistics"][data]["file"]
            share = 100 * file["distinct_attributes_per_item"] / (file["attributes"] + 1)  # column 0 counts as well
            assert file["positive_percent_of_attribute_target"] == pytest.approx(share, abs=0.011), data

    def test_paper_and_files_agree_except_where_known(self, numbers):
        different = {
            (data, name)
            for data in RELEASED
            for name in ("users", "items", "actions", "attributes")
            if numbers["statistics"][data]["paper"][name] != numbers["statistics"][data]["file"][name]
        }
        assert different == {("sports", "users"), ("beauty", "attributes")}

    def test_the_users_of_sports_are_a_misprint(self, numbers):
        row = next(row for row in numbers["misprints"] if row["what"] == "users of Sports")
        sports = numbers["statistics"]["sports"]
        assert row["printed"] == sports["paper"]["users"] == 25598
        assert row["right"] == sports["file"]["users"] == 35598
        average = sports["paper"]["actions_per_user"]
        assert round(296337 / row["printed"], 1) != average
        assert round(296337 / row["right"], 1) == average

    def test_the_other_misprints(self, numbers):
        rows = {row["what"]: row for row in numbers["misprints"]}
        assert all(row["printed"] != row["right"] for row in rows.values())
        for data, name in zip(DATA, ("Meituan", "Beauty", "Sports", "Toys", "Yelp", "LastFM"), strict=True):
            for metric, table in numbers["full"][data].items():
                row = rows.get(f"improvement in percent, {name}, {metric}")
                assert (row is not None) == (table["improvement"] < 0)
                if row:
                    best = table[best_baseline(table)]
                    assert row["right"] == rounded(100 * (table["S3-Rec"] - best) / best, 2)
        sasrec = numbers["repository"]["sports"]["SASRec"]["repo"]
        misprint = rows["Sports, SASRec, NDCG@10"]
        assert sasrec["NDCG@10"] == misprint["right"]
        hits = (sasrec["HR@5"], sasrec["NDCG@5"], sasrec["HR@10"])
        assert ndcg_feasible(*hits, misprint["right"])
        assert not ndcg_feasible(*hits, misprint["printed"])


class TestSettings:
    @pytest.mark.parametrize("preset", ["paper", "authors", "recbole"])
    def test_presets_agree(self, numbers, preset):
        for stage, config in zip(("model", "pretrain", "finetune"), configs(preset), strict=True):
            for name, value in numbers["settings"][preset][stage].items():
                if (preset, stage, name) == ("authors", "pretrain", "epochs"):
                    assert config.epochs in numbers["settings"]["authors"]["released_epochs"].values()
                else:
                    assert getattr(config, name) == value, (stage, name)

    def test_weights_of_the_paper(self, numbers):
        weights = {"aap": 0.2, "mip": 1.0, "map": 1.0, "sp": 0.5}
        assert configs("paper")[1].weights == weights
        assert all(numbers["settings"]["paper"]["pretrain"][f"{name}_weight"] == weights[name] for name in weights)
        old = numbers["settings"]["recbole"]["weights_up_to_1.2.0"]
        assert (old["aap_weight"], old["mip_weight"]) == (weights["mip"], weights["aap"])

    def test_parameters_of_the_released_checkpoints(self, numbers):
        model = numbers["settings"]["authors"]["model"]
        d, inner = model["hidden_size"], model["inner_size"]
        square, norm = d * d + d, 2 * d
        block = 4 * square + norm + (d * inner + inner) + (inner * d + d) + norm
        for data, count in numbers["settings"]["released_parameters"].items():
            file = numbers["statistics"][data]["file"]
            tables = (file["items"] + 2 + file["attributes"] + 1 + model["max_length"]) * d
            assert count == tables + norm + model["n_layers"] * block + 4 * square, data


class TestClosedForms:
    def test_chance(self, numbers):
        for name, value in chance(100).items():
            assert numbers["chance_99"][name] == rounded(value, 4), name

    def test_a_sampled_hit_at_a_full_rank(self, numbers):
        """Each of the 99 outranks the target with this chance; a hit needs fewer than 10 that do."""
        for share, printed in numbers["chance_99"]["top_10_hit_by_full_rank_share"].items():
            p = float(share)
            found = sum(math.comb(99, above) * p**above * (1 - p) ** (99 - above) for above in range(10))
            assert printed == rounded(found, 3)

    def test_caps(self, numbers):
        caps = numbers["mutual_information"]["caps"]
        assert list(caps)[-2:] == [str(numbers["statistics"][data]["file"]["items"]) for data in ("lastfm", "beauty")]
        for size, row in caps.items():
            assert row["log_k"] == rounded(log_k_cap(int(size)), 3)
            digits = 4 if int(size) > 1000 else 3
            assert row["bounded_critic"] == rounded(bounded_critic_cap(int(size)), digits)

    def test_correlations(self, numbers):
        for dim, row in numbers["mutual_information"]["gaussian_rho"].items():
            for mi, rho in row.items():
                digits = 5 if dim == "1" else 4
                assert rho == rounded(gaussian_correlation(float(mi), int(dim)), digits)

    def test_double_sigmoid(self, numbers):
        section, lowest_chance_highest = numbers["double_sigmoid"], double_sigmoid_range()
        for name, value in zip(("minimum", "chance", "maximum"), lowest_chance_highest, strict=True):
            assert section[name] == rounded(value, 4)
        nats = section["certified_nats"]
        assert nats["highest"] == rounded(pairwise_to_nats(lowest_chance_highest.lowest), 3)
        assert nats["lowest"] == rounded(pairwise_to_nats(lowest_chance_highest.highest), 3)
        assert nats["highest"] == rounded(bounded_critic_cap(2), 3)  # the same ceiling, reached another way
        assert certified_nats(section["chance"], 2) == pytest.approx(0, abs=1e-4)

    @pytest.mark.parametrize(("name", "score"), [("at_0", 0.0), ("at_minus_6", -6.0)])
    def test_gradients_of_the_double_sigmoid(self, numbers, name, score):
        for key, squash in (("single", lambda value: value), ("double", torch.sigmoid)):
            positive = torch.tensor(score, dtype=torch.float64, requires_grad=True)
            difference = squash(positive) - squash(torch.tensor(0.0, dtype=torch.float64))
            (-torch.nn.functional.logsigmoid(difference)).backward()
            assert numbers["double_sigmoid"]["gradient"][name][key] == rounded(-positive.grad.item(), 4)

    def test_frozen_loss(self, numbers):
        section = numbers["frozen_loss"]
        assert section["value"] == rounded(-math.log(section["clamp"]), 2)
        for offset, frozen in ((1, True), (-1, False)):
            score = torch.tensor(section["frozen_from_score"] + offset, dtype=torch.float32, requires_grad=True)
            loss = -torch.log(1 - torch.sigmoid(score) + section["clamp"])
            loss.backward()
            assert (loss.item() == pytest.approx(section["value"], abs=0.005)) == frozen
            assert (score.grad.item() == section["gradient"]) == frozen

    def test_known_truths(self, numbers):
        tasks = numbers["mutual_information"]["benchmark_tasks"]
        for name, value in tasks.items():
            if name.endswith("-0.75") and "additive" not in name:
                assert value == rounded(gaussian_mi(0.75), 4), name
            elif name.startswith("1v1-additive"):
                assert value == rounded(uniform_noise_mi(float(name.removeprefix("1v1-additive-"))), 4), name
            elif name.startswith("multinormal-dense"):
                half, other, rho = (float(part) for part in name.split("-")[2:])
                assert half == other
                assert value == rounded(self.equicorrelated(half, rho), 4), name
            elif name.startswith("student"):
                *_, x_dim, y_dim, freedom = (int(part) for part in name.replace("identity-", "").split("-")[1:])
                assert value > self.tails(x_dim, y_dim, freedom) - 5e-5, name
        assert tasks["student-identity-1-1-1"] == rounded(self.tails(1, 1, 1), 4)
        assert tasks["multinormal-sparse-n-n-2-2.0"] == rounded(2 * gaussian_mi(0.8), 4)

    @staticmethod
    def equicorrelated(dim: float, rho: float) -> float:
        """Information between two groups of ``dim`` normals, if all 2 ``dim`` have the same correlation."""

        def log_determinant(size):
            return (size - 1) * math.log(1 - rho) + math.log(1 + (size - 1) * rho)

        return log_determinant(dim) - log_determinant(2 * dim) / 2

    @staticmethod
    def tails(x_dim: int, y_dim: int, freedom: int) -> float:
        """What Student's tails add to the Gaussian information: they tie x and y even at correlation 0."""

        def term(size):
            half = torch.tensor(size / 2, dtype=torch.float64)
            return (torch.lgamma(half) - half * torch.digamma(half)).item()

        return term(freedom) + term(freedom + x_dim + y_dim) - term(freedom + x_dim) - term(freedom + y_dim)

    def test_exact_information_of_items_and_attributes(self, numbers):
        table = numbers["mutual_information"]["item_attribute"]
        assert tuple(table) == RELEASED
        for data, row in table.items():
            assert (
                0
                < row["popularity"]["mi"]
                < row["uniform"]["mi"]
                < math.log(numbers["statistics"][data]["file"]["items"])
            )
            if "attribute_entropy" in row["uniform"]:
                found = row["uniform"]["attribute_entropy"] - row["uniform"]["attribute_entropy_given_item"]
                assert row["uniform"]["mi"] == pytest.approx(found, abs=1.5e-4)
                assert row["uniform"]["attribute_entropy"] <= math.log(
                    numbers["statistics"][data]["file"]["attributes"]
                )


class TestMeasurements:
    def test_loss_shares_add_up(self, numbers):
        for data in RELEASED:
            assert sum(numbers["loss_shares"][data].values()) == pytest.approx(100, abs=0.15), data

    def test_the_last_item_lifts_the_masked_share(self, numbers):
        section, statistics = numbers["masked_share"], numbers["statistics"]
        for data in RELEASED:
            assert section["effective"][data] > numbers["settings"]["authors"]["pretrain"]["mask_ratio"]
            shorter = statistics[data]["file"]["share_of_single_item_prefixes"]
            assert section["prefixes_without_mask"][data] > 0.8 * shorter  # one item stays in 80% of the cases

    def test_prefixes_of_one_item_are_one_a_user(self, numbers):
        for data in RELEASED:
            file = numbers["statistics"][data]["file"]
            share = file["users"] / file["pretraining_prefixes"]
            assert file["share_of_single_item_prefixes"] == rounded(share, 3), data
            low, high = numbers["segments"]["single_item_share_percent"]
            assert low - 0.5 <= 100 * share <= high + 0.5

    def test_what_leaks_on_lastfm_is_little_beside_what_models_find(self, numbers):
        facts, tag = numbers["statistics"]["lastfm"]["file"], numbers["favourite_tag"]["lastfm"]
        unseen = facts["items"] - facts["actions_per_user"] + 1
        assert tag["chance"] == rounded(10 / unseen, 4)
        assert tag["chance"] < tag["HR@10"] <= 1.5 * 10 / tag["candidates"]
        best = numbers["full"]["lastfm"]["HR@10"]["S3-Rec"]
        for expected in numbers["finetuning_leak"]["lastfm"]:
            spy = 10 / (1 + (unseen - 1) * math.exp(-expected))
            assert 0 < spy - 10 / unseen < best / 30

    def test_norms_of_untrained_rows_are_those_of_the_initial_draw(self, numbers):
        section, authors = numbers["padding_row_norm"], numbers["settings"]["authors"]["model"]
        assert section["initializer_range"] == authors["initializer_range"]
        expected = authors["initializer_range"] * math.sqrt(authors["hidden_size"])
        assert all(section[data] == pytest.approx(expected, rel=0.1) for data in ("lastfm", "beauty", "toys"))
        for data in ("lastfm", "beauty", "toys"):
            assert (
                numbers["padding_attribute_norms"][data]["row_0"] > 2 * numbers["padding_attribute_norms"][data]["mean"]
            )
            assert numbers["last_position_norm"][data]["last"] > 5 * max(numbers["last_position_norm"][data]["others"])

    def test_repeated_targets_of_yelp(self, numbers):
        killed, file = numbers["seen_items"]["yelp_targets_killed"], numbers["statistics"]["yelp"]["file"]
        assert (killed["test"], killed["valid"]) == (file["test_item_in_history"], file["valid_item_in_history"])
        assert killed["users"] == file["users"]
        assert killed["test_percent"] == rounded(100 * killed["test"] / killed["users"], 2)

    def test_seeds_are_whole_users_and_feasible(self, numbers):
        rows = numbers["seeds"]["rows"]
        assert len(rows) == 10
        users = numbers["statistics"][numbers["seeds"]["data"]]["file"]["users"]
        for row in rows:
            assert row["HR@5"] <= row["HR@10"] <= row.get("HR@20", 1)
            assert row["NDCG@10"] <= row["HR@10"]
            for value in (row[name] for name in row if name.startswith("HR")):
                assert round(value * users) / users == rounded(value, 4)

    def test_a_segment_of_another_user_shows_nothing_and_one_film_less_than_ten(self, numbers):
        whole, earlier, held_out, seen, scrambled = numbers["segment_control"]["nats"].values()
        assert abs(scrambled) < 0.005 < max(held_out, seen) < min(whole, earlier)
        assert abs(whole - earlier) < 0.05
        assert abs(held_out - seen) < 0.05


class TestLiterature:
    def test_copies_are_copies(self, numbers):
        copies = [row for row in numbers["literature"]["copied"] if row["model"] in ("SASRec", "S3-Rec")]
        assert len(copies) == 4
        for row in copies:
            table = numbers["full"][row["data"]]
            assert row["metrics"] == {metric: table[metric][row["model"]] for metric in row["metrics"]}

    def test_slips_are_rows_of_another_method(self, numbers):
        """Copied numbers may be off by one in the last digit, but the method that is named is farther away."""
        for slip in numbers["literature"]["copying_slips"]:
            table = numbers["full"][slip["data"]]

            def distance(name, slip=slip, table=table):
                return max(abs(value - table[metric][name]) for metric, value in slip["metrics"].items())

            assert min(methods(table["HR@5"]), key=distance) == slip["really"] != slip["named"]
            assert distance(slip["really"]) < 2.5e-4

    @pytest.mark.parametrize("section", ["copied", "reruns", "other_data"])
    def test_rows_of_four_metrics_are_feasible(self, numbers, section):
        for row in numbers["literature"][section]:
            assert all(0 < value < 1 for value in row["metrics"].values())
            if set(FOUR) <= set(row["metrics"]):
                assert ndcg_feasible(*(row["metrics"][metric] for metric in FOUR)), row

    def test_the_doubtful_table_is_not(self, numbers):
        section = numbers["literature"]["doubtful"]
        rows = {(row["model"], row["data"]): row["metrics"] for row in section["rows"]}
        sasrec = rows["SASRec", "beauty"]
        assert not ndcg_feasible(*(sasrec[metric] for metric in FOUR))
        bounds = section["broken"][0]
        assert bounds["NDCG@10"] == sasrec["NDCG@10"]
        least = sasrec["NDCG@5"] + (sasrec["HR@10"] - sasrec["HR@5"]) / math.log2(11)
        assert bounds["least"] == rounded(least, 4)

    def test_rows_name_their_source_and_are_not_repeated(self, numbers):
        for section in ("copied", "reruns", "reruns_sampled", "other_data", "losses"):
            rows = numbers["literature"][section]
            assert all({"model", "data", "metrics", "source"} <= set(row) for row in rows)
            assert len({json.dumps(row, sort_keys=True) for row in rows}) == len(rows)

    def test_one_hit_on_lastfm(self, numbers):
        noise, users = numbers["literature"]["lastfm_noise"], numbers["statistics"]["lastfm"]["file"]["users"]
        assert noise["one_hit"] == rounded(1 / users, 4)
        assert noise["standard_error_hr_10"] == rounded(math.sqrt(0.07 * 0.93 / users), 3)
        assert noise["significant_from"] == rounded(1.96 * math.sqrt(0.07 / users), 3)  # 7% disagree
        assert noise["power_80_from"] == rounded(2.8 * math.sqrt(0.07 / users), 3)
