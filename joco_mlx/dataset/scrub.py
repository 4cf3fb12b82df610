"""Nobody's secrets and nobody's addresses: what may not stay in a diff that becomes training data.

Decides what is masked (e-mail addresses, credentials in URLs) and what a record is rejected for (anything else that
looks like a secret). Every line counts, removed and context lines too, and the message: a model learns from all of
them. Nothing that was found is ever returned or told, only how often.

Two finders look at the same text, the diff without its column of `+`, `-` and blanks, so that a key over several lines
stands in one piece: the rules of Kingfisher (https://github.com/mongodb/kingfisher) and `secret_patterns`.
"""

import functools
import itertools
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from joco_mlx.dataset import secret_patterns
from joco_mlx.models.cache import cache_folder

if TYPE_CHECKING:
    from kingfisher_sdk import Scanner

REASON = "secret"
"""Under which a funnel counts what is rejected for a secret."""
EMAIL = "e-mail"
URL_CREDENTIALS = "url-credentials"

_RULE_OF_URLS = "betterleaks.generic-credential-uri"
_MASKED_URL = re.compile(r"\S*user\d+:password\d+@\S*")
_MARKS = re.compile(r"^[+\- ]", re.MULTILINE)
# An address begins after a diff's mark or an option's dashes, but never inside a name. A scheme is only looked back at:
# a search that began at each of its letters would cost the square of a long word's length.
_MASKABLE = re.compile(
    r"(?P<scheme>(?<=[A-Za-z0-9+.-])://)(?:"
    r"(?P<user>[^\s/:@\"'`<>]*):(?!\d+/)(?P<password>(?:[^\s@\"'`]|@(?=[^\s/@\"'`<>]*@))+)@(?=[\w\[$%{])"
    r"|(?P<token>[^\s/:@\"'`<>]+)@(?=[\w\[$%{]))"
    r"|(?<![\w.+%@$-])(?P<marks>[+-]*)(?P<local>[A-Za-z0-9][\w.+%-]*)@(?P<host>(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,24})"
    r"(?![\w@(])"
)
_VARIABLE = re.compile(
    r"[$#%@]?\{\{?[^{}]*\}\}?|\$\([^()]*\)|\$(?:env:)?(?:[A-Z_]\w*|\d)|%\(\w+\)s|%\w+%|%[dqsv](?!\w)|<[^<>]*>|\[[^\[\]]*\]",
    re.IGNORECASE,
)
"""Of shells, templates and format strings. A password may hold the same marks, so what stands around them counts too."""
_BLANKED = re.compile(r"x*|[*._-]*", re.IGNORECASE)
_FILE_ENDING = re.compile(
    r"c?js|css|dart|gif|go|gz|html|java|jpe?g|json|jsx|kts?|lock|mjs|php|png|rb|scss|svelte|svg|swift|tgz|toml|tsx?|vue"
    r"|webp|xml|ya?ml"
)
"""Endings of names such as `icon@2x.png` that no address has."""
_NO_PEOPLE = frozenset({"git", "hg", "svn", "this", "super", "return"})
"""Users of ssh addresses, and labels of Kotlin (`this@Outer.field`)."""
_RESERVED = re.compile(r"(?:^|\.)(?:example\.(?:com|org|net)|example|test|invalid|localhost)$", re.IGNORECASE)
_LIVE_TOKEN_CHARS = 12


@dataclass(frozen=True)
class Scrubbed:
    """A diff and its message without addresses, and what was found in them."""

    patch: str
    message: str
    masked: Mapping[str, int]
    """Kind -> number of places that now hold a placeholder."""
    secrets: Mapping[str, int]
    """Kind -> number of places; a record with any of them must not be kept."""

    @property
    def is_leak(self) -> bool:
        """Whether the record must be rejected."""
        return bool(self.secrets)


