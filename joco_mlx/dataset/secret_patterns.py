"""What a secret looks like where the detector's rules say nothing.

Tokens known by their prefix, and what stands beside names such as `password`.

A token with a prefix of its own counts whatever its letters: a made-up one is as useless in a dataset as a live one.
What has no prefix must look live: long, mixed, and no placeholder. Each pattern is asked only when one of its words
stands in the text in lower case, which few diffs have. None may begin anew within a run of blanks or letters that it
could have begun with: that costs the square of the run's length.

Sources of the prefixes: the token formats that the providers document.
"""

import base64
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_PLACEHOLDER = re.compile(
    r"example|dummy|fake|placeholder|change.?me|replace|your|sample|x{4}|\*{3}|\.{3}|redacted|mock|default|invalid"
    r"|[<>{}()\[\]\s$`\\]|^process\.|^env\.|^os\.|^secrets\.|://|^/|^\./|^[a-z_]+(?:\.[a-z_]+)+$",
    re.IGNORECASE,
)
_CLASSES = (re.compile(r"[a-z]"), re.compile(r"[A-Z]"), re.compile(r"[0-9]"), re.compile(r"[^A-Za-z0-9]"))


@dataclass(frozen=True)
class Pattern:
    """One kind of secret."""

    kind: str
    words: tuple[str, ...]
    """In lower case; without one of them in the text there is nothing to look for."""
    shape: re.Pattern[str]
    """Its last group is the value, when it has groups."""
    is_live: Callable[[str], bool] = bool

    def count(self, text: str, lowered: str) -> int:
        """Return how often the pattern stands in `text`, of which `lowered` is the lower case."""
        if not any(word in lowered for word in self.words):
            return 0
        return sum(self.is_live(found[found.lastindex or 0]) for found in self.shape.finditer(text))


def looks_live(value: str) -> bool:
    """Whether a value beside a name such as `password` could be one: mixed characters and no placeholder."""
    kinds = sum(1 for kind in _CLASSES if kind.search(value))
    if kinds < 2 or not _CLASSES[2].search(value) or _PLACEHOLDER.search(value):
        return False
    return entropy(value) >= (2.5 if kinds > 2 else 2.75)


def is_filled(value: str) -> bool:
    """Whether a value stands where nothing but a secret belongs, and is no placeholder."""
    return not _PLACEHOLDER.search(value)


def is_no_name(value: str) -> bool:
    """Whether a value without quotes looks live and is no variable: few names have digits in two places."""
    return looks_live(value) and (not value.isidentifier() or len(re.findall(r"\d+", value)) > 1)


def entropy(text: str) -> float:
    """Return Shannon's entropy of `text` in bits per character."""
    total = len(text)
    return -sum(count / total * math.log2(count / total) for count in Counter(text).values())


def kinds_in(text: str) -> Iterator[tuple[str, int]]:
    """Yield each kind of secret that stands in `text`, and how often."""
    lowered = text.lower()
    for pattern in PATTERNS:
        if count := pattern.count(text, lowered):
            yield pattern.kind, count


