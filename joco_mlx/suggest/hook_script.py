"""The text of the prepare-commit-msg hook: POSIX sh that decides in milliseconds, and starts Python only to write.

Decides what is none of its business: every commit that comes with a message of its own (git names its source in the
second argument), nothing staged, no model. What was there before runs first and keeps its verdict; whatever goes wrong
afterwards leaves the commit as it was. The interpreter is named by its absolute path, because editors and other
programs start git with another PATH, and is told (-P) not to take modules from the repository.
"""

import shlex
import sys
from pathlib import Path

from joco_mlx.errors import MachineError

MARK = "# joco-mlx hook"
BEFORE = "prepare-commit-msg.before-joco-mlx"
MADE_FOLDER = "# made the folder"
LIMIT_SECONDS = 30

_SCRIPT = r"""#!/bin/sh
{mark}: suggests the message of a plain commit. Remove it with: joco-mlx hook uninstall
{notes}[ -z "$JOCO_MLX_IN_HOOK" ] || exit 0
case $0 in */*) here=${{0%/*}} ;; *) here=. ;; esac
before=$here/{before}
# pre-commit keeps a hook that it found as .legacy, and has then run what came before by itself.
case $0 in *.legacy) before= ;; esac
if [ -n "$before" ] && [ -x "$before" ]; then
  if [ -f "$here/h" ]; then # husky's stubs look at $0 for the hook that they stand for
    # shellcheck disable=SC1090  # whatever was there before
    (JOCO_MLX_IN_HOOK=1; export JOCO_MLX_IN_HOOK; . "$before") || exit $?
  else
    JOCO_MLX_IN_HOOK=1 "$before" "$@" || exit $?
  fi
fi

[ -z "$2" ] && [ "$JOCO_MLX_HOOK" != 0 ] && [ -f "$1" ] && [ -x {python} ] || exit 0

model_is_there() {{
  [ -z "$JOCO_MLX_MODEL" ] || return 0
  for found in runs/*/manifest.json \
    "${{OLLAMA_MODELS:-$HOME/.ollama/models}}"/manifests/registry.ollama.ai/library/joco/* \
    /usr/share/ollama/.ollama/models/manifests/registry.ollama.ai/library/joco/*; do
    [ ! -f "$found" ] || return 0
  done
  [ -f {settings} ] && grep -q '^[[:space:]]*model[[:space:]]*=' {settings}
}}
model_is_there || exit 0

git diff-index --cached --quiet HEAD -- 2>/dev/null && exit 0
comment=$(git config core.commentString || git config core.commentChar)
case $comment in '' | auto) comment='#' ;; esac
while IFS= read -r line; do
  case $line in
    "$comment"*'>8'*) break ;;
    "$comment"*) ;;
    *[![:space:]]*) exit 0 ;; # somebody has written a message already
  esac
done <"$1"

{command} hook run "$1" </dev/null &
worker=$!
(
  trap 'kill "$nap" 2>/dev/null; exit 0' TERM
  sleep {limit} &
  nap=$!
  wait "$nap"
  kill -KILL "$worker" 2>/dev/null
) </dev/null >/dev/null 2>&1 &
watch=$!
wait "$worker" 2>/dev/null
[ $? -le 128 ] || echo 'joco-mlx: no suggestion within {limit} seconds; write the message yourself.' >&2
kill "$watch" 2>/dev/null
exit 0
"""


def hook_script(*, settings: Path, limit_seconds: int = LIMIT_SECONDS, made_folder: bool = False) -> str:
    """Return the hook.

    Args:
        settings: The user's `config.toml`, where a default model may stand.
        limit_seconds: After this long the suggestion is given up.
        made_folder: Whether installing made the hooks folder, which uninstalling then takes away.

    Raises:
        MachineError: Python does not know where it is.
    """
    if not Path(sys.executable or "").is_absolute():
        raise MachineError("Python does not know its own path, so a hook could not start it.", "Install with uv tool.")
    return _SCRIPT.format(
        mark=MARK,
        notes=f"{MADE_FOLDER}\n" if made_folder else "",
        before=BEFORE,
        python=shlex.quote(sys.executable),
        command=f"{shlex.quote(sys.executable)} -P -m joco_mlx",
        settings=shlex.quote(str(settings)),
        limit=limit_seconds,
    )


def is_hook(content: bytes) -> bool:
    """Whether a hook is ours: its second line says so."""
    return any(line.startswith(MARK.encode() + b":") for line in content.splitlines()[1:2])