def scrub(patch: str, message: str = "") -> Scrubbed:
    """Mask addresses and credentials of URLs, and look for secrets in what is left.

    The same address gets the same placeholder everywhere in diff and message: `user1@example.com`, `user2@...` in the
    order of their appearance. Addresses at names reserved for examples (RFC 2606) stay. Scrubbing twice changes nothing.
    """
    masks = _Masks(patch, message)
    clean_patch, clean_message = masks.apply(patch), masks.apply(message)
    return Scrubbed(clean_patch, clean_message, dict(masks.counts), dict(find_secrets(clean_patch, clean_message)))


def find_secrets(patch: str, message: str = "") -> Counter[str]:
    """Count what looks like a secret in a diff or a message, by kind.

    A kind of Kingfisher's is called by its rule, such as `betterleaks.github-pat`; one place may count under two kinds.
    """
    text = f"{message}\n{_MARKS.sub('', patch)}"
    found = Counter(dict(secret_patterns.kinds_in(text)))
    for finding in _scanner().scan(text.encode("utf-8", "replace")):
        if finding.visible and not _is_harmless(finding.rule_id, finding.secret):
            found[finding.rule_id] += 1
    return found


@functools.cache
def _scanner() -> "Scanner":
    """Compile the rules once in a process: four seconds the first time, a third of one from the cache on disk."""
    from kingfisher_sdk import Rules, Scanner  # noqa: PLC0415  (35 MB that only scrubbing needs)

    return Scanner(Rules(confidence="medium", cache_dir=str(cache_folder() / "secret-rules")))


def _is_harmless(rule: str, found: str) -> bool:
    """Whether a rule on URLs found a placeholder of ours, or a variable."""
    if rule == _RULE_OF_URLS:
        return re.fullmatch(r"password\d+", found) is not None or _is_blank(found)
    return _MASKED_URL.fullmatch(found) is not None


def _is_blank(text: str) -> bool:
    """Whether `text` is nothing but variables, or marks that hide a word, as in `****` and `xxx`."""
    return _BLANKED.fullmatch(_VARIABLE.sub("", text)) is not None


def _looks_like_token(user: str) -> bool:
    """Whether the user of a URL is none, but a token."""
    return len(user) >= _LIVE_TOKEN_CHARS and re.search(r"\d", user) is not None and not _is_blank(user)


class _Masks:
    """The placeholders of one record."""

    def __init__(self, *texts: str) -> None:
        self.counts: Counter[str] = Counter()
        self._taken = {int(number) for text in texts for number in re.findall(r"\buser(\d{1,9})@example\.com", text)}
        self._users: dict[str, str] = {}
        self._logins: dict[str, str] = {}

    def apply(self, text: str) -> str:
        """Return `text` with a placeholder for each address."""
        return _MASKABLE.sub(self._mask, text) if "@" in text else text

    def _mask(self, found: re.Match[str]) -> str:
        if found["scheme"] is None:
            return self._email(found)
        user, password = found["user"] or found["token"] or "", found["password"] or ""
        if _is_blank(password) and (_VARIABLE.search(password) or not _looks_like_token(user)):
            return found[0]
        return self._login(found, f"{user}:{password}" if password else user)

    def _email(self, found: re.Match[str]) -> str:
        host = found["host"].lower()
        if _FILE_ENDING.fullmatch(host.rpartition(".")[2]) or _RESERVED.search(host):
            return found[0]
        if found["local"].lower() in _NO_PEOPLE:
            return found[0]
        self.counts[EMAIL] += 1
        address = f"{found['local']}@{host}".lower()
        if address not in self._users:
            number = next(number for number in itertools.count(1) if number not in self._taken)
            self._taken.add(number)
            self._users[address] = f"user{number}@example.com"
        return found["marks"] + self._users[address]

    def _login(self, found: re.Match[str], login: str) -> str:
        if re.fullmatch(r"user\d+:password\d+", login):
            return found[0]
        self.counts[URL_CREDENTIALS] += 1
        number = len(self._logins) + 1
        return found["scheme"] + self._logins.setdefault(login, f"user{number}:password{number}") + "@"
