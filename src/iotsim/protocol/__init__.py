"""Protocols: a schema of messages, declared once, and the codec that is made from it.

A protocol, a file in the folder ``protocols/``, is a construct schema with a port; the rest follows:

`definition`   `Protocol`, the declaration
`constructs`   what schemas can say besides construct's own (from `verified`, `flat`, `native`, `payloads`)
`cbor`         CBOR to plain values and back
`crypt`        likewise `Encrypted`; apart, since it needs a package that nothing else does
`checksums`    the functions that go into checksums
`device`       `this_device`, what a schema can ask of the device, and whether it does
`parameter`    keys and nonces: bytes that are found in the message or the device
`registry`     finds a protocol by name and loads its file
`lower`        reads a schema off construct's classes, once: what it makes are `nodes`
`tree`         what a construct is without its name, and the constructs below it
`functions`    tells which functions of a schema are expressions, or look at nothing but their value;
               `arithmetic`, what one does with a number, if it only calculates
`fields`       names, types and places of the fields: a pass over the nodes (`field table mentions`)
`codec`        bytes <-> messages; the only caller of construct's parse and build
`values`       values as construct has them, and as messages show them
`reach`        how far a node looks outside of itself: a pass over the nodes
`interpreted`  the codec's reference engine: construct, on a copy of the schema (`traced`) that is
               strict (`strict guarded`) and can say where it failed (`places`)
`generate`     the codec's fast engine: Python code made from the nodes
`malform`      messages with values that no encoder would write (`anyvalue`)
`refusals`     the error replies that a protocol has
`samples`      the types that a protocol's vectors show where its schema does not tell
`examine`      for people: field tables, the check of a protocol file; `dissection`, messages taken apart

construct is the language, not the engine: its interpretation of a message takes 10 to 60 us, code
made from the nodes of the schema one or two. The law is: the same bytes, the same values, the same
rejections as construct. What a function of the schema can see is what construct itself would show it: a
schema whose functions look at their context is left to construct as a whole, a node that looks at nothing
outside of it alone. Every error is found again by the reference engine, so that both give the same one.
Beyond construct, strict protocols refuse what it passes in silence, and neither such a refusal nor a
mistake in a function of the schema is ever taken for "this alternative does not match".

Alternatives considered: construct's own ``compile()`` is 4 to 10 times slower than our code, drops
error paths, and differs from the interpreter in what it rejects. Kaitai Struct does not write
messages as fast as it reads them and needs a compiler at hand. Scapy's packets are one class per
layer, at 100 us each. dataclasses of struct formats are fast but know neither Switch nor lengths.
"""
