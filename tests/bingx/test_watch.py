"""Suspecting a key that is dead behind a living Ping."""

from decimal import Decimal

from ditad.bingx.watch import AGAIN_S, GRACE_S, Watch

OLD, NEW = Decimal(100), Decimal(101)


def test_a_movement_nobody_pushed_is_suspected() -> None:
    """Two reports differ, no push came: after the grace the key is suspected, until somebody acts."""
    watch = Watch()
    watch.reported(OLD, (), 0, 10.0)
    watch.reported(NEW, (), 0, 40.0)
    assert not watch.suspects(40.0 + GRACE_S - 0.1)
    assert watch.due_in_s(41.0) == GRACE_S - 1.0
    assert watch.suspects(40.0 + GRACE_S)
    assert not watch.suspects(40.0 + GRACE_S)
    assert watch.suspects(40.0 + GRACE_S + AGAIN_S)
    watch.changed()
    assert not watch.suspects(50.0)


def test_a_position_that_moved_without_the_wallet_is_suspected_too() -> None:
    """A fill without a fee moves the position alone."""
    watch = Watch()
    watch.reported(OLD, ("long",), 0, 10.0)
    watch.reported(OLD, (), 0, 40.0)
    assert watch.suspects(40.0 + GRACE_S)


def test_a_push_explains_a_movement() -> None:
    """Between the reports, or within the grace after the second."""
    watch = Watch()
    watch.reported(OLD, (), 0, 10.0)
    watch.pushed(20.0, NEW)
    watch.reported(NEW, (), 1, 40.0)
    assert watch.due_in_s(40.0) is None
    watch.reported(OLD, (), 1, 70.0)
    watch.pushed(71.0)
    assert not watch.suspects(100.0)


def test_a_push_does_not_explain_what_came_after_it() -> None:
    """The key died after a push of the same interval: the wallet is not the one that was pushed last."""
    watch = Watch()
    watch.reported(OLD, (), 0, 10.0)
    watch.pushed(20.0, OLD)
    watch.reported(NEW, (), 1, 40.0)
    assert watch.suspects(40.0 + GRACE_S)


def test_a_key_that_dies_before_the_first_report_is_noticed() -> None:
    """What was pushed is all there is to compare with."""
    watch = Watch()
    watch.pushed(5.0, OLD)
    watch.reported(NEW, (), 1, 10.0)
    assert watch.suspects(10.0 + GRACE_S)


def test_a_report_soon_after_a_push_may_be_older_than_it() -> None:
    """REST and the stream do not keep step: neither it nor the next one, which is right, is a reason to suspect."""
    watch = Watch()
    watch.pushed(9.0, NEW)
    watch.reported(OLD, (), 1, 10.0)
    watch.reported(NEW, (), 1, 40.0)
    assert watch.due_in_s(40.0) is None
    watch.reported(OLD, (), 1, 70.0)
    assert watch.suspects(70.0 + GRACE_S)


def test_what_moved_while_no_stream_lived_is_not_suspected() -> None:
    """After a reconnect reports differ from what was told before, and that proves nothing."""
    watch = Watch()
    watch.pushed(5.0, OLD)
    watch.changed()
    watch.reported(NEW, (), watch.pushes, 40.0)
    assert watch.due_in_s(40.0) is None


def test_a_push_during_the_asking_explains_the_next_report() -> None:
    """What moved after the wallet was read and before the round ended shows in the next round only."""
    watch = Watch()
    before = watch.pushes
    watch.pushed(5.0, NEW)
    watch.reported(OLD, (), before, 10.0)
    watch.reported(NEW, (), watch.pushes, 40.0)
    assert watch.due_in_s(40.0) is None


def test_a_standing_account_is_not_suspected() -> None:
    """Silence on an account that does not move says nothing."""
    watch = Watch()
    watch.reported(OLD, (), 0, 10.0)
    watch.reported(OLD, (), 0, 40.0)
    assert watch.due_in_s(40.0) is None
