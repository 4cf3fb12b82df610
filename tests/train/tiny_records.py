"""Small records to train on."""

from joco_mlx.commit.record import INSTRUCTION, Metadata, Record

PATCH = """\
diff --git a/src/{name}.py b/src/{name}.py
index 1111111..2222222 100644
--- a/src/{name}.py
+++ b/src/{name}.py
@@ -1,3 +1,4 @@
 def {name}(value):
-    return value
+    checked = value + {number}
+    return checked
"""


def make_record(number: int, *, repository: str = "demo", output: str | None = None, diff: str | None = None) -> Record:
    """A record about a small change to one file."""
    name = f"module_{number}"
    message = output if output is not None else f"feat({name}): add {number} to the value"
    about = Metadata(f"{repository}-{number}", repository, f"{number:07x}", "0" * 16, "feat", name, 90)
    return Record(INSTRUCTION, diff or PATCH.format(name=name, number=number), message, about)
