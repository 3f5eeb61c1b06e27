import pytest

from pulltrace_aggregator.sharding import Shard

pytestmark = pytest.mark.unit


def test_one_shard_is_everything() -> None:
    assert Shard() == Shard.parse("0/1")
    assert Shard().owns("any node")


@pytest.mark.parametrize(
    ("node", "first_eight_bytes"),
    [
        # printf %s node-1 | sha256sum
        ("node-1", 0x35971BE6E9BB024A),
        ("ip-10-0-0-1.ec2.internal", 0xF8D8022819BA8C40),
    ],
)
def test_the_rule_is_the_documented_one(node: str, first_eight_bytes: int) -> None:
    for count in (2, 3, 7, 1000):
        owners = [index for index in range(count) if Shard(index, count).owns(node)]
        assert owners == [first_eight_bytes % count]


def test_every_node_has_one_owner_and_shards_are_even() -> None:
    nodes = [f"node-{number}.eu-west-1.compute.internal" for number in range(3000)]
    shares = [{node for node in nodes if Shard(index, 3).owns(node)} for index in range(3)]
    assert set.union(*shares) == set(nodes)
    assert sum(map(len, shares)) == len(nodes)
    assert all(900 < len(share) < 1100 for share in shares)


def test_names_that_are_no_text_have_an_owner_too() -> None:
    assert sum(Shard(index, 4).owns("\ud800") for index in range(4)) == 1


@pytest.mark.parametrize("text", ["0/1", "0/3", "2/3", "007/010"])
def test_a_written_shard_is_read(text: str) -> None:
    index, count = map(int, text.split("/"))
    assert Shard.parse(text) == Shard(index, count)
    assert Shard.parse(str(Shard(index, count))) == Shard(index, count)


@pytest.mark.parametrize("name", ["pulltrace-aggregator-", "a-", "v1.2-3-"])
def test_the_name_of_a_pod_stands_for_its_number(name: str) -> None:
    assert Shard.parse(f"{name}2/3") == Shard(2, 3)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("pulltrace-aggregator-3/3", "'pulltrace-aggregator-3/3': of 3 shards the first is 0 and the last 2"),
        ("pulltrace/3", "'pulltrace/3' is not a shard: write it like 0/3, 1/3, 2/3"),
        ("pulltrace-aggregator-x/3", "'pulltrace-aggregator-x/3' is not a shard: write it like 0/3, 1/3, 2/3"),
        ("", "'' is not a shard: write it like 0/3, 1/3, 2/3"),
        ("1", "'1' is not a shard: write it like 0/3, 1/3, 2/3"),
        ("-1/3", "'-1/3' is not a shard: write it like 0/3, 1/3, 2/3"),
        ("1/3/5", "'1/3/5' is not a shard: write it like 0/3, 1/3, 2/3"),
        ("²/3", "'²/3' is not a shard: write it like 0/3, 1/3, 2/3"),
        ("3/3", "'3/3': of 3 shards the first is 0 and the last 2"),
        ("0/0", "'0/0': there must be at least one shard"),
    ],
)
def test_what_is_none(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match="shard") as raised:
        Shard.parse(text)
    assert str(raised.value) == problem
