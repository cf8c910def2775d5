import dataclasses
import os
import pickle
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ditad import config_keys
from ditad.config import (
    AccountSettings,
    AuditSettings,
    DaemonSettings,
    KeySettings,
    ReconcileSettings,
    Settings,
    StreamSettings,
    credentials,
    load,
    problems,
)
from ditad.config_secrets import CredentialSource, Secret, SecretSource
from ditad.config_tell import TellSettings, tell_secret
from ditad.config_template import template
from ditad.errors import SettingsError

MINIMAL = '[[account]]\nname = "main"\nenvironment = "live"\n'
CUSTOM = MINIMAL.replace("live", "custom")
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Give a function that writes a settings file."""

    def writer(text: str) -> Path:
        path = tmp_path / "ditad.toml"
        path.write_text(text)
        return path

    return writer


def wrong(path: Path, **environ: str) -> list[str]:
    """Give the problems for which a file is refused."""
    with pytest.raises(SettingsError) as refused:
        load(path, environ=environ)
    assert 78 == refused.value.exit_code
    return refused.value.problems


HOOK = '[tell]\ncommand = ["/bin/true"]\n'
WEBHOOK = '[tell]\nurl = "https://hooks.example.org/ditad/"\n'


# ---- the file that ships --------------------------------------------------------------------------------------------


def shipped() -> Path:
    """Find the settings file of the repository."""
    return Path(__file__).parents[1] / "config" / "ditad.toml"


def test_the_shipped_file_is_written_from_the_table() -> None:
    """Every key with its unit, default and bound stands in the file, because the file is made from them."""
    assert template() == shipped().read_text()


def test_the_shipped_file_says_nothing_but_defaults(write: Write) -> None:
    """Taking the shipped file as it is means the same as writing only what must be written."""
    assert load(write(MINIMAL), environ={}) == load(shipped(), environ={})


def test_every_commented_key_of_the_shipped_file_can_be_taken_in(write: Write) -> None:
    """What is commented out is a valid example of its key."""
    text = shipped().read_text().replace('"live"', '"custom"')
    for key in ("socket_group", "rest_url", "ws_url", "margin_asset", "max_capital", "api_key_file", "api_secret_file"):
        assert f"\n# {key} = " in text
        text = text.replace(f"\n# {key} = ", f"\n{key} = ")
    account = load(write(text), environ={}).accounts[0]
    assert ("https://rest.example.org", Decimal(25000)) == (account.rest_url, account.max_capital)
    assert Path("/etc/ditad/main.api_key") == account.credentials.api_key_file


@pytest.mark.parametrize(
    ("section", "settings", "besides"),
    [
        (config_keys.DAEMON, DaemonSettings, set()),
        (config_keys.ACCOUNT, AccountSettings, set(config_keys.ACCOUNT_TABLES)),
        (config_keys.RECONCILE, ReconcileSettings, set()),
        (config_keys.AUDIT, AuditSettings, set()),
        (config_keys.STREAM, StreamSettings, set()),
        (config_keys.KEY, KeySettings, set()),
        (config_keys.CREDENTIALS, CredentialSource, set()),
    ],
)
def test_the_table_and_the_settings_have_the_same_names(
    section: config_keys.Section, settings: type, besides: set[str]
) -> None:
    """No key is without a field and no field without a key."""
    fields = {field.name for field in dataclasses.fields(settings)}
    assert fields == {key.field or key.name for key in section.keys} | besides


def test_the_defaults_are_those_of_the_contract(write: Write) -> None:
    """What the pages users script against promise is what a file without a key means."""
    settings = load(write(MINIMAL), environ={})
    assert settings == Settings(
        daemon=DaemonSettings(
            state_dir=Path("/var/lib/ditad"),
            socket=Path("/run/ditad/ditad.sock"),
            socket_mode=0o660,
            socket_group=None,
            admin_uids=(0,),
            log_level="info",
            log_format="auto",
            metrics_listen=None,
        ),
        accounts=settings.accounts,
    )
    account = settings.accounts[0]
    assert account.reconcile == ReconcileSettings(
        capital_epsilon=Decimal("0.0001"),
        realized_rounding=Decimal("0.05"),
        mark_staleness_factor=Decimal("0.003"),
        leverage_rounding_band=Decimal(2),
        pending_fee_bound=Decimal(20),
        lot_step=Decimal("0.001"),
        settle_window_s=2.0,
        bot_window_s=10.0,
        bot_away_s=3600.0,
    )
    assert (None, Decimal(0), None) == (account.seed_capital, account.min_capital, account.max_capital)
    assert (60, 30, ()) == (account.bar_s, account.raw_days, account.bot_uids)
    assert (30.0, 150.0, 5.0) == (account.audit.interval_s, account.audit.report_lag_s, account.audit.fills_lag_s)
    assert (15.0, 1800.0, True) == (account.stream.silence_s, account.stream.key_renew_s, account.stream.marks)
    assert 0.0 == account.stream.key_rotate_s
    assert (1.0, "auto") == (account.stream.mark_interval_s, account.stream.partial_amounts)
    assert not account.key.allow_withdraw_permission
    assert {
        "runtime_namespace": "dita_v2",
        "strategy_namespace": "dita_v2",
        "event_namespace": "dita_v2",
        "actor_name": "ExecutionKernel",
        "exec_venue": "bingx",
        "data_venue": "binance",
        "ledger_authority": "exchange",
    } == account.namespaces


# ---- values ---------------------------------------------------------------------------------------------------------


def test_decimals_keep_their_digits_however_written(write: Write) -> None:
    """A number and a text mean the same decimal; neither passes through a float."""
    for written in ("0.100000000000000001", '"0.100000000000000001"'):
        account = load(write(f"{MINIMAL}seed_capital = {written}\n"), environ={}).accounts[0]
        assert Decimal("0.100000000000000001") == account.seed_capital


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('log_level = "loud"', "[daemon]: log_level must be one of debug | info | warning | error"),
        ('socket_mode = "9999"', "[daemon]: socket_mode must be an octal mode in quotes, 0600 to 0777"),
        ("socket_mode = 660", "[daemon]: socket_mode must be an octal mode in quotes, 0600 to 0777"),
        ('socket = "ditad.sock"', "[daemon]: socket must be an absolute path, in quotes"),
        (f'socket = "/{"x" * 107}"', "[daemon] socket: its path must not pass 107 bytes"),
        ("admin_uids = 0", "[daemon]: admin_uids must be a list of 0 to 64 user ids"),
        ("admin_uids = [true]", "[daemon]: admin_uids holds True, which is no user id (a number, as `id -u` says)"),
        ("admin_uids = [-1]", "[daemon]: admin_uids holds -1, which is no user id (a number, as `id -u` says)"),
        ('socket_group = "no group"', "[daemon]: socket_group must be a group's name, in quotes"),
    ],
)
def test_a_wrong_value_of_the_daemon_says_what_is_due(write: Write, line: str, said: str) -> None:
    """Each kind of value has its sentence, which names the bound."""
    assert [said] == wrong(write(f"[daemon]\n{line}\n{MINIMAL}"))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("raw_days = 0", "raw_days is 0, out of its bounds: 1 to 3650 days"),
        ("raw_days = 1.5", "raw_days must be a whole number, 1 to 3650"),
        ("raw_days = true", "raw_days must be a whole number, 1 to 3650"),
        ("min_capital = -1", "min_capital is -1, out of its bounds: 0 to 1000000000000 margin asset"),
        ('min_capital = "NaN"', "min_capital must be a number, 0 to 1000000000000"),
        ("min_capital = inf", "min_capital must be a number, 0 to 1000000000000"),
        ("min_capital = true", "min_capital must be a number, 0 to 1000000000000"),
        ('seed_capital = "much"', 'seed_capital must be a number, "auto", or -1000000000000 to 1000000000000'),
        ("min_capital = 5\nmax_capital = 4", "min_capital 5 is greater than max_capital 4"),
        ('bar = "90"', "bar must be a number with s, m, h or d; 1s to 30d, in quotes"),
        ('bar = "31d"', "bar must be a number with s, m, h or d; 1s to 30d, in quotes"),
        ("bar = 60", "bar must be a number with s, m, h or d; 1s to 30d, in quotes"),
        ('margin_asset = "usdt"', "margin_asset must be 2 to 16 of A-Z 0-9, in quotes"),
        (
            'rest_url = "https://x.org"',
            "rest_url is for environment custom only: take it out, or set environment to custom",
        ),
    ],
)
def test_a_wrong_value_of_an_account_says_which_account(write: Write, lines: str, said: str) -> None:
    """A sentence names the account, the key and the bound."""
    found = wrong(write(f"{MINIMAL}{lines}\n"))
    assert [f"account main: {said}"] == found


@pytest.mark.parametrize(
    ("table", "line", "said"),
    [
        ("stream", "silence_s = 0", "silence_s is 0, out of its bounds: 1 to 300 s"),
        ("stream", "key_renew_s = 1801", "key_renew_s is 1801, out of its bounds: 60 to 1800 s"),
        ("stream", "key_rotate_s = 599", "key_rotate_s is 599, out of its bounds: 0, or 600 to 86400 s"),
        ("stream", "key_rotate_s = -1", "key_rotate_s is -1, out of its bounds: 0, or 600 to 86400 s"),
        ("stream", "key_rotate_s = true", "key_rotate_s must be a number, 0, or 600 to 86400"),
        ("stream", 'marks = "yes"', "marks must be true | false, without quotes"),
        ("stream", "backoff_s_min = 60", ": backoff_s_min is greater than backoff_s_max"),
        ("audit", "interval_s = 3600.5", "interval_s is 3600.5, out of its bounds: 1 to 3600 s"),
        ("audit", "interval_s = 1e400", "interval_s must be a number, 1 to 3600"),
        ("namespaces", 'actor_name = ""', "actor_name must be 1 to 64 characters, in quotes"),
        ("key", "allow_withdraw_permission = 1", "allow_withdraw_permission must be true | false, without quotes"),
    ],
)
def test_a_wrong_value_of_a_table_says_which_table(write: Write, table: str, line: str, said: str) -> None:
    """A sentence names the table too."""
    found = wrong(write(f"{MINIMAL}[account.{table}]\n{line}\n"))
    due = f"account main: [{table}]{said}" if said.startswith(":") else f"account main [{table}]: {said}"
    assert [due] == found


@pytest.mark.parametrize(
    ("text", "bar_s"),
    [("1s", 1), ("5m", 300), ("4h", 14_400), ("30d", 2_592_000)],
)
def test_a_bar_is_seconds(write: Write, text: str, bar_s: int) -> None:
    """The length of a bar is written with its unit and handed on in seconds."""
    assert bar_s == load(write(f'{MINIMAL}bar = "{text}"\n'), environ={}).accounts[0].bar_s


# ---- unknown keys, and all problems at once ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[deamon]\n" + MINIMAL, "the file: there is no key 'deamon'; the nearest known one is 'daemon'"),
        (
            "[daemon]\nloglevel = 1\n" + MINIMAL,
            "[daemon]: there is no key 'loglevel'; the nearest known one is 'log_level'",
        ),
        (
            MINIMAL + "max_captial = 1\n",
            "account main: there is no key 'max_captial'; the nearest known one is 'max_capital'",
        ),
        (
            MINIMAL + "[account.stream]\nsilence = 1\n",
            "account main [stream]: there is no key 'silence'; the nearest known one is 'silence_s'",
        ),
        (MINIMAL + "silence_s = 15\n", "account main: there is no key 'silence_s'; it belongs in [account.stream]"),
        (MINIMAL + "[account.steam]\n", "account main: there is no key 'steam'; the nearest known one is 'stream'"),
    ],
)
def test_an_unknown_key_names_the_nearest(write: Write, text: str, said: str) -> None:
    """A slip of the pen does not silently mean the default."""
    assert [said] == wrong(write(text))


def test_all_problems_are_said_at_once(write: Write) -> None:
    """Whoever writes settings corrects them in one round."""
    path = write(
        '[daemon]\nlog_levle = "info"\nlog_format = "xml"\n'
        '[[account]]\nname = "Main"\nenvironment = "live"\n'
        '[[account]]\nname = "b"\nraw_days = 0\n[account.audit]\npages_max = 0\n'
    )
    assert [
        "[daemon]: there is no key 'log_levle'; the nearest known one is 'log_level'",
        "[daemon]: log_format must be one of auto | json | console",
        "account 1: name must be 1 to 32 of a-z 0-9 _ -, unique, in quotes",
        "account b: environment is missing: it must be live | vst | custom",
        "account b: raw_days is 0, out of its bounds: 1 to 3650 days",
        "account b [audit]: pages_max is 0, out of its bounds: 1 to 10000 pages",
    ] == wrong(path)


def test_account_names_are_unique(write: Write) -> None:
    """Two accounts of one name would share a journal."""
    assert ["account main: the name is given 2 times, make each unique"] == wrong(write(MINIMAL + MINIMAL))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no account: add at least"),
        ('[account]\nname = "main"\n', "write [[account]] with two brackets"),
        ("account = [1]\n", "[[account]] must be a table of keys"),
        ("daemon = 1\n" + MINIMAL, "[daemon] must be a table of keys"),
        (MINIMAL + "stream = 1\n", "account main [stream] must be a table of keys"),
        (MINIMAL * 257, "there are 257 accounts, more than 256"),
        ("name = ", "are not TOML: Invalid value (at end of document)"),
        ("a = " + "[" * 100_000, "are not TOML"),
        ("#" * (1024 * 1024 + 1), "are larger than 1048576 bytes"),
    ],
)
def test_a_file_of_the_wrong_shape_is_refused(write: Write, text: str, said: str) -> None:
    """Whatever is in the file, the answer is a sentence."""
    assert said in wrong(write(text))[0]


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are not settings, and neither is a folder."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert "are not TOML" in wrong(tmp_path / "bytes")[0]
    assert "cannot be read" in wrong(tmp_path)[0]


def test_a_missing_file_says_how_to_write_one(tmp_path: Path, write: Write) -> None:
    """A first start ends with a file that one can copy, and which is valid."""
    said = wrong(tmp_path / "none.toml")[0]
    assert f"there are no settings at {tmp_path}/none.toml: write that file, at least\n\n[[account]]" in said
    assert "main" == load(write(said.split("\n\n", 1)[1]), environ={}).accounts[0].name


# ---- environment, addresses -------------------------------------------------------------------------------------------


def test_systemds_folders_win(write: Write) -> None:
    """`$STATE_DIRECTORY` and `$RUNTIME_DIRECTORY` are where the service may write; of several the first counts."""
    path = write('[daemon]\nstate_dir = "/a"\nsocket = "/b/c"\n' + MINIMAL)
    daemon = load(path, environ={"STATE_DIRECTORY": "/var/lib/x:/var/lib/y", "RUNTIME_DIRECTORY": "/run/x"}).daemon
    assert (Path("/var/lib/x"), Path("/run/x/ditad.sock")) == (daemon.state_dir, daemon.socket)
    daemon = load(path, environ={"STATE_DIRECTORY": "", "RUNTIME_DIRECTORY": ""}).daemon
    assert (Path("/a"), Path("/b/c")) == (daemon.state_dir, daemon.socket)
    assert ["$STATE_DIRECTORY must be an absolute path: unset it, or let systemd set it"] == wrong(
        path, STATE_DIRECTORY="here"
    )


@pytest.mark.parametrize(
    ("environment", "rest", "ws", "asset"),
    [
        ("live", "https://open-api.bingx.com", "wss://open-api-swap.bingx.com/swap-market", "USDT"),
        ("vst", "https://open-api-vst.bingx.com", "wss://vst-open-api-ws.bingx.com/swap-market", "VST"),
    ],
)
def test_an_environment_means_its_hosts(write: Write, environment: str, rest: str, ws: str, asset: str) -> None:
    """The exchange's own addresses and the asset of its wallet follow from the word."""
    account = load(write(MINIMAL.replace("live", environment)), environ={}).accounts[0]
    assert (rest, ws, asset) == (account.rest_url, account.ws_url, account.margin_asset)


