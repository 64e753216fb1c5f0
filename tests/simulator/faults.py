# SPDX-FileCopyrightText: 2026 The dolly.ring authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedules of faults, drawn from a seed, that occur at a time or when a node reports a state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Dict, List, Set

from ansible_collections.dolly.ring.tests.simulator.machine import Machine
from ansible_collections.dolly.ring.tests.simulator.ring import CHUNK, Ring

#: A shorter silence must not make any node lost.
_SHORT_S = 3.0
#: The phases of a run, as reported by a node.
STATES = ("waiting", "ready", "receiving", "verifying", "flushing", "done")
KINDS = (
    "kill", "kill", "kill", "kill", "power", "power", "freeze", "pause", "hang", "bad disk", "cut", "blink",
    "slow disk", "slow in", "slow out", "crawls", "crawls", "flip", "flip", "neighbours", "restart", "late", "server",
    "blind", "blind",
)  # fmt: skip


@dataclass
class Schedule:
    """The faults of a ring. `broken` nodes cannot end well; `shaken` nodes may or may not."""

    ring: Ring
    broken: Set[int] = field(default_factory=set)
    shaken: Set[int] = field(default_factory=set)
    late: Dict[int, float] = field(default_factory=dict)
    lines: List[str] = field(default_factory=list)

    @property
    def sure(self) -> List[Machine]:
        """The clients without any fault that could keep them from the image."""
        if 0 in self.broken | self.shaken:
            return []
        return [one for one in self.ring.clients if one.rank not in self.broken | self.shaken]


Fault = Callable[[Schedule], None]


def draw(ring: Ring) -> Schedule:
    """Draw faults for a ring from the randomness of its world, and schedule them."""
    schedule = Schedule(ring)
    chance = ring.world.random
    for machine in ring.clients:
        machine.disk_rate = CHUNK * chance.choice((4, 20, 60))
        machine.flush_s = chance.choice((0.01, 0.3, 2.0))
        machine.prepare_s = chance.choice((0.005, 0.3))
    for _unused in range(chance.choice((0, 1, 1, 2, 2, 3, 5))):
        kind = chance.choice(KINDS)
        if kind == "server" and chance.random() < 0.7:
            kind = "kill"
        _FAULTS[kind](schedule)
    return schedule


