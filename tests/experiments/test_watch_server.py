"""What the server of `p3o watch` accepts, when hands are on, and what a trained player says it predicts."""

import asyncio
import collections
import json
import struct
import sys

import jax
import numpy as np
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import experiments.watching
from envs import make
from envs.drive import Drive
from experiments import folder, saved, watch
from experiments.watching import server
from experiments.watching.game import Game, compile_player, pack
from experiments.watching.hands import KEYS, Hands, keys_of
from experiments.watching.players import NO_HUMAN, beliefs_of, by_hand, learned_player, simple_player
from p3o_jax import rollout

SMALL = {"num_envs": 8, "segment_length": 8, "horizon": 6, "num_minibatches": 1, "total_steps": 256.0}
URL, SOCKET = "http://127.0.0.1:8021", "ws://127.0.0.1:8021/play"


@pytest.fixture(scope="module")
def page():
    return server.Page(compile_player(simple_player("pong", {}, False), 0), "random", 0, 60)


def facts_of(message):
    length = struct.unpack("<I", message[:4])[0]
    return json.loads(message[4 : 4 + length])


def test_a_message_holds_the_facts_and_the_pixels():
    shown = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    message = pack({"step": 5}, shown)
    length = struct.unpack("<I", message[:4])[0]
    assert length % 4 == 0
    assert facts_of(message) == {"step": 5, "width": 3, "height": 2}
    pixels = np.frombuffer(message[4 + length :], np.uint8).reshape(2, 3, 4)
    assert (pixels[..., :3] == shown).all()
    assert (pixels[..., 3] == 255).all()


def test_only_pages_of_ours_may_play(page):
    client = TestClient(server.application(page), base_url=URL)
    for origin in ({}, {"origin": "http://evil.example"}):
        with pytest.raises(WebSocketDisconnect) as refusal, client.websocket_connect(SOCKET, headers=origin):
            pass
        assert refusal.value.code == 1008
    with client.websocket_connect(SOCKET, headers={"origin": URL}) as socket:
        assert facts_of(socket.receive_bytes())["step"] == 0
        socket.send_text("not JSON")
        with pytest.raises(WebSocketDisconnect) as refusal:
            collections.deque(iter(socket.receive_bytes, None), maxlen=0)
        assert refusal.value.code == 1007