def test_the_demo_has_its_own_asset(write: Write) -> None:
    """A demo wallet in USDT would never be found."""
    assert ["account main: margin_asset is VST on vst: take it out, or set it to VST"] == wrong(
        write(MINIMAL.replace("live", "vst") + 'margin_asset = "USDT"\n')
    )


@pytest.mark.parametrize(
    ("rest", "ws"),
    [
        ("https://rest.example.org", "wss://ws.example.org/swap-market"),
        ("http://127.0.0.1:8080", "ws://127.3.2.1:1/x"),
        ("http://localhost:8080", "ws://[::1]:1/x"),
    ],
)
def test_custom_addresses_are_taken(write: Write, rest: str, ws: str) -> None:
    """Secure addresses anywhere, plain ones to this machine."""
    account = load(write(f'{CUSTOM}rest_url = "{rest}/"\nws_url = "{ws}"\n'), environ={}).accounts[0]
    assert (rest, ws, "USDT") == (account.rest_url, account.ws_url, account.margin_asset)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://rest.example.org", "must not be plain http beyond this machine: use https"),
        ("http://127.0.0.1.example.org", "must not be plain http beyond this machine: use https"),
        ("http://10.0.0.1", "must not be plain http beyond this machine: use https"),
        ("https://user:word@rest.example.org", "must be an address alone, without user, query or fragment"),
        ("https://rest.example.org/?listenKey=1", "must be an address alone, without user, query or fragment"),
        ("ftp://rest.example.org", "must be an address such as https://host or wss://host/path, in quotes"),
        ("https://", "must be an address such as https://host or wss://host/path, in quotes"),
        ("https://host:port", "must be an address such as https://host or wss://host/path, in quotes"),
        ("wss://rest.example.org", "must begin with http:// or its secure form"),
    ],
)
def test_an_address_that_leaks_or_is_none_is_refused(write: Write, url: str, said: str) -> None:
    """What is signed with a secret is sent encrypted, or does not leave the machine."""
    path = write(f'{CUSTOM}rest_url = "{url}"\nws_url = "wss://ws.example.org"\n')
    assert [f"account main: rest_url {said}"] == wrong(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("127.8.9.10:1", ("127.8.9.10", 1)),
        ("[::1]:65535", ("::1", 65535)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
    ],
)
def test_the_metrics_may_be_asked_for_on_this_machine(write: Write, text: str, expected: tuple[str, int]) -> None:
    """An address of loopback and a port, in either family."""
    assert expected == load(write(f'[daemon]\nmetrics_listen = "{text}"\n{MINIMAL}'), environ={}).daemon.metrics_listen


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"0.0.0.0:9464"', "must not be reached from beyond this machine"),
        ('"[::]:9464"', "must not be reached from beyond this machine"),
        ('"192.168.1.7:9464"', "must not be reached from beyond this machine"),
        ('"localhost:9464"', "must be an IP address of this machine alone"),
        ('"127.0.0.1"', "must be an IP address of this machine alone"),
        ('"127.0.0.1:65536"', "must be an IP address of this machine alone"),
        ('"127.0.0.256:9464"', "must be an IP address of this machine alone"),
        ('"::1:9464"', "must be an IP address of this machine alone"),
        ("9464", "must be an IP address of this machine alone"),
    ],
)
def test_the_metrics_are_not_for_others(write: Write, text: str, said: str) -> None:
    """They tell capital: an address that others reach is refused, and so is a name, which may lead anywhere."""
    (problem,) = wrong(write(f"[daemon]\nmetrics_listen = {text}\n{MINIMAL}"))
    assert said in problem


