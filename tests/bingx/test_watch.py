"""Suspecting a key that is dead behind a living Ping."""

from ditad.bingx.watch import GRACE_S, Watch


def test_a_movement_nobody_pushed_is_suspected_once() -> None:
    """Two reports differ, no push came: after the grace the key is suspected."""
    watch = Watch()
    watch.reported("100", 0, 10.0)
    watch.reported("101", 0, 40.0)
    assert not watch.suspects(40.0 + GRACE_S - 0.1)
    assert watch.due_in_s(41.0) == GRACE_S - 1.0
    assert watch.suspects(40.0 + GRACE_S)
    assert not watch.suspects(50.0)


def test_a_push_explains_a_movement() -> None:
    """Between the reports, or within the grace after the second."""
    watch = Watch()
    watch.reported("100", 0, 10.0)
    watch.pushed()
    watch.reported("101", 1, 40.0)
    assert watch.due_in_s(40.0) is None
    watch.reported("102", 1, 70.0)
    watch.pushed()
    assert not watch.suspects(100.0)


def test_a_push_during_the_asking_explains_the_next_report() -> None:
    """What moved after the wallet was read and before the round ended shows in the next round only."""
    watch = Watch()
    before = watch.pushes
    watch.pushed()
    watch.reported("100", before, 10.0)
    watch.reported("101", watch.pushes, 40.0)
    assert watch.due_in_s(40.0) is None


def test_a_standing_account_is_not_suspected() -> None:
    """Silence on an account that does not move says nothing."""
    watch = Watch()
    watch.reported("100", 0, 10.0)
    watch.reported("100", 0, 40.0)
    assert not watch.suspects(100.0)
