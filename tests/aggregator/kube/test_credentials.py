"""Credentials that change while the aggregator runs, and those that are not accepted."""

from pathlib import Path

import pytest

from aggregator.kube.adapter_setup import AdapterSetup
from pulltrace_aggregator.kube import access as access_module
from pulltrace_aggregator.kube import resources
from pulltrace_aggregator.kube.access import ApiAccess, source
from pulltrace_aggregator.kube.reflector import Stage
from rig.kubernetes.api import READ_EVERYTHING
from rig.kubernetes.fake import FakeCluster
from rig.sample_views import FixedClock
from rig.web import put


@pytest.fixture(autouse=True)
def quick_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "RENEWAL_PAUSE_SECONDS", 0.1)


def test_a_token_that_is_not_accepted_is_said_and_read_again(setup: AdapterSetup) -> None:
    token_file = put(setup.folder / "token", "wrong\n")
    following = setup.follow(kubeconfig=setup.kubeconfig(token_file=token_file))
    following.wait_stage("pods", Stage.FAILING)
    assert "the API server does not accept the credentials: Unauthorized" in following.problems
    assert not following.cluster.health.ready
    token_file.write_text(setup.cluster.user(READ_EVERYTHING) + "\n")
    following.wait_up()
    assert not following.problems


def test_a_token_file_that_was_empty_for_a_moment_is_read_again(setup: AdapterSetup) -> None:
    """Without a token one is anonymous, and is told of rights that are missing, not of credentials."""
    token_file = put(setup.folder / "token", "")
    following = setup.follow(kubeconfig=setup.kubeconfig(token_file=token_file))
    following.wait_stage("pods", Stage.REFUSED)
    token_file.write_text(setup.cluster.user(READ_EVERYTHING) + "\n")
    following.wait_up()


@pytest.mark.contract
def test_a_token_that_is_rotated_is_followed_without_a_failure(fake: FakeCluster, fake_setup: AdapterSetup) -> None:
    first, second = fake.user(READ_EVERYTHING), fake.user(READ_EVERYTHING)
    token_file = put(fake_setup.folder / "token", first)
    following = fake_setup.follow(
        [resources.waiting_pods(fake_setup.namespace)], kubeconfig=fake_setup.kubeconfig(token_file=token_file)
    )
    following.wait_up()
    token_file.write_text(second)
    fake.revoke(first)
    fake_setup.proxy.cut()
    following.wait_restarts("pods", "closed")
    following.wait_up()
    assert not following.restarts("pods", "unauthorized")


@pytest.mark.contract
def test_a_kubeconfig_that_breaks_while_running_is_said_and_survived(
    fake: FakeCluster, fake_setup: AdapterSetup
) -> None:
    token = fake.user(READ_EVERYTHING)
    path = Path(fake_setup.kubeconfig(token))
    good = path.read_text()
    following = fake_setup.follow(kubeconfig=str(path)).wait_up()
    path.write_text("]")
    fake.revoke(token)
    fake_setup.proxy.cut()
    following.wait_restarts("pods", "credentials")
    assert any(each.startswith(f"kubeconfig {path}: ") for each in following.problems)
    path.write_text(good.replace(token, fake.user(READ_EVERYTHING)))
    following.wait_up()


@pytest.mark.contract
def test_refused_credentials_are_not_fetched_again_all_the_time(
    fake_setup: AdapterSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "RENEWAL_PAUSE_SECONDS", 5.0)
    loads = 0
    load = source(fake_setup.kubeconfig("wrong"))

    def counted() -> object:
        nonlocal loads
        loads += 1
        return load()

    clock = FixedClock()
    access = ApiAccess(counted, clock)
    for _ in range(3):
        access.renew(access.session())
    assert loads == 2
    clock.monotonic += 6
    old = access.session()
    assert access.renew(old)
    assert access.renew(old), "another thread has renewed them"
    assert loads == 3
    access.close()
