"""Every key of the settings file, once: its kind, unit, default, bound and meaning.

What leaves: the table by which `ditad.config` reads a file and `ditad.config_template` writes the one that ships.
What holds: a default is written as one writes it in TOML, and passes the same reader as a value that somebody wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from typing import Final

ACCOUNTS_MAX: Final = 256
NAME_PATTERN: Final = r"[a-z0-9_-]{1,32}"
ASSET_PATTERN: Final = r"[A-Z0-9]{2,16}"
WORD_PATTERN: Final = r"[ -~]{1,64}"
CAPITAL_MAX: Final = 10**12
DAY_S: Final = 86_400
WARN: Final = "WARN"
ERROR: Final = "ERROR"

HOSTS: Final = {
    "live": ("https://open-api.bingx.com", "wss://open-api-swap.bingx.com/swap-market"),
    "vst": ("https://open-api-vst.bingx.com", "wss://vst-open-api-ws.bingx.com/swap-market"),
}
"""REST and websocket address per environment (bingx.md §1)."""
MARGIN_ASSETS: Final = {"live": "USDT", "vst": "VST", "custom": "USDT"}


class Kind(Enum):
    """How a value is written and what it becomes."""

    TEXT = auto()
    CHOICE = auto()
    FLAG = auto()
    WHOLE = auto()
    SECONDS = auto()
    RATE = auto()
    MONEY = auto()
    CAPITAL = auto()
    PATH = auto()
    MODE = auto()
    UIDS = auto()
    BAR = auto()
    URL = auto()
    LISTEN = auto()
    VARIABLE = auto()
    COMMAND = auto()
    WEBHOOK = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key. `default` is in TOML's form, `None` for a key that may be left out; `field` is its name in `Settings`.

    `least` and `most` bound numbers (`zero`: 0 may stand beside them), `choices` words, `pattern` texts (`form` says it for people). `example` stands
    in the template where there is no default.
    """

    name: str
    kind: Kind
    says: str
    default: object = None
    required: bool = False
    unit: str = ""
    least: Decimal | int = 0
    most: Decimal | int = 0
    choices: tuple[str, ...] = ()
    pattern: str = ""
    form: str = ""
    zero: bool = False
    field: str = ""
    example: object = ""

    @property
    def bound(self) -> str:
        """Say for people what a value may be."""
        if self.kind in {Kind.WHOLE, Kind.SECONDS, Kind.RATE, Kind.MONEY}:
            return f"{'0, or ' if self.zero else ''}{self.least} to {self.most}"
        if self.kind is Kind.CAPITAL:
            return f'"auto", or {self.least} to {self.most}'
        if self.kind is Kind.CHOICE:
            return " | ".join(self.choices)
        return {
            Kind.FLAG: "true | false",
            Kind.PATH: "an absolute path",
            Kind.MODE: "an octal mode in quotes, 0600 to 0777",
            Kind.UIDS: f"a list of {self.least} to {self.most} user ids",
            Kind.BAR: "a number with s, m, h or d; 1s to 30d",
            Kind.URL: "https or wss; http and ws to this machine only",
            Kind.LISTEN: "an IP address of this machine alone and a port, 127.0.0.1:9464 or [::1]:9464",
            Kind.VARIABLE: "the name of an environment variable",
            Kind.COMMAND: f"a list of {self.least} to {self.most} words, the first an absolute path",
            Kind.WEBHOOK: "https; http to this machine only",
        }.get(self.kind, self.form or self.pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A table of the file and its keys; `header` as it stands in the file."""

    header: str
    says: tuple[str, ...]
    keys: tuple[Key, ...]


def _seconds(name: str, default: object, least: Decimal | int, most: Decimal | int, says: str) -> Key:
    return Key(name=name, kind=Kind.SECONDS, unit="s", default=default, least=least, most=most, says=says)


DAEMON: Final = Section(
    header="[daemon]",
    says=("The process.",),
    keys=(
        Key(name="state_dir", kind=Kind.PATH, default="/var/lib/ditad", says="the journals; $STATE_DIRECTORY wins"),
        Key(
            name="socket",
            kind=Kind.PATH,
            default="/run/ditad/ditad.sock",
            says="where readers ask; $RUNTIME_DIRECTORY/ditad.sock wins",
        ),
        Key(
            name="socket_mode",
            kind=Kind.MODE,
            default="0660",
            says="who may connect; ditad.socket, where it is used, says so itself",
        ),
        Key(
            name="socket_group",
            kind=Kind.TEXT,
            pattern=r"[A-Za-z0-9_.-]{1,64}",
            form="a group's name",
            example="ditad",
            says="left out: the daemon's own group; ditad.socket, where it is used, says so itself",
        ),
        Key(
            name="admin_uids",
            kind=Kind.UIDS,
            default=[0],
            least=0,
            most=64,
            says="who may audit and adopt, by peer credentials",
        ),
        Key(
            name="log_level",
            kind=Kind.CHOICE,
            default="info",
            choices=("debug", "info", "warning", "error"),
            says="the least important line that is written",
        ),
        Key(
            name="log_format",
            kind=Kind.CHOICE,
            default="auto",
            choices=("auto", "json", "console"),
            says="auto: json unless a terminal",
        ),
        Key(
            name="metrics_listen",
            kind=Kind.LISTEN,
            example="127.0.0.1:9464",
            says="where Prometheus may ask for /metrics; whoever is on this machine can; left out: on the socket alone",
        ),
    ),
)

TELL: Final = Section(
    header="[tell]",
    says=(
        "Who is told of divergences and gaps, each change of their state once: a command or a webhook, or nobody. Without",
        "either nothing else here is due. What is told is one line of JSON: the record of the stream, and around it account,",
        "news (divergence.opened .confirmed .healed .adopted, gap.opened .final .unclosable), severity (an end is OK) and",
        "missed (how many before it never arrived). It comes at least once: account and seq tell a repetition.",
    ),
    keys=(
        Key(
            name="command",
            kind=Kind.COMMAND,
            least=1,
            most=64,
            example=["/usr/local/bin/tell-me", "--from", "ditad"],
            says="run for each telling, with it on stdin, without a shell; ends with 0 when it is taken",
        ),
        Key(
            name="url",
            kind=Kind.WEBHOOK,
            example="https://hooks.example.org/ditad",
            says="each telling is posted there, without redirects or proxies; answers 2xx when it is taken",
        ),
        Key(
            name="header",
            kind=Kind.TEXT,
            pattern=r"[A-Za-z0-9-]{1,64}",
            form="a header's name",
            example="Authorization",
            says="sent to the url; its whole value is secret and comes from one of the next two, or, with neither, from "
            "$CREDENTIALS_DIRECTORY/tell.secret",
        ),
        Key(name="secret_file", kind=Kind.PATH, example="/etc/ditad/tell.secret", says="holds the header's value"),
        Key(name="secret_env", kind=Kind.VARIABLE, example="DITAD_TELL_SECRET", says="holds the header's value"),
        Key(
            name="severity",
            kind=Kind.CHOICE,
            default=WARN,
            choices=(WARN, ERROR),
            says="the least that is told: WARN: all; ERROR: what is confirmed or can never be closed; and the end of what "
            "was told",
        ),
        _seconds("timeout_s", 10, 1, 120, "one attempt; a command is killed after it, with all it started"),
        _seconds(
            "retry_s",
            300,
            0,
            86_400,
            "the pauses (1 s, doubling up to 60 s, with jitter) add up to this; then it is given up",
        ),
        Key(
            name="waiting_max",
            kind=Kind.WHOLE,
            default=256,
            unit="tellings",
            least=1,
            most=10_000,
            says="of one account, waiting behind one that is tried; beyond it the oldest is dropped, which is logged",
        ),
    ),
)

ACCOUNT: Final = Section(
    header="[[account]]",
    says=("One table per account, any number of them in one process.",),
    keys=(
        Key(
            name="name",
            kind=Kind.TEXT,
            required=True,
            pattern=NAME_PATTERN,
            form="1 to 32 of a-z 0-9 _ -, unique",
            example="main",
            says="names the journal, the socket's paths and the credentials",
        ),
        Key(
            name="environment",
            kind=Kind.CHOICE,
            required=True,
            choices=("live", "vst", "custom"),
            example="live",
            says="vst: the exchange's demo; custom: the two addresses below",
        ),
        Key(name="rest_url", kind=Kind.URL, example="https://rest.example.org", says="custom only"),
        Key(name="ws_url", kind=Kind.URL, example="wss://stream.example.org/swap-market", says="custom only"),
        Key(
            name="margin_asset",
            kind=Kind.TEXT,
            pattern=ASSET_PATTERN,
            form="2 to 16 of A-Z 0-9",
            example="USDT",
            says="left out: USDT, and VST on vst",
        ),
        Key(
            name="seed_capital",
            kind=Kind.CAPITAL,
            default="auto",
            unit="margin asset",
            least=-CAPITAL_MAX,
            most=CAPITAL_MAX,
            says="auto: the wallet at the baseline",
        ),
        Key(
            name="min_capital",
            kind=Kind.MONEY,
            default="0",
            unit="margin asset",
            least=0,
            most=CAPITAL_MAX,
            says="a bot never sizes with less",
        ),
        Key(
            name="max_capital",
            kind=Kind.MONEY,
            unit="margin asset",
            least=0,
            most=CAPITAL_MAX,
            example="25000",
            says="a bot never sizes with more; left out: no such bound",
        ),
        Key(name="bar", kind=Kind.BAR, field="bar_s", default="1m", says="the length of a bar in bars_held"),
        Key(
            name="bot_uids",
            kind=Kind.UIDS,
            default=[],
            least=0,
            most=64,
            says="who may tell the bot's books; empty: whoever reaches the socket",
        ),
        Key(
            name="raw_days",
            kind=Kind.WHOLE,
            default=30,
            unit="days",
            least=1,
            most=3650,
            says="how long frames are kept as received; what was made of them is kept for ever",
        ),
    ),
)

NAMESPACES: Final = Section(
    header="[account.namespaces]",
    says=("What account events carry.",),
    keys=tuple(
        Key(name=name, kind=Kind.TEXT, default=default, pattern=WORD_PATTERN, form="1 to 64 characters", says=says)
        for name, default, says in (
            ("runtime_namespace", "dita_v2", "the bot's runtime"),
            ("strategy_namespace", "dita_v2", "its strategy"),
            ("event_namespace", "dita_v2", "its events"),
            ("actor_name", "ExecutionKernel", "who acts"),
            ("exec_venue", "bingx", "where orders go"),
            ("data_venue", "binance", "where its prices come from"),
            ("ledger_authority", "exchange", "whose books count"),
        )
    ),
)

CREDENTIALS: Final = Section(
    header="[account.credentials]",
    says=(
        "Exactly one source: two files (readable by their owner only, who is the daemon's user), or two environment",
        "variables, or, with none of the four, $CREDENTIALS_DIRECTORY/NAME.api_key and NAME.api_secret. The unit hands",
        "those over, and needs none of the four; for a person's run CREDENTIALS_DIRECTORY=/etc/ditad does. Never the",
        "secret itself.",
    ),
    keys=(
        Key(
            name="api_key_file",
            kind=Kind.PATH,
            example="/etc/ditad/main.api_key",
            says="holds the key; not needed under the unit; belongs to the daemon's user, not to root",
        ),
        Key(
            name="api_secret_file",
            kind=Kind.PATH,
            example="/etc/ditad/main.api_secret",
            says="holds the secret; as above",
        ),
        Key(name="api_key_env", kind=Kind.VARIABLE, example="DITAD_MAIN_API_KEY", says="holds the key"),
        Key(name="api_secret_env", kind=Kind.VARIABLE, example="DITAD_MAIN_API_SECRET", says="holds the secret"),
    ),
)


def _bound_of_rule(name: str, default: str, most: int, unit: str, says: str) -> Key:
    return Key(name=name, kind=Kind.MONEY, default=default, unit=unit, least=0, most=most, says=says)


RECONCILE: Final = Section(
    header="[account.reconcile]",
    says=("The bounds of the rules (account.md §5).",),
    keys=(
        _bound_of_rule(
            "capital_epsilon", "0.0001", 1_000, "margin asset", "R1, R4, R5: a difference up to this is none"
        ),
        _bound_of_rule("realized_rounding", "0.05", 1_000, "margin asset", "R2, where the tick is not known"),
        _bound_of_rule("mark_staleness_factor", "0.003", 1, "share", "R4: how far own marks may make the two differ"),
        _bound_of_rule("leverage_rounding_band", "2", 100, "steps of leverage", "R5"),
        _bound_of_rule("pending_fee_bound", "20", 100_000, "margin asset", "R1 in the library, without a clock"),
        _bound_of_rule("lot_step", "0.001", 1_000_000, "base coin", "R3 in the library, without contracts"),
        _seconds("settle_window_s", 2, Decimal("0.1"), 60, "how long a fact or statement waits for its twin"),
        _seconds("bot_window_s", 10, Decimal("0.1"), 600, "as above, for what the bot says and K or E does"),
        _seconds("bot_away_s", 3_600, 120, 30 * DAY_S, "a bot that says nothing for so long has gone away"),
    ),
)

AUDIT: Final = Section(
    header="[account.audit]",
    says=("The questions asked of the exchange.",),
    keys=(
        _seconds("interval_s", 30, 1, 3_600, "balance and positions"),
        _seconds("fills_interval_s", 60, 1, DAY_S, "fill history, per symbol"),
        _seconds("income_interval_s", 60, 1, DAY_S, "funding, transfers and other income"),
        _seconds("report_lag_s", 150, 0, 3_600, "how late an income row may appear"),
        _seconds("fills_lag_s", 5, 0, 3_600, "how late a fill row may appear"),
        _seconds("overlap_s", 60, 0, 3_600, "how far a question reaches back beyond what is covered"),
        _seconds("baseline_s_max", 30, 1, 3_600, "after this the account is said never to stand still; trying goes on"),
        Key(
            name="fills_page_rows",
            kind=Kind.WHOLE,
            default=1000,
            unit="rows",
            least=10,
            most=1000,
            says="one page of fill history",
        ),
        Key(
            name="income_page_rows",
            kind=Kind.WHOLE,
            default=1000,
            unit="rows",
            least=10,
            most=1000,
            says="one page of income",
        ),
        Key(
            name="pages_max",
            kind=Kind.WHOLE,
            default=200,
            unit="pages",
            least=1,
            most=10_000,
            says="of one question, which fails beyond it",
        ),
        Key(
            name="requests_per_s",
            kind=Kind.RATE,
            default=2,
            unit="1/s",
            least=Decimal("0.1"),
            most=10,
            says="of one kind; at most 2 on the exchange's own hosts, whose limits the bot shares",
        ),
        _seconds("request_timeout_s", 10, 1, 120, "one request, from sending it to the end of its answer"),
    ),
)

STREAM: Final = Section(
    header="[account.stream]",
    says=("The private stream and the marks.",),
    keys=(
        _seconds("silence_s", 15, 1, 300, "a stream without any frame for this long is lost (one comes every 5 s)"),
        _seconds(
            "key_renew_s",
            1_800,
            60,
            1_800,
            "a listen key lives for 3600 s; its other half is for renewals that fail",
        ),
        Key(
            name="key_rotate_s",
            kind=Kind.SECONDS,
            unit="s",
            default=0,
            least=600,
            most=DAY_S,
            zero=True,
            says="how often to change to a new key, by overlapping sockets; 0: never; if POST gives the key in use: "
            "a reconnect",
        ),
        _seconds(
            "backoff_s_min", Decimal("0.5"), Decimal("0.1"), 60, "before the first new attempt; doubles, with jitter"
        ),
        _seconds("backoff_s_max", 30, 1, 600, "the longest wait between attempts"),
        Key(name="marks", kind=Kind.FLAG, default=True, says="hear the marks of symbols with a position"),
        _seconds("mark_interval_s", 1, Decimal("0.1"), 3_600, "marks are folded and published at most this often"),
        Key(
            name="partial_amounts",
            kind=Kind.CHOICE,
            default="auto",
            choices=("auto", "per_fill", "cumulative"),
            says="fee and profit of a partial fill; auto: decided by evidence",
        ),
    ),
)

KEY: Final = Section(
    header="[account.key]",
    says=("What the API key may be allowed to do.",),
    keys=(
        Key(
            name="allow_withdraw_permission",
            kind=Kind.FLAG,
            default=False,
            says="false: a key that may withdraw is not served; the daemon goes on",
        ),
    ),
)

ACCOUNT_TABLES: Final = {
    "namespaces": NAMESPACES,
    "credentials": CREDENTIALS,
    "reconcile": RECONCILE,
    "audit": AUDIT,
    "stream": STREAM,
    "key": KEY,
}
SECTIONS: Final = (DAEMON, TELL, ACCOUNT, *ACCOUNT_TABLES.values())

MINIMAL: Final = """\
[[account]]
name = "main"
environment = "live"      # or "vst", the exchange's demo

[account.credentials]
api_key_file = "/etc/ditad/main.api_key"        # chmod 600, owned by the daemon's user
api_secret_file = "/etc/ditad/main.api_secret"
"""
"""The least that `run` can work with."""