def test_an_address_is_text(write: Write) -> None:
    """A number is no address."""
    assert [
        "account main: rest_url must be an address such as https://host or wss://host/path, in quotes",
        "account main: ws_url is missing: environment custom needs it",
    ] == wrong(write(CUSTOM + "rest_url = 8080\n"))


def test_custom_needs_both_addresses(write: Write) -> None:
    """There is no default for somebody else's host."""
    assert [
        "account main: rest_url is missing: environment custom needs it",
        "account main: ws_url is missing: environment custom needs it",
    ] == wrong(write(CUSTOM))


# ---- credentials ----------------------------------------------------------------------------------------------------

KEY = "k" * 64
SECRET = "s" * 64


def files(folder: Path, *, mode: int = 0o600, end: str = "\n") -> str:
    """Write two secret files and the table that points to them."""
    for word, text in (("api_key", KEY), ("api_secret", SECRET)):
        (folder / word).write_text(text + end)
        (folder / word).chmod(mode)
    return (
        f'{MINIMAL}[account.credentials]\napi_key_file = "{folder}/api_key"\napi_secret_file = "{folder}/api_secret"\n'
    )


def revealed(path: Path, **environ: str) -> tuple[str, str]:
    """Read the credentials of a file's only account."""
    key, secret = credentials(load(path, environ=environ).accounts[0], environ)
    return key.reveal(), secret.reveal()


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_credentials_come_from_files(tmp_path: Path, write: Write, end: str) -> None:
    """A trailing newline, which editors add, is not part of a secret."""
    path = write(files(tmp_path, end=end))
    assert (KEY, SECRET) == revealed(path)
    assert [] == problems(path, {})


