"""Protocols: a schema of messages, declared once, and the codec that is made from it.

A protocol, a file in the folder ``protocols/``, is a construct schema with a port; the rest follows:

`definition`   `Protocol`, the declaration
`constructs`   what schemas can say besides construct's own (from `verified`, `flat` and `native`)
`crypt`        likewise `Encrypted`; apart, since it needs a package that nothing else does
`checksums`    the functions that go into checksums
`device`       `this_device`, what a schema can ask of the device, and whether it does
`parameter`    keys and nonces: bytes that are found in the message or the device
`registry`     finds a protocol by name and loads its file
`fields`       names, types and places of the fields, read off the schema (`field walk kinds tree`)
`codec`        bytes <-> messages; the only caller of construct's parse and build
`interpreted`  the codec's reference engine: construct, on a copy of the schema (`traced`) that is
               strict and can say where it failed
`generate`     the codec's fast engine: Python code made from the schema
`examine`      for people: field tables, dissected messages, the check of a protocol file

construct is the language, not the engine: its interpretation of a message takes 30 to 60 us, code
made from the schema one or two. What the generator does not know is left to construct, for that
node alone, and every error is found again by the reference engine, so that both give the same one.

Alternatives considered: construct's own ``compile()`` is 4 to 10 times slower than our code, drops
error paths, and differs from the interpreter in what it rejects. Kaitai Struct does not write
messages as fast as it reads them and needs a compiler at hand. Scapy's packets are one class per
layer, at 100 us each. dataclasses of struct formats are fast but know neither Switch nor lengths.
"""
