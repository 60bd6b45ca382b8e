"""Generated codecs: Python source that is made from a schema and executed once.

`compiler`     puts the two functions together and executes them
`source`       lines, names, values and scopes: the material
`expressions`  ``this`` expressions as source
`nodes`        questions about constructs that both directions ask
`decoder`      collects fixed fields into runs, keeps the position, leaves to construct what it must
`encoder`      the mirror of it: runs, parts, lengths that are known late
`decode`       which function generates which node; the ``decode_*`` modules hold them
`encode`       likewise
`runtime`      what generated code calls

A node that no function knows, or a place where it cannot do, raises `source.UnsupportedError`; the
nearest node around it is then left to construct. ``iotsim protocols show NAME --codec`` prints what
came of it.
"""