def test_credentials_come_from_variables(write: Write) -> None:
    """Two variables that the settings name hold the two."""
    path = write(f'{MINIMAL}[account.credentials]\napi_key_env = "A_KEY"\napi_secret_env = "A_SECRET"\n')
    assert (KEY, SECRET) == revealed(path, A_KEY=KEY, A_SECRET=SECRET)
    assert [
        "account main: api_key: the environment variable that api_key_env names is not set: set it where the daemon is started",
        "account main: api_secret: the environment variable that api_secret_env names is not set: set it where the daemon is started",
    ] == problems(path, {})


def test_credentials_come_from_systemd(tmp_path: Path, write: Write) -> None:
    """Without a source in the settings, the service's own credentials count, whatever their mode shows."""
    for word, text in (("api_key", KEY), ("api_secret", SECRET)):
        (tmp_path / f"main.{word}").write_text(text)
        (tmp_path / f"main.{word}").chmod(0o440)
    path = write(MINIMAL)
    assert (KEY, SECRET) == revealed(path, CREDENTIALS_DIRECTORY=str(tmp_path))
    said = (
        "account main: {0}: no source is given: run it with CREDENTIALS_DIRECTORY=/etc/ditad, the folder of main.{0}, "
        "or have LoadCredential=main.{0} in the unit, or set {0}_file or {0}_env in [account.credentials]"
    )
    assert [said.format("api_key"), said.format("api_secret")] == problems(path, {})


