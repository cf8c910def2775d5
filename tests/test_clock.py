"""The machine's clock, with the machine's two clocks given by hand."""

from __future__ import annotations

import pytest

from ditad import clock as clock_module
from ditad.clock import STEP_US_MAX, SystemClock

START_NS = 1_700_000_000_000_000_000
S = 1_000_000_000


class Machine:
    """Wall and monotonic time as a test sets them."""

    def __init__(self) -> None:
        self.wall_ns = START_NS
        self.mono_ns = 5 * S

    def time_ns(self) -> int:
        """Give wall time."""
        return self.wall_ns

    def monotonic_ns(self) -> int:
        """Give monotonic time."""
        return self.mono_ns

    def monotonic(self) -> float:
        """Give monotonic seconds."""
        return self.mono_ns / S

    def go(self, seconds: float, *, set_by: float = 0) -> None:
        """Let time pass, and set the wall clock."""
        self.mono_ns += int(seconds * S)
        self.wall_ns += int((seconds + set_by) * S)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Put a machine's time under the test's control."""
    made = Machine()
    monkeypatch.setattr(clock_module, "time", made)
    return made


def test_time_rises_even_where_the_machines_stands(machine: Machine) -> None:
    """Two moments never share a stamp."""
    clock = SystemClock()
    stamps = [clock.now_us() for _ in range(4)]
    assert [machine.wall_ns // 1_000 + place for place in range(4)] == stamps


def test_time_advances_with_the_monotonic_clock(machine: Machine) -> None:
    """A small step of the wall clock is ignored."""
    clock = SystemClock()
    first = clock.now_us()
    machine.go(2, set_by=STEP_US_MAX / 2 / 1_000_000)
    assert 2_000_000 == clock.now_us() - first


def test_a_clock_set_forward_is_followed(machine: Machine) -> None:
    """Within `STEP_US_MAX`."""
    clock = SystemClock()
    clock.now_us()
    machine.go(1, set_by=3_600)
    assert machine.wall_ns // 1_000 == clock.now_us()


def test_a_clock_set_back_never_takes_time_back_and_never_stops_it(machine: Machine) -> None:
    """Time goes on at half its pace: deadlines still pass while the machine's clock catches up."""
    clock = SystemClock()
    first = clock.now_us()
    machine.go(0, set_by=-3_600)
    clock.now_us()
    machine.go(10)
    assert 5_000_001 == clock.now_us() - first


def test_after_half_pace_the_clocks_meet(machine: Machine) -> None:
    """Set back by a minute, two minutes later all is well."""
    clock = SystemClock()
    clock.now_us()
    machine.go(0, set_by=-60)
    for _ in range(121):
        machine.go(1)
        clock.now_us()
    assert machine.wall_ns // 1_000 == clock.now_us() - 1


def test_deadlines_are_monotonic(machine: Machine) -> None:
    """Setting the wall clock does not touch them."""
    clock = SystemClock()
    before = clock.mono_s()
    machine.go(2, set_by=-3_600)
    assert 2 == clock.mono_s() - before
