"""A chain that waits for any of its children goes on when the first has ended."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.engine import ProcessState, ToContext, WorkChain, run_get_node, while_
from aiida.manage import get_manager
from aiida.orm import Int, ProcessNode, WorkChainNode, load_node

from aiida_litraj.workflows.waiting import WaitsForAny

MOST = 20


class Steps(WorkChain):
    """Goes on until its caller has had a second turn, for so many steps at most."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input('number', valid_type=Int)
        spec.outline(cls.begin, while_(cls.has_more)(cls.count_down))

    def begin(self) -> None:
        self.ctx.left = self.inputs.number.value

    def has_more(self) -> bool:
        return bool(self.ctx.left) and len(self.node.caller.base.extras.get('seen', [])) < 2

    def count_down(self) -> Any:
        self.ctx.left -= 1
        return ToContext(last=self.submit(Steps, number=Int(0)))  # a step without waiting gives no other its turn


class Watcher(WaitsForAny):
    """Has a child that goes on and one that does not, and notes which of them have ended whenever it has its turn."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.begin, while_(cls.is_under_way)(cls.watch))

    def begin(self) -> None:
        self.ctx.seen = []
        self.ctx.pks = [self.submit(Steps, number=Int(number)).pk for number in (MOST, 0)]

    def pair(self) -> list[ProcessNode]:
        return [load_node(pk) for pk in self.ctx.pks]

    def is_under_way(self) -> bool:
        return not all(child.is_terminated for child in self.pair())

    def watch(self) -> Any:
        children = self.pair()
        self.ctx.seen.append([child.is_terminated for child in children])
        self.node.base.extras.set('seen', self.ctx.seen)
        return ToContext(**{f'child_{k}': child for k, child in enumerate(children) if not child.is_terminated})


def test_next_step_comes_when_the_first_child_has_ended(aiida_profile: Any) -> None:
    _, node = run_get_node(Watcher)
    assert node.is_finished_ok, node.exception
    # The second step is taken while the first child runs on, and no other until that has ended.
    assert node.base.extras.get('seen') == [[False, False], [False, True]]


class Two(WaitsForAny):
    """Waits for the first and the second of its children in one step, in the next for the first again."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.outline(cls.wait)

    def wait(self) -> None:
        """Is never come to: the test does the steps."""


def test_child_of_two_steps_is_asked_of_once_and_told_to_the_present_one(
    aiida_profile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its end comes while a step waits, or in the middle of one."""
    chain = get_manager().get_runner().instantiate_process(Two)
    first, second = WorkChainNode().store(), WorkChainNode().store()
    told: dict[int, list[Any]] = {}
    soon: list[tuple[Any, ...]] = []
    resumed: list[bool] = []
    monkeypatch.setattr(
        chain.runner, 'call_on_process_finish', lambda pk, callback: told.setdefault(pk, []).append(callback)
    )
    monkeypatch.setattr(chain, 'call_soon', lambda callback, *args: soon.append((callback, *args)))
    monkeypatch.setattr(chain, 'resume', lambda *_: resumed.append(True))

    def step(**children: ProcessNode) -> None:
        chain._awaitables = []
        chain.to_context(**children)
        chain._action_awaitables()

    def run_soon() -> None:
        while soon:
            callback, *args = soon.pop(0)
            callback(*args)

    waits = True
    monkeypatch.setattr(type(chain), 'state', property(lambda _: ProcessState.WAITING if waits else 'running'))
    step(one=first, two=second)
    told[second.pk][0]()
    run_soon()
    assert (len(resumed), chain.ctx.two.pk, [one.pk for one in chain._awaitables]) == (1, second.pk, [first.pk])
    step(one=first)
    waits = False  # in the middle of a step
    told[first.pk][0]()
    run_soon()
    assert len(resumed) == 1
    waits = True
    step(one=first)
    run_soon()
    assert (len(resumed), chain.ctx.one.pk, chain._awaitables) == (2, first.pk, [])
    assert {pk: len(asked) for pk, asked in told.items()} == {first.pk: 1, second.pk: 1}