def draw_many(ring: Ring) -> Schedule:
    """For a large ring: kill one node in a hundred, or cut its power, at some time in the run."""
    schedule = Schedule(ring)
    chance = ring.world.random
    for machine in chance.sample(ring.clients, max(1, len(ring.clients) // 100)):
        schedule.broken.add(machine.rank)
        how = chance.choice((machine.kill, machine.lose_power))
        ring.world.after(12.0 * chance.random(), None, how)
    return schedule


def _anybody(schedule: Schedule) -> Machine:
    chance, clients = schedule.ring.world.random, schedule.ring.clients
    return chance.choice((clients[0], clients[-1], chance.choice(clients), chance.choice(clients)))


def _sometime(schedule: Schedule, what: str, happen: Callable[[], None]) -> None:
    """Schedule `happen` at a random time, or shortly after a random node reports a random state."""
    ring = schedule.ring
    chance = ring.world.random
    if chance.random() < 0.3:
        moment = chance.choice((0.05, 3.0, 8.0)) * chance.random()
        schedule.lines.append("%.3f %s" % (moment, what))
        ring.world.after(moment, None, happen)
        return
    delay = chance.choice((0.0, 0.002, 0.05, 1.0)) * chance.random()
    who, state = chance.choice(ring.clients), chance.choice(STATES)
    schedule.lines.append("%.3f after %s says %s: %s" % (delay, who, state, what))
    trigger = ring.triggers.setdefault((who.rank, state), [])
    trigger.append(lambda: ring.world.after(delay, None, happen))


def _breaks(what: str, how: Callable[[Machine], None]) -> Fault:
    """A fault after which its node never ends well."""

    def fault(schedule: Schedule) -> None:
        victim = _anybody(schedule)
        schedule.broken.add(victim.rank)
        _sometime(schedule, what % victim, lambda: how(victim))

    return fault


def _slows(what: str, rate: str) -> Fault:
    """A fault that keeps one of a node's rates low from the start."""

    def fault(schedule: Schedule) -> None:
        victim = _anybody(schedule)
        setattr(victim, rate, CHUNK * 0.7)
        schedule.lines.append(what % victim)

    return fault


def _pause(schedule: Schedule) -> None:
    victim = _anybody(schedule)
    chance = schedule.ring.world.random
    seconds = chance.choice((_SHORT_S, 20.0)) * chance.random()
    if seconds > _SHORT_S:
        schedule.shaken.add(victim.rank)

    def happen() -> None:
        if not victim.is_frozen:
            victim.freeze()
            schedule.ring.world.after(seconds, None, victim.thaw)

    _sometime(schedule, "%s freezes for %.1f s" % (victim, seconds), happen)


def _bad_disk(schedule: Schedule) -> None:
    victim = _anybody(schedule)
    schedule.broken.add(victim.rank)
    victim.bad_from = schedule.ring.world.random.randrange(schedule.ring.plan.image.size or 1)
    schedule.lines.append("%s cannot be written from %d on" % (victim, victim.bad_from))


def _cut(schedule: Schedule) -> None:
    _cut_for(schedule, schedule.ring.world.random.choice((8.0, 30.0, 1e6)))


def _blink(schedule: Schedule) -> None:
    _cut_for(schedule, _SHORT_S * schedule.ring.world.random.random())


def _cut_for(schedule: Schedule, seconds: float) -> None:
    ring = schedule.ring
    one = ring.world.random.choice(ring.machines[:-1])
    other = ring.world.random.choice(ring.machines[one.rank + 1 :])
    if seconds > _SHORT_S:
        schedule.shaken.add(other.rank)

    def happen() -> None:
        ring.network.cut(one.rank, other.rank)
        ring.world.after(seconds, None, lambda: ring.network.mend(one.rank, other.rank))

    _sometime(schedule, "no way between %s and %s for %.1f s" % (one, other, seconds), happen)


def _crawls(schedule: Schedule) -> None:
    """A node so slow, with the others so fast, that it is demoted; it still gets the image."""
    victim = _anybody(schedule)
    what = schedule.ring.world.random.choice(("disk_rate", "in_rate"))
    rate = CHUNK * schedule.ring.world.random.choice((0.25, 0.3))
    _sometime(schedule, "%s crawls, %s %d" % (victim, what, rate), lambda: setattr(victim, what, rate))


def _flip(schedule: Schedule) -> None:
    if schedule.ring.shape.verify == "none":
        return  # without verification nobody would notice
    victim = _anybody(schedule)
    chunk = schedule.ring.world.random.randrange(schedule.ring.shape.chunks)
    victim.flips[chunk] = 1
    schedule.lines.append("chunk %d comes damaged to %s" % (chunk, victim))


def _neighbours(schedule: Schedule) -> None:
    ring = schedule.ring
    first = ring.world.random.choice(ring.clients)
    victims = ring.machines[first.rank : first.rank + 3]
    schedule.broken |= {victim.rank for victim in victims}
    how = ring.world.random.choice((Machine.kill, Machine.lose_power))

    def happen() -> None:
        for victim in victims:
            how(victim)

    _sometime(schedule, "%s: %s" % (how.__name__, ", ".join(map(str, victims))), happen)


def _restart(schedule: Schedule) -> None:
    ring = schedule.ring
    victim = _anybody(schedule)
    schedule.shaken.add(victim.rank)
    pause = 6.0 * ring.world.random.random()

    def again() -> None:
        if not victim.has_ended and not victim.is_silent:
            ring.world.log(victim, "started again")
            ring.restart(victim.rank)

    def happen() -> None:
        if not victim.is_dead:
            victim.kill()
            ring.world.after(pause, None, again)

    _sometime(schedule, "kill %s, start it again %.1f s later" % (victim, pause), happen)


def _late(schedule: Schedule) -> None:
    victim = _anybody(schedule)
    schedule.shaken.add(victim.rank)
    schedule.late[victim.rank] = 15.0 * schedule.ring.world.random.random()
    schedule.lines.append("%s starts %.1f s late" % (victim, schedule.late[victim.rank]))


def _blind(schedule: Schedule) -> None:
    """No other node can read from it any more; if it is done, it stays done."""
    victim = _anybody(schedule)
    schedule.shaken.add(victim.rank)
    _sometime(schedule, "the disk of %s cannot be read any more" % victim, victim.go_blind)


def _server(schedule: Schedule) -> None:
    server = schedule.ring.machines[0]
    schedule.broken.add(0)
    how = schedule.ring.world.random.choice((Machine.kill, Machine.lose_power))
    _sometime(schedule, "the server: %s" % how.__name__, lambda: how(server))


_FAULTS: Dict[str, Fault] = {
    "kill": _breaks("kill %s", Machine.kill),
    "power": _breaks("%s loses power", Machine.lose_power),
    "freeze": _breaks("%s freezes for good", Machine.freeze),
    "pause": _pause,
    "hang": _breaks("the disk of %s hangs", Machine.hang),
    "bad disk": _bad_disk,
    "cut": _cut,
    "blink": _blink,
    "slow disk": _slows("%s has a slow disk", "disk_rate"),
    "slow in": _slows("%s hears slowly", "in_rate"),
    "slow out": _slows("%s talks slowly", "out_rate"),
    "crawls": _crawls,
    "flip": _flip,
    "neighbours": _neighbours,
    "restart": _restart,
    "late": _late,
    "server": _server,
    "blind": _blind,
}