def test_the_shipped_settings_say_whose_a_file_of_a_key_must_be() -> None:
    """Who takes the remark off a key's file learns there that the unit needs none, and that root's is not the daemon's."""
    (line,) = [line for line in shipped().read_text().splitlines() if line.startswith("# api_key_file")]
    assert "not needed under the unit; belongs to the daemon's user, not to root" in line


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o777])
def test_secret_files_of_others_are_refused(tmp_path: Path, write: Write, mode: int) -> None:
    """What group or others can touch is no secret."""
    assert [
        f"account main: {word}: {tmp_path}/{word} can be read by others than its owner: chmod 600 it"
        for word in ("api_key", "api_secret")
    ] == problems(write(files(tmp_path, mode=mode)), {})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty or too short to be one: write the whole value there"),
        ("\n\n", "is empty or too short to be one: write the whole value there"),
        (
            "two words of a key",
            "holds a space, a line break or another character that no key has: write the value there alone",
        ),
        (
            "first-line\nsecond-line",
            "holds a space, a line break or another character that no key has: write the value there alone",
        ),
        (
            "schlüssel-lang-genug",
            "holds a space, a line break or another character that no key has: write the value there alone",
        ),
        ("x" * 4097, "is longer than 4096 bytes, which no key is: write the value there alone"),
    ],
)
def test_what_cannot_be_a_secret_is_refused_unseen(tmp_path: Path, write: Write, content: str, said: str) -> None:
    """The sentence says what is wrong with the content without showing any of it."""
    path = write(files(tmp_path))
    (tmp_path / "api_key").write_text(content)
    assert [f"account main: api_key: {said}"] == problems(path, {})


