"""No secret gets through, whatever its kind and place; nobody's address stays; what is clean stays as it is.

Every secret here is made up, and put together only when the test runs, so that no scanner trips over this file.
"""

import base64
import random
import string
import time
from collections.abc import Callable

import pytest

from joco_mlx.dataset.scrub import EMAIL, URL_CREDENTIALS, find_secrets, scrub
from joco_mlx.dataset.secret_patterns import PATTERNS, looks_live

DICE = random.Random(20_240_131)
DIGITS, LOWER, UPPER = string.digits, string.ascii_lowercase, string.ascii_uppercase
WORD = DIGITS + LOWER + UPPER
HEX = "0123456789abcdef"
BASE64 = WORD + "+/"


def made(count: int, letters: str = WORD) -> str:
    return "".join(DICE.choice(letters) for _ in range(count))


def pem(kind: str = "RSA ") -> str:
    body = "\n".join(made(64, BASE64) for _ in range(6))
    return f"-----BEGIN {kind}PRIVATE " + f"KEY-----\n{body}\n-----END {kind}PRIVATE " + "KEY-----"


def jwt() -> str:
    parts = ['{"alg":"HS256","typ":"JWT"}', '{"sub":"1234567890","admin":true}']
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts) + "." + made(43)


def service_account() -> str:
    key = pem("").replace("\n", "\\n")
    return f'{{\n  "type": "service_account",\n  "private_key_id": "{made(40, HEX)}",\n  "private_key": "{key}"\n}}'


