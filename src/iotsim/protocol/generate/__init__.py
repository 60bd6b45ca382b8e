"""Generated codecs: Python source that is made from the nodes of a schema, and executed once.

`compiler`     puts the functions together and executes them
`key`          the field that tells messages apart, for each value of which there is code of its own
`generator`    what decoding and encoding have in common: `Generator`, of which there are two kinds,
`reading`      `Decoder`: runs of fields of fixed size, the position in the data
`writing`      `Encoder`: runs, parts of varying size, lengths that are known late
`expressions`  ``this`` expressions as source
`source`       lines, names, values and scopes: the material
`runtime`      what generated code calls

How a kind of node is decoded and how it is encoded are two functions that stand together, registered with
`reading.decode` and `writing.encode`:

`numeric`      numbers, bits of numbers, names for them
`chunks`       bytes, text, data within data
`computed`     constants, defaults, what functions of the schema give, checksums
`structs`      structs, flat ones too, sequences; the whole message
`choices`      Switch and If, Select, arrays

A node that has no functions is left to construct alone, if it looks at nothing outside of itself
(`iotsim.protocol.reach`). One that does, or a place where a node cannot be done, raises
`source.UnsupportedError`, and the whole message is left to construct: never is a context made for a function
of the schema that is not construct's own. ``iotsim protocols show NAME --codec`` prints what came of it.
"""