def test_a_secret_file_that_is_none_is_refused(tmp_path: Path, write: Write) -> None:
    """A missing file, a folder and a pipe that nobody feeds are said, and none of them blocks."""
    path = write(files(tmp_path))
    for name in ("api_key", "api_secret"):
        (tmp_path / name).unlink()
    (tmp_path / "api_secret").mkdir()
    assert [
        f"account main: api_key: {tmp_path}/api_key cannot be read (No such file or directory): check its path and owner",
        f"account main: api_secret: {tmp_path}/api_secret is not a file: name one that holds the value alone",
    ] == problems(path, {})
    os.mkfifo(tmp_path / "api_key", 0o600)
    assert [
        f"account main: api_key: {tmp_path}/api_key is not a file: name one that holds the value alone"
    ] == problems(path, {})[:1]


@pytest.mark.parametrize(
    "lines",
    [
        'api_key_file = "/a"',
        'api_key_file = "/a"\napi_secret_env = "B"',
        'api_key_file = "/a"\napi_secret_file = "/b"\napi_key_env = "A"\napi_secret_env = "B"',
        'api_secret_env = "B"',
    ],
)
def test_exactly_one_source_is_due(write: Write, lines: str) -> None:
    """Half a source, or two of them, leave open which key is used."""
    found = wrong(write(f"{MINIMAL}[account.credentials]\n{lines}\n"))
    assert 1 == len(found)
    assert "exactly one source is due, either both files or both variables" in found[0]


@pytest.mark.parametrize("name", ["api_key", "api_secret", "apikey", "API_SECRET", "secret", "secret_key", "password"])
@pytest.mark.parametrize("table", ["", "[account.credentials]\n", "[account.key]\n"])
def test_a_secret_in_the_settings_is_refused_and_not_repeated(write: Write, name: str, table: str) -> None:
    """Settings are shown to colleagues; a secret in them is refused, and the sentence does not spread it."""
    found = wrong(write(f'{MINIMAL}{table}{name} = "{SECRET}"\n'))
    assert 1 == len(found)
    assert f"a secret must not stand in the settings ({name})" in found[0]
    assert SECRET not in found[0]


@pytest.mark.parametrize("name", ["api_key_file", "api_secret_file", "api_key_env", "api_secret_env"])
def test_a_secret_in_the_place_of_its_name_is_not_repeated(write: Write, name: str) -> None:
    """Whoever pastes the key itself where its file or variable is due does not find it in the terminal's history."""
    pasted = f"{SECRET}/+="
    found = problems(write(f'{MINIMAL}[account.credentials]\n{name} = "{pasted}"\n'), {})
    assert found
    assert not any(SECRET in problem for problem in found)