def test_other_hosts_and_methods_are_refused(page):
    client = TestClient(server.application(page), base_url=URL)
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert client.post("/").status_code == 405
    answer = client.get("/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http" not in answer.text.replace("http-equiv", "")  # the page needs nothing from elsewhere
    assert client.get("/about").json()["keys"]["ArrowUp"] == 1


def test_the_socket_listens_on_loopback_and_a_taken_port_is_named():
    with server.listen(0) as listening:
        host, port = listening.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(ValueError, match=f"`port` must be free, or 0 for any that is; got {port}"):
            server.listen(port)


@pytest.mark.parametrize("message", [3, {}, {"pause": 1}, {"speed": "x"}, {"speed": float("nan")}, {"press": "1"}])
def test_other_messages_are_refused(message):
    async def obey():
        server.Controls(Hands(None), 20.0).obey(message, 0.0)

    with pytest.raises(ValueError, match="`message` must be one that the page sends"):
        asyncio.run(obey())


def test_hands_are_on_until_a_second_after_the_last_key():
    hands = Hands(keys_of(make("pong")))
    assert hands.take(0.0) == NO_HUMAN
    hands.press(99, 0.0)  # no action of pong
    assert hands.take(0.0) == NO_HUMAN
    hands.press(2, 0.0)
    assert [hands.take(now) for now in (0.0, 5.0)] == [2, 2]
    hands.release(5.0)
    assert [hands.take(now) for now in (5.1, 5.9, 6.1)] == [0, 0, NO_HUMAN]


def test_a_tap_between_two_steps_is_played():
    hands = Hands(keys_of(make("pong")))
    hands.press(1, 0.0)
    hands.release(0.01)
    assert [hands.take(now) for now in (0.02, 0.04)] == [1, 0]


def test_a_game_of_turns_waits_for_the_move_and_then_gives_back():
    hands = Hands(keys_of(make("connect4")))
    assert not hands.wait(0.0)
    hands.press(3, 0.0)
    assert not hands.wait(0.0)
    assert hands.take(0.0) == 3
    assert hands.wait(1.0)  # even while the key is down
    assert hands.take(5.1) == NO_HUMAN


def test_actions_of_the_keys_are_actions_of_the_environments():
    for kind, keys in KEYS.items():
        env = kind(num_scenes=1) if kind is Drive else kind()  # scenes take seconds to draw
        actions = set(keys.labels.values()) | ({keys.rest} if keys.rest is not None else set())
        assert actions <= set(range(env.num_actions)), kind
        assert set(keys.keys.values()) == set(keys.labels.values()), kind
    assert keys_of(make("pong", continuous=True)) is None


def test_the_hand_moves_the_first_agent_only():
    env = make("snake", width=40, height=30, num_snakes=3, num_food=8)
    actions = jax.numpy.array([1, 2, 3], jax.numpy.int32)
    assert by_hand(env.action_space(), actions, 0).tolist() == [0, 2, 3]
    assert by_hand(env.action_space(), actions, NO_HUMAN).tolist() == [1, 2, 3]


def test_a_trained_player_predicts_what_its_network_says_in_units_of_reward(tmp_path):
    run = folder.new({"env": "pong", "seed": 0, "key": "", "bands": 0} | SMALL)
    scaler = run.state.reward_scaler
    scaler = scaler._replace(moments=scaler.moments._replace(mean=jax.numpy.float32(0.25)))  # rewards of size 1/2
    run = run._replace(state=run.state.replace(reward_scaler=scaler))
    saved.save(tmp_path / "agent", run)
    player = learned_player(tmp_path / "agent")
    beliefs = beliefs_of(run)
    assert beliefs.scale.tolist() == [0.5] * 6
    assert beliefs.std.tolist() == [0.5] * 6  # of a spread that has seen nothing: 1
    assert beliefs.weights == pytest.approx(np.maximum(1 - np.arange(6) / 6, 0.3), abs=1e-6)
    game = Game(compile_player(player, 0), 0)
    position, memory = game.carry
    obs, first = position.obs[None].astype(jax.numpy.float32), position.first[None]
    actor = rollout.make_actor(run.config, run.env, run.env.default_params, 1)
    _, values = rollout.apply(actor, run.state.trainable, obs, first, memory, memory)
    assert facts_of(game.step(NO_HUMAN))["mean"] == pytest.approx(0.5 * np.asarray(values)[0, 0], abs=1e-4)


@pytest.mark.parametrize(
    ("chosen", "unit", "sizes"),
    [
        ({}, "band", [4, 4, 4]),
        ({"bands": 3}, "band", [3, 3, 3]),
        ({"bands": 0}, "lag", [6, 6, 6]),
        ({"estimator": "gae"}, "return", [1, 0, 0]),
    ],
)
def test_agents_say_what_they_predict(chosen, unit, sizes):
    beliefs = beliefs_of(folder.new({"env": "pong", "seed": 0, "key": ""} | SMALL | chosen))
    assert beliefs.unit == unit
    assert [len(values) for values in beliefs[:3]] == sizes
    if unit == "band":
        assert beliefs.scale[0] == 1.0  # the first band is one step wide
        assert (np.diff(beliefs.scale) >= 0).all()


def test_without_the_extra_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "experiments.watching.server")
    monkeypatch.setattr(watch, "keep_on_disk", lambda: None)
    monkeypatch.delattr(experiments.watching, "server")
    with pytest.raises(SystemExit) as refusal:
        watch.main(["pong"])
    assert refusal.value.code == 2
    assert "pip install 'neocarbs-p3o[watch]'" in capsys.readouterr().err