SECRETS: dict[str, str] = {
    "aws key id": "AKIA" + made(16, UPPER + "234567"),
    "aws temporary key id": "ASIA" + made(16, UPPER + "234567"),
    "aws documented key id": "AKIA" + "IOSFODNN7EXAMPLE",
    "aws secret key": "aws_secret_access_key = " + made(40, BASE64),
    "gcp service account": service_account(),
    "google api key": "AIza" + made(35),
    "google client secret": "GOCSPX-" + made(28),
    "azure account key": "AccountName=shop;AccountKey=" + made(86, BASE64) + "==;EndpointSuffix=core.windows.net",
    "azure sas": "https://shop.blob.core.windows.net/c?sv=2022-11-02&sig=" + made(43) + "%3D",
    "azure client secret": made(3) + "8Q~" + made(34),
    "github token": "ghp_" + made(36),
    "github app token": "ghs_" + made(36),
    "github fine-grained token": "github_pat_" + made(22) + "_" + made(59),
    "gitlab token": "glpat-" + made(20),
    "slack bot token": "xoxb-" + made(12, DIGITS) + "-" + made(12, DIGITS) + "-" + made(24),
    "slack webhook": "https://hooks.slack.com/services/T" + made(8, UPPER) + "/B" + made(8, UPPER) + "/" + made(24),
    "discord webhook": "https://discord.com/api/webhooks/" + made(18, DIGITS) + "/" + made(68),
    "discord bot token": "M" + made(23) + "." + made(6) + "." + made(27),
    "telegram token": made(10, DIGITS) + ":AA" + made(33),
    "stripe live key": "sk_live_" + made(24),
    "stripe restricted key": "rk_live_" + made(24),
    "stripe webhook secret": "whsec_" + made(32),
    "twilio key": "SK" + made(32, HEX),
    "sendgrid key": "SG." + made(22) + "." + made(43),
    "mailgun key": "key-" + made(32, HEX),
    "mailchimp key": made(32, HEX) + "-us12",
    "npm token": "npm_" + made(36),
    "npmrc auth token": "//registry.company.com/:_authToken=" + made(36),
    "npmrc basic auth": "_auth=" + base64.b64encode(b"deploy:Tr0ub4dor&3x").decode(),
    "package index token": "pypi-" + "AgEIc" + made(80),
    "openai key": "sk-proj-" + made(48),
    "anthropic key": "sk-ant-api03-" + made(90),
    "hugging face token": "hf_" + made(34),
    "digitalocean token": "dop_v1_" + made(64, HEX),
    "shopify token": "shpat_" + made(32, HEX),
    "square token": "sq0atp-" + made(22),
    "databricks token": "dapi" + made(32, HEX),
    "vault token": "hvs." + made(95),
    "atlassian token": "ATATT3" + made(180),
    "age key": "AGE-SECRET-KEY-1" + made(58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"),
    "docker hub token": "dckr_pat_" + made(27),
    "grafana token": "glsa_" + made(32) + "_" + made(8, HEX),
    "jwt": jwt(),
    "rsa key": pem(),
    "openssh key": pem("OPENSSH "),
    "pgp key": pem("PGP ").replace("KEY-----", "KEY BLOCK-----"),
    "key in base64": base64.b64encode(pem().encode()).decode(),
    "key in base64 of json": base64.b64encode(service_account().encode()).decode(),
    "travis": 'env:\n  - secure: "' + made(340, BASE64) + '="',
    "docker config": '"auth": "' + base64.b64encode(b"deploy:Tr0ub4dor&3x").decode() + '"',
    "bearer": "Authorization: Bearer " + made(40),
    "basic": "curl -H 'Authorization: Basic " + base64.b64encode(b"admin:Tr0ub4dor&3x").decode() + "'",
    "netrc": "machine api.company.com login deploy password " + made(14),
    "curl user": "curl -u admin:" + made(16) + " https://api.company.com",
    "password in code": 'db_password = "' + "Tr0ub" + '4dor&3"',
    "password in yaml": "  password: " + made(20),
    "password in environment": "export DB_PASSWORD=" + made(18),
    "api key in json": '"apiKey": "' + made(32, HEX) + '"',
    "secret in typescript": 'const clientSecret: string = "' + made(40) + '";',
    "key base of rails": "secret_key_base: " + made(128, HEX),
}
CREDENTIALS = {
    "postgres": ("postgres://shop:", "Tr0ub4dor&3x", "@db.company.com:5432/shop"),
    "redis without user": ("redis://:", "p4ssw0rdRedis", "@cache:6379/0"),
    "https": ("https://deploy:", "s3cr3tDeploy", "@git.company.com/shop.git"),
    "mongodb": ("mongodb+srv://shop:", "aB3/dE5+fG7=", "@cluster0.mongodb.net"),
    "at in the password": ("amqp://shop:", "p@ss0rd!word", "@queue:5672"),
    "percent in the password": ("postgres://shop:", "S3cr%40tPassw0rd", "@db.company.com"),
    "star in the password": ("amqp://shop:", "aB3*dE5gH7jK", "@queue.company.com"),
    "dollar in the password": ("amqp://shop:", "aB3$dE5gH7jK", "@queue.company.com"),
    "dollar before the password": ("amqp://shop:", "$2a$10$N9qo8uLOickgx2", "@queue.company.com"),
    "bracket in the password": ("amqp://shop:", "aB3[dE5gH7jK", "@queue.company.com"),
    "brace in the password": ("amqp://shop:", "aB3{dE5gH7jK", "@queue.company.com"),
    "angle in the password": ("amqp://shop:", "aB3<dE5gH7jK", "@queue.company.com"),
    "user from the environment": ("redis://$USER:", "p4ssw0rdRedis", "@cache.company.com"),
    "token as user, no password": ("https://", "3f9a8b7c6d5e4f3a2b1c:x", "@git.company.com/shop.git"),
    "token as user": ("https://", "3f9a8b7c6d5e4f3a2b1c", "@git.company.com/shop.git"),
}


def prefixed(mark: str, text: str) -> str:
    return "".join(f"{mark}{line}\n" for line in text.split("\n"))


def in_hunk(*lines: str, path: str = "src/shop.py") -> str:
    head = f"diff --git a/{path} b/{path}\nindex 1111111..2222222 100644\n--- a/{path}\n+++ b/{path}\n@@ -1,4 +1,9 @@\n"
    return head + " import shop\n" + "".join(lines) + " \n"


PLACES: dict[str, Callable[[str], tuple[str, str]]] = {
    "added": lambda secret: (in_hunk(prefixed("+", secret)), ""),
    "context": lambda secret: (in_hunk(prefixed(" ", secret), "+shop.open()\n"), ""),
    "removed": lambda secret: (in_hunk(prefixed("-", secret), "+shop.open()\n"), ""),
    "message": lambda secret: (in_hunk("+shop.open()\n"), f"fix(shop): open the shop\n\n{secret}"),
}


def test_there_are_enough_kinds() -> None:
    assert len(SECRETS) + len(CREDENTIALS) >= 40


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found(kind: str, place: str) -> None:
    assert scrub(*PLACES[place](SECRETS[kind])).is_leak


@pytest.mark.parametrize("kind", ["github token", "aws key id", "stripe live key", "gitlab token"])
def test_a_secret_in_a_path_is_found(kind: str) -> None:
    assert scrub(in_hunk("+shop.open()\n", path=f"backup/{SECRETS[kind]}.txt")).is_leak


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_credentials_in_urls_are_masked(kind: str) -> None:
    before, secret, after = CREDENTIALS[kind]
    url = before + secret + after
    clean = scrub(in_hunk(f"+URL = '{url}'\n", f"-OLD = '{url}'\n"), f"fix: use {url}")
    assert secret not in clean.patch + clean.message
    assert clean.masked == {URL_CREDENTIALS: 3}
    assert clean.patch.count("user1:password1@") == 2
    assert not clean.is_leak


def test_what_was_found_is_counted_and_never_told() -> None:
    secret = SECRETS["github token"]
    found = find_secrets(in_hunk(f"+a = '{secret}'\n", f"-a = '{secret}'\n"))
    assert found["github-token"] == 2
    assert secret not in repr(found)


def test_addresses_are_masked_alike_in_diff_and_message() -> None:
    patch = in_hunk("+# Ada <Ada@company.com>, ada@company.com\n", "+# Bob <bob.b+x@mail.company.co.uk>\n")
    clean = scrub(patch, "docs: name the authors\n\nSigned-off-by: Bob <bob.b+x@mail.company.co.uk>")
    assert "+# Ada <user1@example.com>, user1@example.com\n+# Bob <user2@example.com>\n" in clean.patch
    assert clean.message.endswith("Bob <user2@example.com>")
    assert clean.masked == {EMAIL: 4}
    assert not clean.is_leak


def test_addresses_at_the_beginning_of_a_line_are_masked() -> None:
    lines = "+ada@company.com # owner\n-bob@company.com,ada@company.com\n --to=ada@company.com --bob@company.com\n"
    assert scrub(in_hunk(lines)).patch.endswith(
        "+user1@example.com # owner\n-user2@example.com,user1@example.com\n --to=user1@example.com --user2@example.com\n \n"
    )


@pytest.mark.parametrize(
    "line", ["mailto:ada@company.com", "?to=ada@company.com&cc", "<ada@company.com>", "'ada@company.com'"]
)
def test_addresses_in_every_dress_are_masked(line: str) -> None:
    assert "+" + line.replace("ada@company.com", "user1@example.com") in scrub(in_hunk(f"+{line}\n")).patch


def test_a_placeholder_that_stands_there_already_is_nobody_elses() -> None:
    clean = scrub(in_hunk("+user1@example.com ada@company.com bob@company.com\n"))
    assert "+user1@example.com user2@example.com user3@example.com\n" in clean.patch


def test_scrubbing_twice_changes_nothing() -> None:
    url = "".join(CREDENTIALS["postgres"])
    once = scrub(in_hunk(f"+{url} ada@company.com {url.replace('shop', 'bar')}\n"), "fix: mail bob@company.com")
    twice = scrub(once.patch, once.message)
    assert (twice.patch, twice.message) == (once.patch, once.message)
    assert not twice.masked


@pytest.mark.parametrize(
    "line",
    [
        "+git clone git@github.com:owner/name.git",
        "+git clone ssh://git@github.com/owner/name.git",
        "+  uses: actions/checkout@v4.1.0",
        '+    "@types/node": "npm:@types/node@20.1.0",',
        "+  src: url(icon@2x.png);",
        "+  @app.route('/')",
        "+  mail = 'someone@example.org'",
        "+  url = f'postgres://{user}:{password}@{host}/db'",
        "+  DATABASE_URL: postgres://$USER:$PASS@localhost/db",
        "+  DATABASE_URL: postgres://admin:${PASS}@db.company.com/db",
        "+  DATABASE_URL: postgres://admin1234567:$PASS@db.company.com/db",
        "+  DATABASE_URL: postgres://{0}:{{.Password}}@db.company.com/db",
        "+  DATABASE_URL: postgres://admin:%(password)s@db.company.com/db",
        "+  DATABASE_URL: postgres://%s:%s@db.company.com/db",
        "+  https://%USER%:%PASS%@git.company.com/",
        "+  https://x-access-token:${{ secrets.GITHUB_TOKEN }}@git.company.com/",
        "+  https://{{ user }}:{{ token }}@git.company.com/",
        "+  https://oauth2:$(cat token)@git.company.com/",
        "+  https://<user>:<password>@git.company.com/",
        "+  https://admin:[password]@git.company.com/",
        "+  https://admin:****@git.company.com/",
        "+  https://admin:xxxxxxxx@git.company.com/",
        "+  return this@Outer.name",
        "+  git config user.email $ACTOR@users.noreply.github.com",
        "+import vue from 'https://cdn.company.com/npm/vue@3.4.1/dist/vue.js'",
        "+  http://localhost:8080/@vite/client",
    ],
)
def test_what_is_no_address_stays(line: str) -> None:
    patch = in_hunk(line + "\n")
    clean = scrub(patch)
    assert clean.patch == patch
    assert not clean.is_leak


@pytest.mark.parametrize(
    "line",
    [
        "password = os.environ['DB_PASSWORD']",
        'token: "${{ secrets.GITHUB_TOKEN }}"',
        "//registry.company.com/:_authToken=${NPM_TOKEN}",
        'api_key = "your-api-key-1234"',
        'tokenizer = "Llama-3.2-1B-Instruct-4bit"',
        "const keyboard = 'qwerty123layout'",
        '"integrity": "sha512-' + "Zm9vYmFyYmF6" * 7 + '=="',
        "commit 4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        "-----BEGIN " + "CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJRTES",
        "for key, value in passwords.items():",
        "this.password = password1",
    ],
)
def test_what_only_looks_like_a_secret_is_let_in(line: str) -> None:
    assert find_secrets(in_hunk(prefixed("+", line))) == {}


def test_live_values() -> None:
    assert looks_live("Tr0ub4dor&3")
    assert not looks_live("changeme123")
    assert not looks_live("passwordpassword")
    assert not looks_live("111111111111a")


@pytest.mark.parametrize(
    "text",
    [
        "\r\n" * 60_000 + "password",
        "private key " + "nr" * 60_000,
        "private key " + "A" * 120_000,
        "f" * 400_000 + " @",
    ],
    ids=["blank lines", "letters of an escape", "one long word", "a word and an address's sign"],
)
def test_time_does_not_grow_with_the_square(text: str) -> None:
    began = time.process_time()
    assert not scrub(text).masked
    assert time.process_time() - began < 20  # a minute and more when it did


def test_words_of_patterns_are_lower_case() -> None:
    assert [word for pattern in PATTERNS for word in pattern.words if word != word.lower()] == []


def test_bytes_that_were_no_utf8() -> None:
    assert scrub(in_hunk("+name = 'Andr\udce9'\n")).patch.count("\udce9") == 1