def test_a_secret_never_shows(tmp_path: Path, write: Write) -> None:
    """Printed, formatted, in a traceback or pickled, a secret stays one; only who asks for it gets it."""
    path = write(files(tmp_path))
    key, secret = credentials(load(path, environ={}).accounts[0], {})
    assert "Secret(***) Secret(***) Secret(***)" == f"{key} {secret!r} {secret:>9}"
    assert Secret(KEY) == key
    assert secret != key
    assert KEY != key
    assert {key, secret} == {key, secret, Secret(SECRET)}
    with pytest.raises(TypeError, match="not written anywhere"):
        pickle.dumps(key)


def test_problems_of_settings_and_credentials_come_together(tmp_path: Path, write: Write) -> None:
    """`check-config` says what is wrong with one account's file and another's value in one go."""
    good = files(tmp_path, mode=0o644)
    path = write(good + MINIMAL.replace("main", "other") + "raw_days = 0\n")
    assert [
        "account other: raw_days is 0, out of its bounds: 1 to 3650 days",
        f"account main: api_key: {tmp_path}/api_key can be read by others than its owner: chmod 600 it",
        f"account main: api_secret: {tmp_path}/api_secret can be read by others than its owner: chmod 600 it",
    ] == problems(path, {})


@pytest.mark.parametrize("environment", ["live", "vst"])
def test_the_exchanges_own_hosts_are_not_asked_faster_than_they_allow(tmp_path: Path, environment: str) -> None:
    """What the conversation would refuse at the start, the settings refuse before."""
    path = tmp_path / "ditad.toml"
    path.write_text(f'[[account]]\nname = "main"\nenvironment = "{environment}"\n[account.audit]\nrequests_per_s = 4\n')
    with pytest.raises(SettingsError) as caught:
        load(path, environ={})
    assert ["account main: [audit]: requests_per_s is at most 2 on the exchange's own hosts"] == caught.value.problems


# ---- who is told ------------------------------------------------------------------------------------------------------


def test_nobody_is_told_without_a_hook(write: Write) -> None:
    """Without the table, and with one that says nothing but defaults."""
    assert None is load(write(MINIMAL), environ={}).tell
    assert None is load(write('[tell]\nseverity = "WARN"\n' + MINIMAL), environ={}).tell


def test_a_hook_has_its_defaults(write: Write) -> None:
    """A command keeps its words, an address its slash; the rest is as the table says."""
    command, url = (load(write(text + MINIMAL), environ={}).tell for text in (HOOK, WEBHOOK))
    defaults: dict[str, Any] = {
        "header": None,
        "severity": "WARN",
        "timeout_s": 10.0,
        "retry_s": 300.0,
        "waiting_max": 256,
    }
    assert TellSettings(command=("/bin/true",), url=None, secret=SecretSource(), **defaults) == command
    assert TellSettings(command=None, url="https://hooks.example.org/ditad/", secret=SecretSource(), **defaults) == url


def test_every_commented_key_of_tell_can_be_taken_in(write: Write) -> None:
    """What is commented out is a valid example of its key."""
    text = shipped().read_text()
    for names in (("command",), ("url", "header", "secret_file"), ("url", "header", "secret_env")):
        taken = text
        for name in names:
            assert f"\n# {name} = " in taken
            taken = taken.replace(f"\n# {name} = ", f"\n{name} = ")
        tell = load(write(taken), environ={}).tell
        assert tell is not None
        assert (names[0] == "command") == (tell.url is None)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("command = []", "command must be a list of 1 to 64 words, the first an absolute path"),
        ('command = "/bin/true"', "command must be a list of 1 to 64 words"),
        ('command = ["tell"]', "command must begin with the absolute path of a program"),
        ('command = ["/bin/true", 1]', "command holds what is no word"),
        ('url = "http://hooks.example.org/x"', "url must not be plain http beyond this machine"),
        ('url = "wss://hooks.example.org/x"', "url must begin with https://"),
        ('url = "https://hooks..example.org/"', "url must be an address such as"),
        ('url = "https://hooks.example.org/x?token=1"', "url must be an address alone"),
        ('url = "https://a.b/"\nheader = "X: y"', "header must be a header's name"),
        ('url = "https://a.b/"\nseverity = "OK"', "severity must be one of WARN | ERROR"),
        ('url = "https://a.b/"\ntimeout_s = 0', "timeout_s is 0, out of its bounds: 1 to 120 s"),
        ('url = "https://a.b/"\nretry_s = -1', "retry_s is -1, out of its bounds: 0 to 86400 s"),
        ('url = "https://a.b/"\nwaiting_max = 0', "waiting_max is 0, out of its bounds: 1 to 10000 tellings"),
        ('url = "https://a.b/"\ncommand = ["/bin/true"]', "command and url: exactly one is due"),
        ('severity = "ERROR"', "command or url is missing: without either severity has no effect"),
        ('command = ["/bin/true"]\nheader = "Authorization"', "header is sent to a url only"),
        ('url = "https://a.b/"\nsecret_env = "X"', "header is missing: it names what the secret is the value of"),
        (
            'url = "https://a.b/"\nheader = "X"\nsecret_env = "X"\nsecret_file = "/x"',
            "secret_file and secret_env: exactly one source is due",
        ),
        ('url = "https://a.b/"\nsecret = "x"', "a secret must not stand in the settings (secret): take it out"),
        ('comand = ["/bin/true"]', "there is no key 'comand'; the nearest known one is 'command'"),
        ('urls = "https://a.b/"', "there is no key 'urls'; the nearest known one is 'url'"),
    ],
)
def test_a_wrong_hook_says_what_is_due(write: Write, lines: str, said: str) -> None:
    """Each mistake is named with its key, and what would be right."""
    (problem, *_) = wrong(write(f"[tell]\n{lines}\n{MINIMAL}"))
    assert problem.startswith("[tell]")
    assert said in problem