def _holds_private_key(encoded: str) -> bool:
    return b"PRIVATE KEY" in base64.b64decode(encoded[: len(encoded) // 4 * 4])


def _prefixed(kind: str, shape: str, *words: str) -> Pattern:
    return Pattern(kind, words, re.compile(rf"(?<![A-Za-z0-9])(?:{shape})"))


PATTERNS: tuple[Pattern, ...] = (
    _prefixed("aws-key-id", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])", "akia", "asia", "abia", "acca"),
    _prefixed("github-token", r"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{40,}", "gh", "github_pat_"),
    _prefixed("gitlab-token", r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat)-[\w-]{18,}", "gl"),
    _prefixed("slack-token", r"xox[abeoprs]-[\w-]{10,}|xapp-\d-[\w-]{10,}", "xox", "xapp-"),
    _prefixed("slack-webhook", r"hooks\.slack\.com/(?:services|workflows)/T\w+/\w+/\w+", "hooks.slack.com"),
    _prefixed("discord-webhook", r"discord(?:app)?\.com/api/webhooks/\d+/[\w-]{30,}", "api/webhooks"),
    _prefixed(
        "stripe-key", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{24,}", "k_live_", "k_test_", "whsec_"
    ),
    _prefixed("google-key", r"AIza[\w-]{35}|GOCSPX-[\w-]{20,}|ya29\.[\w-]{20,}", "aiza", "gocspx-", "ya29."),
    _prefixed("npm-token", r"npm_[A-Za-z0-9]{36}", "npm_"),
    _prefixed(
        "package-index-token",
        r"pypi-AgE[\w-]{40,}|rubygems_[0-9a-f]{40,}|CLOJARS_[0-9a-z]{50,}",
        "pypi-age",
        "rubygems_",
        "clojars_",
    ),
    _prefixed(
        "model-provider-key",
        r"hf_[A-Za-z0-9]{30,}|sk-(?:ant|proj|svcacct|or)-[\w-]{20,}|sk-(?=\w*\d)\w{32,}",
        "hf_",
        "sk-",
    ),
    _prefixed("sendgrid-key", r"SG\.[\w-]{16,}\.[\w-]{16,}", "sg."),
    _prefixed(
        "mail-service-key",
        r"key-[0-9a-f]{32}(?!\w)|[0-9a-f]{32}-us\d{1,2}(?!\w)|xkeysib-[\w-]{40,}",
        "key-",
        "-us",
        "xkeysib-",
    ),
    _prefixed("twilio-key", r"(?:SK|AC)[0-9a-f]{32}(?!\w)", "sk", "ac"),
    _prefixed("digitalocean-token", r"do[opr]_v1_[0-9a-f]{40,}", "_v1_"),
    _prefixed("shopify-token", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}", "shp"),
    _prefixed("square-token", r"sq0(?:atp|csp|idp)-[\w-]{22,}|EAAA[\w-]{60}(?![\w+/=])", "sq0", "eaaa"),
    _prefixed("databricks-token", r"dapi[0-9a-f]{32}(?!\w)", "dapi"),
    _prefixed(
        "vault-token", r"hv[bsr]\.[\w-]{24,}|[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{50,}", "hvs.", "hvb.", "hvr.", "atlasv1"
    ),
    _prefixed("atlassian-token", r"AT(?:ATT|CTT)3[\w=-]{50,}", "tt3"),
    _prefixed("age-key", r"AGE-SECRET-KEY-1[0-9A-Z]{50,}", "age-secret-key"),
    _prefixed(
        "cloud-tool-token",
        r"dckr_pat_[\w-]{20,}|sbp_[0-9a-f]{40}|pscale_\w+_[\w.-]{30,}|glsa_\w{32,}|NRAK-[A-Z0-9]{27}|PMAK-[0-9a-f]{24}-[0-9a-f]{34}|lin_api_\w{32,}|dp\.(?:pt|st|ct|sa|scim)\.[\w.-]{30,}|nfp_\w{36,}|HRKU-[\w-]{36}|CFPAT-[\w-]{40,}|figd_[\w-]{36,}|ops_eyJ[\w-]{60,}|ntn_\w{40,}|pul-[0-9a-f]{40}|tskey-\w+-\w{10,}",
        "dckr_pat_",
        "sbp_",
        "pscale_",
        "glsa_",
        "nrak-",
        "pmak-",
        "lin_api_",
        "dp.",
        "nfp_",
        "hrku-",
        "cfpat-",
        "figd_",
        "ops_",
        "ntn_",
        "pul-",
        "tskey-",
    ),
    _prefixed("telegram-token", r"\d{8,10}:AA[\w-]{32,}", ":aa"),
    _prefixed("discord-token", r"[MNO][A-Za-z\d_-]{23,27}\.[\w-]{6}\.[\w-]{27,}", "."),
    _prefixed("firebase-key", r"AAAA[\w-]{7}:[\w-]{100,}", ":apa"),
    _prefixed("json-web-token", r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}", "eyj"),
    _prefixed(
        "azure-key",
        r"(?i:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,}=*|sig=[A-Za-z0-9%+/]{40,}|\w{3}\dQ~[\w~.-]{31,}",
        "accountkey",
        "sharedaccesskey",
        "sig=",
        "q~",
    ),
    Pattern(
        "private-key",
        ("private key", "putty-user-key"),
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,20}PRIVATE KEY(?: BLOCK)?-----[\s\S]{0,300}?[A-Za-z0-9+/]{16,}"
            r"|(?<![A-Za-z0-9+/=])[A-Za-z0-9+/=]{16,}[\s\"'+,\\nr]{0,12}-----END [A-Z0-9 ]{0,20}PRIVATE KEY|PuTTY-User-Key-File-\d"
        ),
    ),
    Pattern(
        "encoded-private-key",
        ("ls0tls1crudjti",),
        re.compile(r"(LS0tLS1CRUdJTi[A-Za-z0-9+/]{26,})"),
        _holds_private_key,
    ),
    Pattern(
        "travis-secure", ("secure",), re.compile(r"\bsecure[\"']?\s*[:=]\s*[>|-]*\s*[\"']?([A-Za-z0-9+/\s]{80,}=*)")
    ),
    Pattern(
        "registry-auth",
        ("_auth", "_password"),
        re.compile(r"(?m)^[+\- ]?\S*:?_(?:authToken|auth|password)[ \t]?=[ \t]?[\"']?([A-Za-z0-9+/=_-]{8,})[\"']?$"),
        is_filled,
    ),
    Pattern("registry-auth", ('"auth"',), re.compile(r"\"auth\"\s*:\s*\"([A-Za-z0-9+/]{12,}=*)\""), looks_live),
    Pattern(
        "aws-secret-key",
        ("aws",),
        re.compile(r"(?i:aws.{0,20}?(?:secret|key).{0,20}?)[=:>]\s*[\"']?([A-Za-z0-9+/]{40})(?![A-Za-z0-9+/=])"),
    ),
    Pattern(
        "authorization-header",
        ("bearer", "basic "),
        re.compile(r"(?i:authorization|auth|token)[^\n]{0,30}?\b(?i:bearer|basic)\s+([A-Za-z0-9+/_.~-]{16,}=*)"),
        looks_live,
    ),
    Pattern("netrc", ("machine ",), re.compile(r"machine\s+\S+\s+login\s+\S+\s+password\s+(\S{6,})"), is_filled),
    Pattern(
        "command-line-password",
        (" -u", "--user", "--password", "sshpass"),
        re.compile(
            r"(?:\s-u|--user)[ =][\"']?[\w.@-]+:([^\s\"']{8,})|(?:--password|sshpass -p)[ =]?[\"']?([^\s\"']{8,})"
        ),
        looks_live,
    ),
    Pattern(
        "assigned-secret",
        ("pass", "pwd", "secret", "token", "key", "credential"),
        re.compile(
            r"(?i:pass(?:word|wd|phrase|code)?|pwd|secret|token(?!i[sz])|(?:api|access|auth|private|account|encryption|signing|master)[_-]?key|credential)"
            r"[\w.\]-]{0,24}[\"']?\s*(?::\s*\w+\s*=|:=|=>|[:=]|,)\s*[brf@]{0,2}[\"'`]([^\"'`\n]{8,200})[\"'`]"
        ),
        looks_live,
    ),
    Pattern(
        "assigned-secret",
        ("pass", "pwd", "secret", "token", "key", "credential"),
        re.compile(
            r"(?m)^[+\- ]?[^\S\n]*(?:- )?(?:export |ENV |set )?[\w.-]*(?i:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)[\w.-]{0,20}"
            r"[ \t]*[=:][ \t]*([^\s\"'`,;]{12,200})[ \t]*$"
        ),
        is_no_name,
    ),
)
"""Every kind, those with a prefix of their own first."""
