"""`draw`: a random schema, with values that mostly fit it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.protocol.law.leaves import Leaves
from tests.protocol.law.nodes import (
    Env,
    Node,
    evaluated,
    inner,
    same_value,
    sequence_value,
    some,
    struct_value,
)
from tests.protocol.law.source import load

if TYPE_CHECKING:
    from random import Random


class Generator(Leaves):
    """Draws the nodes of one schema."""

    # -- composed

    def struct(self, env: Env, depth: int) -> Node:
        kind = "LazyStruct" if self.rng.random() < 0.06 else "Struct"
        members = self.members(env.entered(), depth, self.rng.randint(1, 2 + depth), flat=False)
        needless = all(m.needless or m.name is None for m in members)
        return Node(f"{kind}({{*}})", members, struct_value, kind="struct", needless=needless)

    def flat(self, env: Env, depth: int) -> Node:
        members = self.members(env.entered(), depth, self.rng.randint(1, 2 + depth), flat=True)
        return Node("FlatStruct({*})", members, struct_value, kind="struct")

    def sequence(self, env: Env, depth: int) -> Node:
        env = env.entered()
        members = []
        for _ in range(self.rng.choice([0, 1, 1, 2, 2, 2, 3, 3, 3])):
            node = self.node(env, depth - 1)
            name = self.name() if self.rng.random() < 0.5 else None
            if name:
                env.note(name, node.kind)
            members.append(replace(node, name=name))
        return Node("Sequence({*})", tuple(members), sequence_value, kind="list")

    def focused(self, env: Env, depth: int) -> Node:
        env = env.entered()
        name = self.name()
        length = replace(self.byte(env), name=self.name(), form="Rebuild(Int8ub, 2)")
        env.note(length.name or "", "int")
        focus = replace(self.node(env, depth - 1), name=name)

        def value(node: Node, rng: Random, scope: Any) -> Any:
            scope = inner(scope)
            for part in node.parts:
                if part.name == name:
                    return part.make(rng, scope)
                scope[part.name] = 2
            return None

        return Node(f"FocusedSeq({name!r}, {{*}})", (length, focus), value, kind=focus.kind)

    def array(self, env: Env, depth: int) -> Node:
        rng = self.rng
        element = self.node(env, depth - 1)
        style = rng.randint(0, 6)
        count = self.small(env)

        def counted(node: Node, rng: Random, scope: Any) -> Any:
            size = evaluated(count, scope)
            size = size % 8 if isinstance(size, int) else 1
            return [node.parts[0].make(rng, scope) for _ in range(size)]

        def several(node: Node, rng: Random, scope: Any) -> Any:
            return [node.parts[0].make(rng, scope) for _ in range(rng.randint(0, 3))]

        if style <= 1:
            return Node(f"Array({count}, {{}})", (element,), counted, kind="list")
        if style == 2:
            return Node("PrefixedArray(Int8ub, {})", (element,), several, kind="list")
        if style == 3:
            return Node("GreedyRange({})", (element,), several, kind="list")
        if style == 4:
            ends = rng.choice(
                [
                    "lambda o, l, c: len(l) >= 2",
                    "lambda o, l, c: small(o) == 0",
                    "lambda o, l, c: small(l[-1]) == 1",
                    "lambda o, l, c: c._index == 1",
                    "obj_ == 0",
                ]
            )

            def until(node: Node, rng: Random, scope: Any) -> Any:
                made: list[Any] = []
                while len(made) < 4:
                    made.append(node.parts[0].make(rng, scope))
                    scope["_index"] = len(made) - 1
                    if load(ends)(made[-1], made, scope):
                        break
                return made

            return Node(f"RepeatUntil({ends}, {{}})", (element,), until, kind="list")
        if style == 5:
            return Node("Prefixed(Int8ub, GreedyRange({}))", (element,), several, kind="list")
        discard = rng.choice(["", ", discard=True"])
        return Node(f"LazyArray({count}, {{}})" if not discard else f"Array({count}, {{}}{discard})",
                    (element,), counted, kind="list")  # fmt: skip

    def wrapped(self, env: Env, depth: int) -> Node:
        form = self.rng.choice(
            [
                "Prefixed(Int8ub, {})",
                "Prefixed(VarInt, {})",
                "Prefixed(Int16ub, {}, includelength=True)",
                "FixedSized(12, {})",
                f"FixedSized({self.small(env)}, {{}})",
                "NullTerminated({})",
                "NullTerminated({}, include=True)",
                "NullTerminated({}, consume=False)",
                "NullTerminated({}, require=False)",
                "NullStripped({})",
                "Padded(8, {})",
                f"Padded({self.small(env)}, {{}})",
                "Aligned(4, {})",
                "Aligned(2, {}, pattern=b'z')",
                "OffsettedEnd(-1, {})",
                "ProcessXor(0x55, {})",
                "ProcessXor(lambda c: small(c), {})",
                "Lazy({})",
                "RestreamData(b'\\1\\2\\3\\4', {})",
                "({} * 'a doc')",
                "({} * hook)",
                "Default({}, None)",
                "Compressed({}, 'zlib')",
                "Hex({})",
                "HexDump({})",
                "FocusedSeq('v', 'v' / {}, StopIf(lambda c: small(c.v) == 0))",
            ]
        )
        part = self.node(env, depth - 1)
        return Node(form, (part,), same_value, kind=part.kind if form[0] != "L" else "any")

    def raw(self, env: Env, depth: int) -> Node:
        def value(node: Node, rng: Random, scope: Any) -> Any:
            value = node.parts[0].make(rng, scope)
            return rng.choice([{"value": value}, {"value": value}, {"data": b"ab"}])

        return Node("RawCopy({})", (self.node(env, depth - 1),), value, kind="raw")

    def optional(self, env: Env, depth: int) -> Node:
        part = self.node(env, depth - 1)

        def value(node: Node, rng: Random, scope: Any) -> Any:
            return None if rng.random() < 0.3 else node.parts[0].make(rng, scope)

        return Node("Optional({})", (part,), value, needless=True)

    def select(self, env: Env, depth: int) -> Node:
        def value(node: Node, rng: Random, scope: Any) -> Any:
            return rng.choice(node.parts).make(rng, scope) if node.parts else None

        parts = tuple(self.node(env, depth - 1) for _ in range(self.rng.randint(1, 3)))
        return Node("Select({*})", parts, value, needless=any(p.needless for p in parts))

    def either(self, env: Env, depth: int) -> Node:
        condition = self.condition(env)

        def value(node: Node, rng: Random, scope: Any) -> Any:
            index = 0 if evaluated(condition, scope) else -1
            if index and len(node.parts) == 1:
                return None
            return node.parts[index].make(rng, scope)

        if self.rng.random() < 0.5:
            return Node(f"If({condition}, {{}})", (self.node(env, depth - 1),), value)
        parts = (self.node(env, depth - 1), self.node(env, depth - 1))
        return Node(f"IfThenElse({condition}, {{}}, {{}})", parts, value)

    def switch(self, env: Env, depth: int) -> Node:
        rng = self.rng
        found = env.refer(rng, "int", "enum")
        if found is None:
            return self.node(env, depth - 1)
        path, kind = found
        key = rng.choice([f"this.{path}", f"this.{path}", f"lambda c: c.{path}"])
        keys: list[Any] = ["RED", "GREEN", 3] if kind == "enum" else [0, 1, 2, 3]
        keys = rng.sample(keys, rng.randint(1, len(keys)))
        default = rng.choice(["", ", Pass", ", {}"])
        parts = tuple(self.node(env, depth - 1) for _ in range(len(keys) + default.count("{}")))

        def value(node: Node, rng: Random, scope: Any) -> Any:
            chosen = evaluated(key, scope, None)
            if chosen in keys:
                return node.parts[keys.index(chosen)].make(rng, scope)
            return node.parts[-1].make(rng, scope) if "{}" in default else None

        cases = ", ".join(f"{k!r}: {{}}" for k in keys)
        return Node(f"Switch({key}, {{{cases}}}{default})", parts, value)

    def union(self, env: Env, depth: int) -> Node:
        env = env.entered()
        members = tuple(replace(self.node(env, depth - 1), name=self.name()) for _ in range(2))

        def value(node: Node, rng: Random, scope: Any) -> Any:
            if not node.parts:
                return {}
            part = rng.choice(node.parts)
            return {part.name: part.make(rng, inner(scope))}

        start = self.rng.choice(["None", "0", repr(members[1].name)])
        return Node(f"Union({start}, {{*}})", members, value, kind="struct")

    def pointer(self, env: Env, depth: int) -> Node:
        part = self.node(env, 0)
        where = self.rng.choice([self.small(env), "0", "-1"])
        return Node(f"Pointer({where}, {{}})", (part,), same_value, kind=part.kind)

    def bound(self, env: Env, depth: int) -> Node:
        part = self.node(env, depth - 1)
        return Node("LazyBound(lambda: {})", (part,), same_value, kind=part.kind)

    def defaulted(self, env: Env, depth: int) -> Node:
        part = self.integer(env)
        function = self.rng.choice(
            [self.small(env), "lambda c: small(c)", "written", "padding", "lambda c: c._io.tell()"]
        )
        seen = env.refer(self.rng)
        if seen and self.rng.random() < 0.5:
            function = f"lambda c: digest(c.{seen[0]})"
        kind = self.rng.choice(["Rebuild", "Default"])
        return Node(f"{kind}({{}}, {function})", (part,), same_value, needless=True, kind="int")

    COMPOSED = (
        (6, struct),
        (1, flat),
        (2, sequence),
        (1, focused),
        (5, array),
        (9, wrapped),
        (3, raw),
        (3, optional),
        (3, select),
        (4, either),
        (3, switch),
        (1, union),
        (1, pointer),
        (1, bound),
        (2, defaulted),
    )

    def node(self, env: Env, depth: int) -> Node:
        if depth > 0 and self.rng.random() < 0.65:
            return self.pick(self.COMPOSED)(self, env, depth)
        return self.pick(self.LEAVES)(self, env)

    # -- members of a struct

    def members(self, env: Env, depth: int, count: int, flat: bool) -> tuple[Node, ...]:
        made: list[Node] = []

        def add(node: Node, kind: str = "f", name: str | None = None) -> str:
            name = name or self.name(kind)
            made.append(replace(node, name=name))
            env.note(name, node.kind)
            return name

        for _ in range(count):
            self.member(env, depth, flat, add, made.append)
        rng = self.rng
        if rng.random() < 0.12:
            made.append(self.checksum(made))
        if flat and rng.random() < 0.6:
            number = rng.choice(["Int8ub", "Int16ub", "Int16ul"])
            of = rng.choice(["rest", "message"])
            length = Node(f"Length({number}, {of!r}, {rng.randint(0, 2)})", needless=True)
            made.insert(rng.randint(0, len(made)), replace(length, name=self.name()))
        if rng.random() < 0.12:
            start = "" if rng.random() < 0.7 else f", {rng.randint(0, 1)}"
            verified = rng.choice(
                [f"Verified(Int16ub, crc16{start})", f"Verified(Int8ub, sum8{start})"]
            )
            made.append(Node(verified, needless=True, name=self.name()))
        return tuple(made)

    def checksum(self, made: list[Node]) -> Node:
        """construct's own Checksum, over a copy or by looking back."""
        raws = [node.name for node in made if node.kind == "raw" and node.name]
        tells = [f"c.{node.name}" for node in made if node.form == "Tell" and node.name]
        where = self.rng.choice(tells or ["c._io.tell()", "c._io.tell()", "0"])
        if raws and self.rng.random() < 0.8:
            form = f"Checksum(Int8ub, total, this.{self.rng.choice(raws)}.data)"
        else:
            form = self.rng.choice(
                [
                    "Checksum(Bytes(2), lambda n: bytes([n, 1]), lambda c: len(c) % 3)",
                    f"Checksum(Int8ub, total, lambda c: before(c, {where}))",
                    "Rebuild(Int8ub, written)",
                ]
            )
        return Node(form, needless=True, name=self.name())

    def member(self, env: Env, depth: int, flat: bool, add: Any, bare: Any) -> None:
        rng = self.rng
        style = rng.randint(0, 23)
        if style == 0:
            later = self.name()
            counted = rng.choice([f"len_(this.{later})", f"lambda c: len(c.{later})"])
            count = add(Node(f"Rebuild(Int8ub, {counted})", needless=True, kind="int"))
            add(
                Node(f"Bytes(this.{count})", value=some(b"", b"a", b"abc"), kind="bytes"),
                name=later,
            )
        elif style == 1:
            later = self.name()
            count = add(Node(f"Rebuild(Int8ub, len_(this.{later}))", needless=True, kind="int"))
            element = self.node(env, depth - 1)

            def several(node: Node, rng: Random, scope: Any) -> Any:
                return [node.parts[0].make(rng, scope) for _ in range(rng.randint(0, 3))]

            form = rng.choice([f"Array(this.{count}, {{}})", f"Array(lambda c: c.{count}, {{}})"])
            add(Node(form, (element,), several, kind="list"), name=later)
        elif style == 2:
            add(rng.choice([self.integer, self.bytes_, self.flag])(env), kind="_r")
        elif style == 3:
            add(rng.choice([self.computed, self.const])(env), kind="_c")
        elif style == 4:
            forms = [
                "Padding(2)",
                "Padding(padding)",
                f"Padding({self.small(env)})",
                "Const(b'x')",
                "Pass",
                f"Check({self.condition(env)})",
                "Terminated",
                f"Computed({self.small(env)})",
            ]
            bare(Node(rng.choice(forms), needless=True))
        elif style == 5:
            bare(Node(f"StopIf({self.condition(env)})", needless=True))
        elif style == 6:
            where = rng.choice(["Seek(0)", "Seek(1, 1)", "Seek(-1, 1)", "Seek(0, 2)"])
            bare(Node(where, needless=True))
        elif style == 7 and (names := [name for name in env.levels[0] if name[0] != "_"]):
            # One name twice.
            add(self.node(env, depth - 1), name=rng.choice(names))
        elif style in (8, 9, 10) and flat:
            add(
                replace(
                    self.enum(env), form="Enum(Int8ub, RED=1, GREEN=2)", value=some("RED", "GREEN")
                )
            )
            bare(self.flat_part(env, depth))
        else:
            add(self.node(env, depth - 1))

    def flat_part(self, env: Env, depth: int) -> Node:
        """An unnamed member of a FlatStruct that gives it fields."""
        rng = self.rng
        names = list(env.levels[0])
        key = names[-1]
        parts = tuple(self.struct(env, depth - 1) for _ in range(2))
        parts = tuple(replace(part, form="Struct({*})") for part in parts)
        style = rng.randint(0, 3)
        if style == 0:
            return replace(parts[0], kind="flat")
        if style == 1:

            def chosen(node: Node, rng: Random, scope: Any) -> Any:
                index = {"RED": 0, "GREEN": 1}.get(scope.get(key), 0)
                return node.parts[index].make(rng, scope) if len(node.parts) > index else None

            return Node(
                f"Switch(this.{key}, {{'RED': {{}}, 'GREEN': {{}}}})", parts, chosen, kind="flat"
            )
        if style == 2:
            condition = f"this.{key} == 'RED'"

            def value(node: Node, rng: Random, scope: Any) -> Any:
                taken = evaluated(condition, scope)
                return node.parts[0].make(rng, scope) if taken else None

            return Node(f"If({condition}, {{}})", parts[:1], value, kind="flat")
        return Node("Optional({})", parts[:1], same_value, kind="flat", needless=True)


def draw(rng: Random) -> Node:
    """A random schema."""
    made = Generator(rng)
    root = made.flat if rng.random() < 0.35 else made.struct
    node = root(Env(), rng.choice([1, 2, 3, 4]))
    if rng.random() < 0.1:
        form = rng.choice(
            ["Prefixed(Int8ub, {})", "RawCopy({})", "Padded(40, {})", "Aligned(4, {})"]
        )
        if form.startswith("Raw"):
            return Node(form, (node,), lambda n, r, s: {"value": n.parts[0].make(r, s)})
        return Node(form, (node,), same_value)
    return node