def test_a_hook_on_this_machine_may_be_plain(write: Write) -> None:
    """What does not leave it needs no TLS."""
    for host in ("localhost:8080", "127.0.0.1", "[::1]:9"):
        tell = load(write(f'[tell]\nurl = "http://{host}/x"\n{MINIMAL}'), environ={}).tell
        assert tell is not None
        assert f"http://{host}/x" == tell.url


@pytest.mark.parametrize(
    ("source", "environ"),
    [
        ('secret_file = "{folder}/secret"', {}),
        ('secret_env = "TELL"', {"TELL": "Bearer s3cret-s3cret"}),
        ("", {"CREDENTIALS_DIRECTORY": "{folder}"}),
    ],
)
def test_the_headers_value_comes_from_one_of_three(
    tmp_path: Path, write: Write, source: str, environ: dict[str, str]
) -> None:
    """A file, a variable or systemd's credential; it may have a space in it, and does not show."""
    for name in ("secret", "tell.secret"):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text("Bearer s3cret-s3cret\n")
    text = f'{WEBHOOK}header = "Authorization"\n{source.format(folder=tmp_path)}\n{MINIMAL}'
    tell = load(write(text), environ={}).tell
    assert tell is not None
    found = tell_secret(tell, {name: value.format(folder=tmp_path) for name, value in environ.items()})
    assert found is not None
    assert ("Bearer s3cret-s3cret", "Secret(***)") == (found.reveal(), repr(found))


@pytest.mark.parametrize(
    ("source", "content", "said"),
    [
        ("", None, "no source is given: run it with CREDENTIALS_DIRECTORY=/etc/ditad, the folder of tell.secret, "),
        ('secret_env = "NOT_THERE"', None, "the environment variable that secret_env names is not set"),
        ('secret_file = "{folder}/secret"', "Bearer a\tb-s3cret", "holds a line break or another character"),
        ('secret_file = "{folder}/secret"', "x", "is empty or too short"),
    ],
)
def test_a_headers_value_that_cannot_be_had_is_said_unseen(
    tmp_path: Path, write: Write, source: str, content: str | None, said: str
) -> None:
    """By `check-config` among the other problems, without what it is."""
    if content is not None:
        (tmp_path / "secret").touch(mode=0o600)
        (tmp_path / "secret").write_text(content)
    path = write(f'{WEBHOOK}header = "Authorization"\n{source.format(folder=tmp_path)}\n{MINIMAL}')
    found = [problem for problem in problems(path, {}) if problem.startswith("[tell]")]
    assert [said] == [said for problem in found if said in problem]
    assert "s3cret" not in "".join(found)


def test_a_command_that_cannot_be_run_is_said_beforehand(write: Write) -> None:
    """By `check-config`; a daemon starts all the same, for it may be there when it is needed."""
    path = write(HOOK.replace("/bin/true", "/nowhere/tell") + MINIMAL)
    assert load(path, environ={}).tell is not None
    assert (
        "[tell] command: /nowhere/tell is not there, or is no program that can be run: see its path and mode"
        in problems(path, {})
    )
    assert [] == [problem for problem in problems(write(HOOK + MINIMAL), {}) if problem.startswith("[tell]")]
